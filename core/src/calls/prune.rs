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
/// Ended tasks deleted at a time.
const PRUNE_BATCH: usize = 10_000;
/// Between two batches.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);

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
            .jobs
            .iter()
            .filter(|(_, job)| pattern.matches(&job.key))
            .flat_map(|(_, job)| &job.ended)
            .map(|(_, number)| *number)
            .filter(|number| {
                let state = self.task_state(*number);
                states.is_empty() || state.is_some_and(|state| states.contains(&state))
            })
            .take(limit)
            .collect();
        for number in &doomed {
            self.delete_task(*number);
        }
        let pruned = u32::try_from(doomed.len()).unwrap_or(u32::MAX);
        Ok(v1::PruneTasksResponse { pruned })
    }

    /// Deletes what is too old or too much, some of it at a time.
    pub(crate) fn prune_history(&mut self, now: Timestamp) {
        let settings = &self.settings;
        let mut doomed = Vec::new();
        let mut idle_jobs = Vec::new();
        for (idx, job) in &self.state.jobs {
            let excess = job.ended.len().saturating_sub(settings.history_max_per_job);
            for (i, (ended, number)) in job.ended.iter().enumerate() {
                let age = now.since(*ended);
                let too_many = i < excess && age > settings.history_min_retention;
                if age <= settings.history_max_age && !too_many {
                    break;
                }
                doomed.push(*number);
            }
            let idle = now.since(job.updated) > settings.history_max_age;
            if job.active.is_empty() && job.ended.is_empty() && idle {
                idle_jobs.push(JobIdx::new(idx));
            }
            if doomed.len() >= PRUNE_BATCH {
                break;
            }
        }
        doomed.truncate(PRUNE_BATCH);
        let wait = if doomed.len() == PRUNE_BATCH {
            PRUNE_PAUSE
        } else {
            PRUNE_INTERVAL
        };
        for number in doomed {
            self.delete_task(number);
        }
        for job in idle_jobs {
            self.state.remove_job(job);
        }
        let forgotten_after = self.settings.history_max_age;
        self.state
            .forget_agents(|agent| agent.gone || now.since(agent.seen) > forgotten_after);
        self.timers.set(now + wait, Timer::Prune);
    }

    fn delete_task(&mut self, number: TaskNumber) {
        self.counters.pruned_tasks += 1;
        self.state.remove_task(number);
    }
}
