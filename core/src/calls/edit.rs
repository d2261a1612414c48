//! `EditJob`: changes of a job that restart nothing.

use aurora_proto::v1;

use crate::call::{ApiError, ErrorCode, Reply};
use crate::calls::check_context;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::validate::{validate_contact, validate_metadata, validate_priority};

impl Scheduler {
    pub(crate) fn edit_job(
        &mut self,
        now: Timestamp,
        request: &v1::EditJobRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let content = v1::EditJobRequest {
            context: None,
            ..request.clone()
        };
        self.once(now, &context, &content, |scheduler| {
            scheduler.edit_once(now, &context, request)
        })
    }

    fn edit_once(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        request: &v1::EditJobRequest,
    ) -> Result<v1::EditJobResponse, ApiError> {
        let idx = self.require_job(request.key.as_ref())?;
        let mut changed = Vec::new();
        if let Some(contact) = &request.contact {
            validate_contact(contact)?;
            changed.push("contact");
        }
        if let Some(priority) = request.priority {
            validate_priority(priority)?;
            changed.push("priority");
        }
        if let Some(list) = &request.metadata {
            validate_metadata(&list.metadata)?;
            changed.push("metadata");
        }
        if changed.is_empty() {
            return Err(ApiError::new(
                ErrorCode::InvalidArgument,
                "nothing to edit: give `contact`, `priority` or `metadata`",
            ));
        }
        let job = self.state.job_mut(idx);
        if let Some(contact) = &request.contact {
            job.proto.contact.clone_from(contact);
        }
        if let Some(priority) = request.priority {
            job.proto.priority = priority;
        }
        if let Some(list) = &request.metadata {
            job.proto.metadata.clone_from(&list.metadata);
        }
        let version = self.note_call(now, idx, "edit", context, &changed.join(", "));
        Ok(v1::EditJobResponse { version })
    }
}
