//! Counters of the embedded cluster, for whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters and gauges; shared, and read at any time.
#[derive(Debug, Default)]
pub struct EmbeddedMetrics {
    /// Executors whose process lives.
    pub executors: Gauge,
    /// Tasks whose end the core has not acknowledged.
    pub tasks: Gauge,
    /// Sandboxes of ended tasks that are still there.
    pub kept_sandboxes: Gauge,
    /// Executors started.
    pub executor_starts: Gauge,
    /// Executors that ended with tasks of theirs alive.
    pub executor_losses: Gauge,
    /// Tasks taken for launch.
    pub launches: Gauge,
    /// Launches that came to nothing.
    pub dropped_launches: Gauge,
    /// Updates from executors.
    pub updates: Gauge,
    /// Sandboxes deleted.
    pub deleted_sandboxes: Gauge,
}

/// A number that many may change.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Returns the number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}
