//! The calls that change state, one module each, and what they share: request ids and the
//! history of jobs.

mod add;
mod create;
mod edit;
mod kill;
mod prune;
mod requests;
mod restart;

use aurora_proto::v1::{self, JobKey};

use crate::call::{ApiError, ErrorCode};
use crate::ids::{JobIdx, job_path};
use crate::instances::InstanceSet;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;

/// The longest message a user may leave with a call, in bytes.
const MAX_MESSAGE: usize = 4_096;

impl Scheduler {
    /// Returns the job that a call names.
    pub(crate) fn require_job(&self, key: Option<&JobKey>) -> Result<JobIdx, ApiError> {
        let key = require_key(key)?;
        let path = job_path(key);
        self.state
            .job_idx(&path)
            .ok_or_else(|| ApiError::new(ErrorCode::NotFound, format!("there is no job {path}")))
    }

    /// Adds to a job's history, and raises its version.
    fn note_call(
        &mut self,
        now: Timestamp,
        job: JobIdx,
        kind: &str,
        context: &v1::RequestContext,
        what: &str,
    ) -> u64 {
        let job = self.state.job_mut(job);
        job.version += 1;
        job.updated = now;
        let version = job.version;
        let message = match (what, context.message.as_str()) {
            (what, "") => what.to_owned(),
            ("", message) => message.to_owned(),
            (what, message) => format!("{what}: {message}"),
        };
        job.push_event(v1::JobEvent {
            timestamp_ms: now.0,
            kind: kind.to_owned(),
            user: context.user.clone(),
            message,
            request_id: context.request_id.clone(),
            version,
        });
        version
    }
}

fn require_key(key: Option<&JobKey>) -> Result<&JobKey, ApiError> {
    key.ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidArgument,
            "the request names no job (`key`)",
        )
    })
}

/// Checks and returns who calls; an absent context is an empty one.
fn check_context(context: Option<&v1::RequestContext>) -> Result<v1::RequestContext, ApiError> {
    let context = context.cloned().unwrap_or_default();
    let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidArgument, message));
    if context.request_id.chars().count() > 128 {
        return invalid("`context.request_id` has more than 128 characters");
    }
    if context.user.len() > 255 {
        return invalid("`context.user` has more than 255 characters");
    }
    if context.message.len() > MAX_MESSAGE {
        return invalid("`context.message` is longer than 4,096 bytes");
    }
    Ok(context)
}

/// Reads instance ranges; none of them means all.
pub(crate) fn instance_filter(
    ranges: &[v1::InstanceRange],
) -> Result<Option<InstanceSet>, ApiError> {
    if ranges.is_empty() {
        return Ok(None);
    }
    InstanceSet::from_ranges(ranges).map(Some).map_err(|range| {
        ApiError::new(
            ErrorCode::InvalidArgument,
            format!(
                "instances {}-{}: the first is after the last",
                range.first, range.last
            ),
        )
    })
}

/// Names instances in a job's history, which is rewritten with every call and so kept short.
fn named(instances: &InstanceSet) -> String {
    let mut text = format!("instances {instances}");
    if text.len() > 200 {
        text.truncate(200);
        text.truncate(text.rfind(',').unwrap_or(200));
        text = format!("{text},… ({} in all)", instances.len());
    }
    text
}

/// Returns the words for a task's event: who did what, and why.
fn audit(verb: &str, context: &v1::RequestContext) -> String {
    let user = if context.user.is_empty() {
        "an unnamed user"
    } else {
        &context.user
    };
    if context.message.is_empty() {
        format!("{verb} by {user}")
    } else {
        format!("{verb} by {user}: {}", context.message)
    }
}
