//! What has happened since the start, for metrics.

/// Counts of events; each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls that could have changed something.
    pub calls: u64,
    /// Of those, refused.
    pub calls_refused: u64,
    /// Changes of a task's state.
    pub transitions: u64,
    /// Changes that were asked for and are not legal.
    pub illegal_transitions: u64,
    /// Turns of task groups.
    pub schedule_attempts: u64,
    /// Turns that placed nothing.
    pub schedule_attempts_no_match: u64,
    /// Tasks given to agents.
    pub placements: u64,
    /// Tasks lost for want of news.
    pub timed_out_tasks: u64,
    /// Kills sent again.
    pub task_kill_retries: u64,
    /// Status updates from the cluster.
    pub status_updates: u64,
    /// Status updates about tasks that are not known.
    pub status_updates_unknown_task: u64,
    /// Offers that came.
    pub offers_received: u64,
    /// Offers that were withdrawn.
    pub offers_rescinded: u64,
    /// Offers given back unused.
    pub offers_declined: u64,
    /// Replacements that have to serve a penalty.
    pub throttled_tasks: u64,
    /// Comparisons with the cluster's tasks.
    pub reconciliations: u64,
    /// Records of ended tasks deleted.
    pub pruned_tasks: u64,
}
