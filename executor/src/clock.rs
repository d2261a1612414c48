//! The only place that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time, as the time since the executor started. Plans know no other.
pub type Moment = Duration;

// Ten years. Instants overflow, durations of users may say anything.
const FAR: Moment = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Tells the time of one executor.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts to count.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the rest is handed"
    )]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Returns the instant of `moment`, for timers; far moments are moved to some that fit.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.started + moment.min(FAR))
    }
}

/// Returns the wall clock's time, in seconds since the epoch.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that the rest is handed"
)]
pub fn unix_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}
