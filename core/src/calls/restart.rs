//! `RestartTasks`.

use aurora_proto::v1::{self, TaskState};

use crate::call::{ApiError, ErrorCode, Reply};
use crate::calls::{audit, check_context, instance_filter, named};
use crate::ids::TaskNumber;
use crate::instances::InstanceSet;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::transitions::is_killable;

impl Scheduler {
    pub(crate) fn restart_tasks(
        &mut self,
        now: Timestamp,
        request: &v1::RestartTasksRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let content = v1::RestartTasksRequest {
            context: None,
            ..request.clone()
        };
        self.once(now, &context, &content, |scheduler| {
            scheduler.restart_once(now, &context, request)
        })
    }

    fn restart_once(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        request: &v1::RestartTasksRequest,
    ) -> Result<v1::RestartTasksResponse, ApiError> {
        let Some(wanted) = instance_filter(&request.instances)? else {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                "name the instances to restart (`instances` is empty)",
            ));
        };
        let job = self.require_job(request.key.as_ref())?;
        let tasks = self.restartable(job, &wanted)?;
        self.note_call(now, job, "restart", context, &named(&wanted));
        let message = audit("restarted", context);
        let mut task_ids = Vec::with_capacity(tasks.len());
        for number in tasks {
            let Some(task) = self.state.tasks.get(&number) else {
                continue;
            };
            let state = task.state;
            task_ids.push(self.task_id(task));
            if let Some(to) = restart_target(state) {
                self.change_state(now, number, to, &message);
            }
        }
        Ok(v1::RestartTasksResponse { task_ids })
    }

    fn restartable(
        &self,
        job: crate::ids::JobIdx,
        wanted: &InstanceSet,
    ) -> Result<Vec<TaskNumber>, ApiError> {
        let active: Vec<_> = self
            .active_tasks(job, Some(wanted))
            .into_iter()
            .filter(|(_, number)| self.task_state(*number).is_some_and(is_killable))
            .collect();
        if active.len() as u64 == wanted.len() {
            return Ok(active.into_iter().map(|(_, number)| number).collect());
        }
        // The set may be of any size; only what exists near the job's instances is worth naming.
        let missing: InstanceSet = wanted
            .iter()
            .filter(|instance| {
                active
                    .binary_search_by_key(instance, |(other, _)| *other)
                    .is_err()
            })
            .take(20)
            .collect();
        Err(ApiError::new(
            ErrorCode::FailedPrecondition,
            format!("not active, so nothing was restarted: instances {missing}"),
        ))
    }
}

/// The state that a restart takes a task to, if any.
fn restart_target(state: TaskState) -> Option<TaskState> {
    match state {
        // One that serves a penalty is let off.
        TaskState::Throttled => Some(TaskState::Pending),
        TaskState::Assigned | TaskState::Starting | TaskState::Running | TaskState::Partitioned => {
            Some(TaskState::Restarting)
        }
        // It runs afresh anyway.
        TaskState::Pending
        | TaskState::Preempting
        | TaskState::Restarting
        | TaskState::Draining
        | TaskState::Unspecified
        | TaskState::Init
        | TaskState::Killing
        | TaskState::Finished
        | TaskState::Failed
        | TaskState::Killed
        | TaskState::Lost => None,
    }
}
