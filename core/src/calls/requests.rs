//! Request ids: a mutation that was answered is answered again, not done again.

use std::time::Duration;

use aurora_proto::v1;
use prost::Message;
use sha2::{Digest as _, Sha256};

use crate::call::{ApiError, ErrorCode, Reply};
use crate::scheduler::Scheduler;
use crate::state::AnsweredRequest;
use crate::time::Timestamp;

/// Ties a reply to the message that it is stored as.
pub(crate) trait StoredReply: Message + Default {
    const METHOD: &'static str;
    fn into_reply(self) -> Reply;
}

macro_rules! stored_reply {
    ($($message:ident => $variant:ident),* $(,)?) => {$(
        impl StoredReply for v1::$message {
            const METHOD: &'static str = stringify!($variant);

            fn into_reply(self) -> Reply {
                Reply::$variant(self)
            }
        }
    )*};
}
stored_reply!(
    CreateJobResponse => CreateJob,
    KillTasksResponse => KillTasks,
    RestartTasksResponse => RestartTasks,
    AddInstancesResponse => AddInstances,
    EditJobResponse => EditJob,
    PruneTasksResponse => PruneTasks,
);

impl Scheduler {
    /// Does a mutation once for its request id. `content` is the request without its context.
    pub(crate) fn once<R: StoredReply>(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        content: &impl Message,
        mutate: impl FnOnce(&mut Self) -> Result<R, ApiError>,
    ) -> Result<Reply, ApiError> {
        if context.request_id.is_empty() {
            return mutate(self).map(StoredReply::into_reply);
        }
        let fingerprint = Sha256::digest(content.encode_to_vec()).into();
        if let Some(answered) = self.state.requests.get(&context.request_id) {
            return repeat::<R>(answered, &fingerprint, &context.request_id);
        }
        let response = mutate(self)?;
        let answered = AnsweredRequest {
            fingerprint,
            answered: now,
            method: R::METHOD.to_owned(),
            response: response.encode_to_vec(),
        };
        self.state
            .remember_request(context.request_id.clone(), answered);
        self.forget_old_requests(now);
        Ok(response.into_reply())
    }

    fn forget_old_requests(&mut self, now: Timestamp) {
        // A few at a time keep up with one coming in, and never make one call pay for many.
        for _ in 0..8 {
            let Some((answered, _)) = self.state.request_order.front() else {
                return;
            };
            let old = now.since(*answered) > self.settings.request_retention;
            let many = self.state.requests.len() > self.settings.max_remembered_requests;
            // A retry follows within minutes, whatever the number of requests since.
            let settled = now.since(*answered) > Duration::from_secs(600);
            let big = self.state.request_bytes > self.settings.max_remembered_bytes;
            if !(old || big || (many && settled)) {
                return;
            }
            self.state.forget_oldest_request();
        }
    }
}

fn repeat<R: StoredReply>(
    answered: &AnsweredRequest,
    fingerprint: &[u8; 32],
    id: &str,
) -> Result<Reply, ApiError> {
    if answered.method != R::METHOD || answered.fingerprint != *fingerprint {
        return Err(ApiError::new(
            ErrorCode::InvalidArgument,
            format!("request id `{id}` was used for another call; use a new one"),
        ));
    }
    R::decode(answered.response.as_slice())
        .map(StoredReply::into_reply)
        .map_err(|error| {
            ApiError::new(
                ErrorCode::FailedPrecondition,
                format!("the stored answer to request `{id}` cannot be read: {error}"),
            )
        })
}
