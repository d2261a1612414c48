//! Clusters: where tasks run. The core speaks to all of them through one trait.

pub mod embedded;

use std::path::PathBuf;
use std::sync::Arc;

use aurora_core::cluster::{ClusterEvent, Effect};

/// Takes a cluster's events to the engine; never blocks.
pub type EventSink = Arc<dyn Fn(ClusterEvent) + Send + Sync>;

/// A cluster that has been started and reports to an [`EventSink`].
pub trait Cluster: Send + Sync + 'static {
    /// The engine's name, as in `--engine`.
    fn name(&self) -> &'static str;

    /// Carries out effects in the order given. Only queues them: the engine waits for this call.
    fn perform(&self, effects: Vec<Effect>);

    /// The sandbox of a task on this machine, while it exists.
    fn sandbox(&self, task_id: &str) -> Option<PathBuf>;
}
