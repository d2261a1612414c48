//! `ListJobs`, `GetJob` and `GetJobHistory`.

use std::collections::BTreeMap;
use std::ops::Bound;

use aurora_proto::v1::{self, TaskState};

use crate::call::ApiError;
use crate::ids::{ConfigIdx, JobIdx};
use crate::instances::InstanceSet;
use crate::query::{JobPattern, page_size};
use crate::scheduler::Scheduler;
use crate::task::is_on_agent;

impl Scheduler {
    /// Lists jobs by key.
    ///
    /// # Errors
    /// If the filter cannot be read.
    pub fn list_jobs(
        &self,
        request: &v1::ListJobsRequest,
    ) -> Result<v1::ListJobsResponse, ApiError> {
        let pattern = JobPattern::new(request.filter.as_ref())?;
        let size = page_size(request.page_size);
        let start = match request.page_token.as_str() {
            "" => Bound::Unbounded,
            token => Bound::Excluded(token),
        };
        let mut jobs = Vec::new();
        let mut next_page_token = String::new();
        let paths = self
            .state
            .jobs_by_path
            .range::<str, _>((start, Bound::Unbounded));
        for (_, idx) in paths {
            let job = self.state.job(*idx);
            if !pattern.matches(&job.key) {
                continue;
            }
            if jobs.len() == size {
                next_page_token = jobs.last().map(last_path).unwrap_or_default();
                break;
            }
            jobs.push(self.job_summary(*idx));
        }
        Ok(v1::ListJobsResponse {
            jobs,
            next_page_token,
        })
    }

    /// Returns a job with what its instances run.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn get_job(&self, request: &v1::GetJobRequest) -> Result<v1::GetJobResponse, ApiError> {
        let idx = self.require_job(request.key.as_ref())?;
        let job = self.state.job(idx);
        let mut by_config: BTreeMap<ConfigIdx, Vec<u32>> = BTreeMap::new();
        for (instance, number) in &job.active {
            if let Some(task) = self.state.tasks.get(number) {
                by_config.entry(task.config).or_default().push(*instance);
            }
        }
        let groups = by_config
            .into_iter()
            .map(|(config, instances)| {
                let config = self.state.config(config);
                v1::InstanceGroup {
                    instances: instances.into_iter().collect::<InstanceSet>().to_proto(),
                    config: Some((*config.proto).clone()),
                    config_digest: digest_text(&config.digest),
                }
            })
            .collect();
        let mut config = job.proto.clone();
        config.task = Some((*self.state.config(job.config).proto).clone());
        Ok(v1::GetJobResponse {
            summary: Some(self.job_summary(idx)),
            config: Some(config),
            groups,
        })
    }

    /// Returns what has happened to a job, oldest first.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn get_job_history(
        &self,
        request: &v1::GetJobHistoryRequest,
    ) -> Result<v1::GetJobHistoryResponse, ApiError> {
        let idx = self.require_job(request.key.as_ref())?;
        Ok(v1::GetJobHistoryResponse {
            events: self.state.job(idx).events.clone(),
        })
    }

    fn job_summary(&self, idx: JobIdx) -> v1::JobSummary {
        let job = self.state.job(idx);
        v1::JobSummary {
            key: Some(job.key.clone()),
            state: job.state.into(),
            service: self.state.config(job.config).proto.service,
            cron: job.proto.cron.is_some(),
            instances: job.proto.instances,
            contact: job.proto.contact.clone(),
            priority: job.proto.priority,
            stats: Some(self.job_stats(idx)),
            created_ms: job.created.0,
            updated_ms: job.updated.0,
            version: job.version,
        }
    }

    fn job_stats(&self, idx: JobIdx) -> v1::JobStats {
        let counts = &self.state.job(idx).counts;
        let sum = |states: &[TaskState]| states.iter().map(|state| counts[*state as usize]).sum();
        let active = (0..16)
            .filter_map(|n| TaskState::try_from(n).ok())
            .filter(|state| is_on_agent(*state))
            .map(|state| counts[state as usize])
            .sum();
        v1::JobStats {
            pending: sum(&[TaskState::Pending, TaskState::Throttled]),
            active,
            running: sum(&[TaskState::Running]),
            finished: sum(&[TaskState::Finished, TaskState::Killed]),
            failed: sum(&[TaskState::Failed, TaskState::Lost]),
        }
    }
}

fn last_path(summary: &v1::JobSummary) -> String {
    summary
        .key
        .as_ref()
        .map(crate::ids::job_path)
        .unwrap_or_default()
}

/// Returns a digest as hexadecimal text.
pub(crate) fn digest_text(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in digest {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
    text
}
