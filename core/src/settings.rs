//! What an operator may set; defaults are Aurora's unless said otherwise.

use std::time::Duration;

use crate::resources::Resources;

/// The scheduler's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Shown to users and given to tasks as `{{cluster}}`.
    pub cluster_name: String,
    /// Instances that one job may have (Aurora: 4,000).
    pub max_instances_per_job: u32,
    /// Anchored pattern of allowed environments.
    pub allowed_environments: String,
    /// The tier of jobs that name none.
    pub default_tier: String,
    /// Added to each task for its executor.
    pub executor_overhead: Resources,
    /// A run shorter than this counts as flapping.
    pub flapping_threshold: Duration,
    /// The first penalty for flapping.
    pub initial_flapping_delay: Duration,
    /// The longest penalty for flapping.
    pub max_flapping_delay: Duration,
    /// How long a task may be in a state that waits for the cluster before it counts as lost.
    pub transient_task_timeout: Duration,
    /// The first wait before a kill is sent again.
    pub initial_kill_retry: Duration,
    /// The longest wait before a kill is sent again.
    pub max_kill_retry: Duration,
    /// The first wait of a group that no host would take.
    pub initial_schedule_delay: Duration,
    /// The longest wait of a group that no host would take.
    pub max_schedule_delay: Duration,
    /// How long an unused offer is held.
    pub offer_hold: Duration,
    /// Drawn on top of `offer_hold`, evenly.
    pub offer_hold_jitter: Duration,
    /// Held offers are kept until they are used or rescinded; right for a cluster of our own.
    pub hold_offers_forever: bool,
    /// Tasks placed by one step at most, so that calls are not kept waiting.
    pub max_placements_per_step: usize,
    /// Ended tasks younger than this are kept whatever their number.
    pub history_min_retention: Duration,
    /// Ended tasks older than this are deleted.
    pub history_max_age: Duration,
    /// Ended tasks of one job beyond this number are deleted, oldest first.
    pub history_max_per_job: usize,
    /// Answers are remembered this long for retries of the same request.
    pub request_retention: Duration,
    /// Answers remembered at most.
    pub max_remembered_requests: usize,
    /// Bytes of answers remembered at most.
    pub max_remembered_bytes: usize,
    /// How often tasks are compared with the cluster's.
    pub reconcile_interval: Duration,
}

impl Settings {
    /// Returns these settings with every wait long enough not to spin.
    #[must_use]
    pub(crate) fn sane(mut self) -> Self {
        for wait in [
            &mut self.initial_kill_retry,
            &mut self.max_kill_retry,
            &mut self.initial_schedule_delay,
            &mut self.max_schedule_delay,
            &mut self.offer_hold,
            &mut self.reconcile_interval,
        ] {
            *wait = (*wait).max(Duration::from_millis(10));
        }
        self.max_placements_per_step = self.max_placements_per_step.max(1);
        self
    }
}

impl Default for Settings {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Self {
            cluster_name: "local".to_owned(),
            max_instances_per_job: 10_000,
            allowed_environments: r"prod|devel|test|staging\d*".to_owned(),
            default_tier: "preemptible".to_owned(),
            executor_overhead: Resources::default(),
            flapping_threshold: minutes(5),
            initial_flapping_delay: Duration::from_secs(30),
            max_flapping_delay: minutes(5),
            transient_task_timeout: minutes(5),
            initial_kill_retry: Duration::from_secs(15),
            max_kill_retry: minutes(5),
            initial_schedule_delay: Duration::from_secs(1),
            max_schedule_delay: minutes(1),
            offer_hold: minutes(5),
            offer_hold_jitter: minutes(1),
            hold_offers_forever: false,
            max_placements_per_step: 2_000,
            history_min_retention: minutes(60),
            history_max_age: minutes(2 * 24 * 60),
            history_max_per_job: 100,
            request_retention: minutes(24 * 60),
            max_remembered_requests: 100_000,
            max_remembered_bytes: 64 << 20,
            reconcile_interval: minutes(5),
        }
    }
}
