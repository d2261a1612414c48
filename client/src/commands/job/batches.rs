//! Batch by batch: what `kill`, `killall` and `restart` share.

use std::time::Duration;

use aurora_proto::v1;
use clap::Args;

use crate::{
    api::Api,
    duration::parse_duration,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    instances::InstanceSet,
    job_key::JobKey,
    task_state::active_instances,
};

/// The pace of a change to many instances.
#[derive(Args, Clone, Debug)]
pub(super) struct BatchArgs {
    /// Instances to take at a time
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) batch_size: u32,
    /// Instances that may fail before the command gives up
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) max_total_failures: u32,
    /// Longest wait for one batch; an instance that needs longer has failed
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(super) wait_timeout: Duration,
}

/// What to do about instances that are named but not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Skip,
    Refuse,
}

/// Returns the active instances among those named; all of them where none is named.
pub(super) async fn targets(
    api: &Api,
    job: &JobKey,
    named: Option<&InstanceSet>,
    unknown: Unknown,
) -> CliResult<InstanceSet> {
    // Fails with "not found" for a job that does not exist, however old its tasks.
    api.get_job(v1::GetJobRequest {
        key: Some(job.to_proto()),
    })
    .await?;
    let active = active_instances(&api.tasks_of(job, named).await?);
    let chosen = named.map_or_else(|| active.clone(), |named| named.intersection(&active));
    let missing = named
        .map(|named| named.difference(&active))
        .unwrap_or_default();
    if unknown == Unknown::Refuse && !missing.is_empty() {
        let message = format!("{job} has no active instance {missing}");
        return Err(CliError::new(ExitStatus::InvalidParameter, message)
            .hint("nothing was changed; leave out --strict to skip them"));
    }
    if chosen.is_empty() {
        let which = named
            .map(|named| format!(" among {named}"))
            .unwrap_or_default();
        let message = format!("{job} has no active instance{which}");
        return Err(CliError::new(ExitStatus::InvalidParameter, message)
            .hint(format!("`aurora-rs job status {job}` shows its instances")));
    }
    Ok(chosen)
}
