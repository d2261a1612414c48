//! The seam between an executor and its agent.

use aurora_mesos::executor_client::{AgentEvent, ExecutorClient};
use aurora_mesos::v1::TaskStatus;

/// Brings events of an agent and takes updates to it.
///
/// A link repeats each update until the agent acknowledges it, over any number of connections.
pub trait AgentLink: Send {
    /// Waits for the next event. Cancelling loses nothing.
    fn next_event(&mut self) -> impl Future<Output = AgentEvent> + Send;

    /// Sends an update. Updates arrive in the order of the calls.
    fn send_update(&mut self, status: TaskStatus);
}

impl AgentLink for ExecutorClient {
    fn next_event(&mut self) -> impl Future<Output = AgentEvent> + Send {
        Self::next_event(self)
    }

    fn send_update(&mut self, status: TaskStatus) {
        Self::send_update(self, status);
    }
}
