//! `KillTasks`.

use aurora_proto::v1;

use crate::call::{ApiError, Reply};
use crate::calls::{audit, check_context, instance_filter, named};
use crate::ids::{JobIdx, TaskNumber};
use crate::instances::InstanceSet;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::transitions::{is_killable, kill_target};

impl Scheduler {
    pub(crate) fn kill_tasks(
        &mut self,
        now: Timestamp,
        request: &v1::KillTasksRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let content = v1::KillTasksRequest {
            context: None,
            ..request.clone()
        };
        self.once(now, &context, &content, |scheduler| {
            scheduler.kill_once(now, &context, request)
        })
    }

    fn kill_once(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        request: &v1::KillTasksRequest,
    ) -> Result<v1::KillTasksResponse, ApiError> {
        let filter = instance_filter(&request.instances)?;
        let job = self.require_job(request.key.as_ref())?;
        let victims = self.active_tasks(job, filter.as_ref());
        let mut response = v1::KillTasksResponse {
            instances: victims
                .iter()
                .map(|(i, _)| *i)
                .collect::<InstanceSet>()
                .to_proto(),
            task_ids: Vec::with_capacity(victims.len()),
        };
        if victims.is_empty() {
            return Ok(response);
        }
        let killed: InstanceSet = victims.iter().map(|(instance, _)| *instance).collect();
        self.note_call(now, job, "kill", context, &named(&killed));
        let message = audit("killed", context);
        for (_, number) in victims {
            let Some(task) = self.state.tasks.get(&number) else {
                continue;
            };
            let state = task.state;
            response.task_ids.push(self.task_id(task));
            if is_killable(state) {
                self.change_state(now, number, kill_target(state), &message);
            }
        }
        self.follow_instance_count(job);
        Ok(response)
    }

    /// Returns the job's active tasks by instance.
    pub(crate) fn active_tasks(
        &self,
        job: JobIdx,
        filter: Option<&InstanceSet>,
    ) -> Vec<(u32, TaskNumber)> {
        self.state
            .job(job)
            .active
            .iter()
            .filter(|(instance, _)| filter.is_none_or(|set| set.contains(**instance)))
            .map(|(instance, number)| (*instance, *number))
            .collect()
    }

    /// The job's own count of instances follows adds and kills, down to one.
    pub(crate) fn follow_instance_count(&mut self, job: JobIdx) {
        let wanted = self
            .state
            .job(job)
            .active
            .values()
            .filter(|number| self.task_state(**number).is_some_and(is_killable))
            .count();
        if let Ok(wanted) = u32::try_from(wanted)
            && wanted > 0
        {
            self.state.job_mut(job).proto.instances = wanted;
        }
    }
}
