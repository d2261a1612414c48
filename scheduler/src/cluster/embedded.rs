//! The embedded cluster: this machine as one or several agents, in the scheduler's process.
//!
//! Tasks run in executor processes, one for each agent and role, which speak the Mesos v1 executor
//! API on loopback TCP. They outlive the scheduler and find the next one by a file.

mod agent;
mod config;
mod credentials;
mod effects;
mod endpoint;
mod error;
mod executor_dir;
mod journal;
mod leftovers;
mod lifecycle;
mod machine;
mod metrics;
mod port_ranges;
mod process;
mod recovery;
mod sandbox;
mod setup;
mod slot;
mod state;
mod sweeper;
mod task_entry;
mod task_info;
mod tree;
mod updates;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aurora_core::cluster::Effect;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::cluster::{Cluster, EventSink};

use sandbox::{is_safe_task_id, sandboxes_dir};
use state::Command;

pub use config::{AgentSize, EmbeddedConfig, ExecutorCommand, RunAs, SandboxRetention, Timeouts};
pub use error::EmbeddedError;
pub use metrics::{EmbeddedMetrics, Gauge};

// Beyond the time that executors have to end: they are killed then, and what they left, too. Only
// a process that the kernel does not let go takes longer.
const END_MARGIN: Duration = Duration::from_secs(10);
// Sandboxes may be being deleted, which the next start goes on with.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// What becomes of running tasks when the cluster is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunningTasks {
    /// They and their executors are ended.
    End,
    /// They go on, for the next scheduler to find.
    Keep,
}

/// A running embedded cluster. Dropping it stops it and leaves its executors running.
#[derive(Debug)]
pub struct EmbeddedCluster {
    commands: mpsc::UnboundedSender<Command>,
    agent_dirs: Vec<PathBuf>,
    metrics: Arc<EmbeddedMetrics>,
    tracker: TaskTracker,
    end_within: Duration,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl EmbeddedCluster {
    /// Starts the agents and takes back the executors that are there from before.
    ///
    /// `sink` hears of `Connected` first, maybe before this returns.
    ///
    /// # Errors
    ///
    /// Fails if the directories cannot be used or another scheduler uses them.
    pub async fn start(
        config: EmbeddedConfig,
        sink: EventSink,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, EmbeddedError> {
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let metrics = Arc::new(EmbeddedMetrics::default());
        let stop = CancellationToken::new();
        let parts = setup::Parts {
            config,
            sink,
            clock,
            metrics: Arc::clone(&metrics),
            commands: commands.clone(),
            stop: stop.clone(),
        };
        let end_within = parts.config.timeouts.shutdown_grace + END_MARGIN;
        let stop_on_drop = stop.clone().drop_guard();
        let tracker = TaskTracker::new();
        let agent_dirs = setup::start(parts, command_receiver, &tracker).await?;
        tracker.close();
        Ok(Arc::new(Self {
            commands,
            agent_dirs,
            metrics,
            tracker,
            end_within,
            stop,
            _stop_on_drop: stop_on_drop,
        }))
    }

    /// Returns the cluster's counters.
    pub fn metrics(&self) -> Arc<EmbeddedMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Stops the cluster; returns once nothing of it runs in this process, or in vain after a time
    /// that is enough for all but what cannot be ended.
    pub async fn shutdown(&self, running: RunningTasks) {
        if running == RunningTasks::End {
            let (done, all_ended) = oneshot::channel();
            if self.commands.send(Command::EndAll(done)).is_ok() {
                match tokio::time::timeout(self.end_within, all_ended).await {
                    // An error means that the owner has stopped already.
                    Ok(ended) => ended.unwrap_or_default(),
                    Err(_elapsed) => tracing::error!("executors do not end, and are left behind"),
                }
            }
        }
        if self.commands.send(Command::Leave).is_err() {
            tracing::debug!("the cluster was stopped before");
        }
        let left = tokio::time::timeout(LEAVE_WITHIN, self.tracker.wait());
        if left.await.is_err() {
            tracing::warn!("the embedded cluster does not end in time");
            self.stop.cancel();
        }
    }
}

impl Cluster for EmbeddedCluster {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn perform(&self, effects: Vec<Effect>) {
        if self.commands.send(Command::Perform(effects)).is_err() {
            tracing::debug!("effects after the cluster was stopped");
        }
    }

    fn sandbox(&self, task_id: &str) -> Option<PathBuf> {
        if !is_safe_task_id(task_id) {
            return None;
        }
        let sandboxes = self
            .agent_dirs
            .iter()
            .map(|dir| sandboxes_dir(dir).join(task_id));
        sandboxes.into_iter().find(|path| path.is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_shutdown_gives_up_on_what_does_not_end() {
        // Nobody obeys, as if an executor could not be ended.
        let (commands, _kept) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        tracker.spawn(stop.clone().cancelled_owned());
        tracker.close();
        let cluster = EmbeddedCluster {
            commands,
            agent_dirs: Vec::new(),
            metrics: Arc::default(),
            tracker,
            end_within: Duration::from_millis(10),
            stop: stop.clone(),
            _stop_on_drop: stop.clone().drop_guard(),
        };
        let shutdown = cluster.shutdown(RunningTasks::End);
        tokio::time::timeout(LEAVE_WITHIN * 2, shutdown)
            .await
            .expect("an end in time");
        assert!(stop.is_cancelled());
    }
}
