//! A task as the core holds it: small, since there may be millions.

use std::num::NonZeroU64;

use aurora_proto::v1::TaskState;

use crate::ids::{AgentIdx, ConfigIdx, JobIdx, TaskNumber};
use crate::time::Timestamp;

/// The events kept of one task; the oldest after the first are dropped beyond it.
const MAX_EVENTS: usize = 32;

/// The longest message kept with an event, in bytes; it comes from outside.
const MAX_MESSAGE: usize = 1_024;

/// One attempt at running one instance.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) number: TaskNumber,
    pub(crate) job: JobIdx,
    pub(crate) config: ConfigIdx,
    pub(crate) instance: u32,
    pub(crate) epoch: u32,
    pub(crate) state: TaskState,
    pub(crate) agent: Option<AgentIdx>,
    /// In the order of the configuration's names.
    pub(crate) ports: Box<[u16]>,
    pub(crate) failures: u32,
    pub(crate) times_partitioned: u32,
    /// Attempts in a row before this one that ended too soon.
    pub(crate) flaps: u32,
    pub(crate) ancestor: Option<NonZeroU64>,
    /// Oldest first; never empty.
    pub(crate) events: Vec<Event>,
    /// The store does not have it as it is.
    pub(crate) dirty: bool,
}

/// When a task came into a state, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) state: TaskState,
    pub(crate) message: Option<Box<str>>,
}

impl Task {
    pub(crate) fn is_terminal(&self) -> bool {
        is_terminal(self.state)
    }

    /// Has been given to an agent and has not ended.
    pub(crate) fn is_on_agent(&self) -> bool {
        is_on_agent(self.state)
    }

    /// When it came into its present state.
    pub(crate) fn since(&self) -> Timestamp {
        self.events.last().map_or(Timestamp(0), |event| event.at)
    }

    pub(crate) fn was_ever(&self, state: TaskState) -> bool {
        self.events.iter().any(|event| event.state == state)
    }

    pub(crate) fn push_event(&mut self, at: Timestamp, state: TaskState, message: &str) {
        if self.events.len() >= MAX_EVENTS {
            self.events.remove(1);
        }
        let mut end = MAX_MESSAGE.min(message.len());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        let message = message.split_at(end).0;
        let message = (!message.is_empty()).then(|| message.into());
        self.events.push(Event { at, state, message });
        self.state = state;
    }
}

/// The states that nothing follows.
pub fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Lost
    )
}

/// The states in which an agent has the task.
pub fn is_on_agent(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Assigned
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Preempting
            | TaskState::Restarting
            | TaskState::Draining
            | TaskState::Killing
            | TaskState::Partitioned
    )
}

/// The states that wait for the cluster and are given up after a while.
pub(crate) fn is_transient(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Assigned
            | TaskState::Preempting
            | TaskState::Restarting
            | TaskState::Draining
            | TaskState::Killing
    )
}
