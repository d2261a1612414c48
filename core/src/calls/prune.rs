//! `PruneTasks`, and the pruning that goes on by itself.

use std::time::Duration;

use aurora_proto::v1::{self, TaskState};

use crate::call::{ApiError, ErrorCode, Reply};
use crate::calls::check_context;
use crate::ids::{JobIdx, TaskNumber};
use crate::query::JobPattern;
use crate::scheduler::Scheduler;
use crate::task::is_terminal;
use crate::time::Timestamp;
use crate::timers::Timer;

/// How often history is looked over.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60);

impl Scheduler {
    pub(crate) fn prune_tasks(
        &mut self,
        now: Timestamp,
        request: &v1::PruneTasksRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let content = v1::PruneTasksRequest {
            context: None,
            ..request.clone()
        };
        self.once(now, &context, &content, |scheduler| {
            scheduler.prune_once(request)
        })
    }

    fn prune_once(
        &mut self,
        request: &v1::PruneTasksRequest,
    ) -> Result<v1::PruneTasksResponse, ApiError> {
        let states: Vec<TaskState> = request.states().collect();
        if let Some(state) = states.iter().find(|state| !is_terminal(**state)) {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                format!(
                    "{} is not an end: only FINISHED, FAILED, KILLED and LOST can be pruned",
                    state.as_str_name()
                ),
            ));
        }
        let pattern = JobPattern::new(request.filter.as_ref())?;
        let limit = if request.limit == 0 {
            usize::MAX
        } else {
            request.limit as usize
        };
        let doomed: Vec<TaskNumber> = self
            .state
            .tasks
            .values()
            .filter(|task| task.is_terminal())
            .filter(|task| states.is_empty() || states.contains(&task.state))
            .filter(|task| pattern.matches(&self.state.job(task.job).key))
            .map(|task| task.number)
            .take(limit)
            .collect();
        for number in &doomed {
            self.delete_task(*number);
        }
        let pruned = u32::try_from(doomed.len()).unwrap_or(u32::MAX);
        Ok(v1::PruneTasksResponse { pruned })
    }

    /// Deletes what is too old or too much.
    pub(crate) fn prune_history(&mut self, now: Timestamp) {
        let mut doomed = Vec::new();
        let mut idle_jobs = Vec::new();
        for (idx, job) in &self.state.jobs {
            let excess = job
                .ended
                .len()
                .saturating_sub(self.settings.history_max_per_job);
            for (i, number) in job.ended.iter().enumerate() {
                let Some(task) = self.state.tasks.get(number) else {
                    continue;
                };
                let age = now.since(task.since());
                let too_many = i < excess && age > self.settings.history_min_retention;
                // Numbers rise with time, near enough: what follows is younger and stays too.
                if age <= self.settings.history_max_age && !too_many {
                    break;
                }
                doomed.push(*number);
            }
            let idle = now.since(job.updated) > self.settings.history_max_age;
            if job.active.is_empty() && job.ended.is_empty() && idle {
                idle_jobs.push(JobIdx::new(idx));
            }
        }
        for number in doomed {
            self.delete_task(number);
        }
        for job in idle_jobs {
            self.state.remove_job(job);
        }
        self.timers.set(now + PRUNE_INTERVAL, Timer::Prune);
    }

    fn delete_task(&mut self, number: TaskNumber) {
        self.counters.pruned_tasks += 1;
        self.state.remove_task(number);
    }
}
