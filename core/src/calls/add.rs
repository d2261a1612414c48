//! `AddInstances`.

use aurora_proto::v1;

use crate::call::{ApiError, ErrorCode, Reply};
use crate::calls::{check_context, named};
use crate::instances::InstanceSet;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;

impl Scheduler {
    pub(crate) fn add_instances(
        &mut self,
        now: Timestamp,
        request: &v1::AddInstancesRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let content = v1::AddInstancesRequest {
            context: None,
            ..request.clone()
        };
        self.once(now, &context, &content, |scheduler| {
            scheduler.add_once(now, &context, request)
        })
    }

    fn add_once(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        request: &v1::AddInstancesRequest,
    ) -> Result<v1::AddInstancesResponse, ApiError> {
        let idx = self.require_job(request.key.as_ref())?;
        let job = self.state.job(idx);
        if request.count == 0 {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                "`count` is 0: add at least 1",
            ));
        }
        let template = job.active.get(&request.template_instance).ok_or_else(|| {
            ApiError::new(
                ErrorCode::FailedPrecondition,
                format!(
                    "instance {} of {} is not active, so there is nothing to copy",
                    request.template_instance, job.path
                ),
            )
        })?;
        let active = u32::try_from(job.active.len()).unwrap_or(u32::MAX);
        let max = self.settings.max_instances_per_job;
        if active.saturating_add(request.count) > max {
            return Err(ApiError::new(
                ErrorCode::ResourceExhausted,
                format!(
                    "{} more would make {} instances; a job may have {max}",
                    request.count,
                    u64::from(active) + u64::from(request.count)
                ),
            ));
        }
        let config = self
            .state
            .tasks
            .get(template)
            .map_or(job.config, |task| task.config);
        // Gaps that kills have left are filled first.
        let added: InstanceSet = (0..=u32::MAX)
            .filter(|instance| !job.active.contains_key(instance))
            .take(request.count as usize)
            .collect();
        self.note_call(now, idx, "add", context, &named(&added));
        for instance in added.iter() {
            self.new_task(now, idx, config, instance);
        }
        self.state.job_mut(idx).state = v1::JobState::JobActive;
        self.follow_instance_count(idx);
        Ok(v1::AddInstancesResponse {
            instances: added.to_proto(),
        })
    }
}
