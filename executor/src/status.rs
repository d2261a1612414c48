//! Makes status updates.

use aurora_mesos::v1::task_status::Source;
use aurora_mesos::v1::{TaskId, TaskState, TaskStatus};
use bytes::Bytes;

use crate::clock::unix_seconds;
use crate::task_plan::Outcome;

// Updates travel through every log and table between here and the user.
const MAX_MESSAGE_CHARS: usize = 1_000;

/// What has become of a task.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) task_id: String,
    pub(crate) state: TaskState,
    pub(crate) message: Option<String>,
}

impl Report {
    pub(crate) fn new(task_id: &str, state: TaskState, message: Option<String>) -> Self {
        Self {
            task_id: task_id.to_owned(),
            state,
            message,
        }
    }

    pub(crate) fn of_outcome(task_id: &str, outcome: Outcome) -> Self {
        let (state, message) = match outcome {
            Outcome::Finished => (TaskState::TaskFinished, None),
            Outcome::Failed(message) => (TaskState::TaskFailed, Some(message)),
            Outcome::Killed(message) => (TaskState::TaskKilled, Some(message)),
        };
        Self::new(task_id, state, message)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        !matches!(self.state, TaskState::TaskStarting | TaskState::TaskRunning)
    }

    /// Returns the update, with an id of its own.
    pub(crate) fn into_status(self) -> Result<TaskStatus, getrandom::Error> {
        let message = self
            .message
            .map(|text| text.chars().take(MAX_MESSAGE_CHARS).collect());
        Ok(TaskStatus {
            task_id: TaskId {
                value: self.task_id,
            },
            state: self.state.into(),
            message,
            timestamp: Some(unix_seconds()),
            source: Some(Source::Executor.into()),
            uuid: Some(random_uuid()?),
            ..TaskStatus::default()
        })
    }
}

// Version 4: Mesos checks the version, and knows no newer one.
fn random_uuid() -> Result<Bytes, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Ok(Bytes::copy_from_slice(&bytes))
}
