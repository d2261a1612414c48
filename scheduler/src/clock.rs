//! The one place where the scheduler asks what time it is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aurora_core::time::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time; never earlier than it returned before.
    fn now(&self) -> Timestamp;
}

/// How much of the time that goes by is used to get back to the wall clock after a step of it.
const SLEW: u32 = 10;

/// The machine's clock, made steady: it runs with the monotonic clock, so that a step of the wall
/// clock ends no timeout early, and drifts back to the wall clock at a tenth of the speed of time.
#[derive(Debug)]
pub struct SystemClock {
    last: Mutex<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    monotonic: Instant,
    told: Duration,
}

impl SystemClock {
    /// Returns a clock that tells the wall clock's time now.
    pub fn new() -> Self {
        let told = wall_clock();
        Self {
            last: Mutex::new(Reading {
                monotonic: monotonic_clock(),
                told,
            }),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let monotonic = monotonic_clock();
        let passed = monotonic.saturating_duration_since(last.monotonic);
        *last = Reading {
            monotonic,
            told: advance(last.told, passed, wall_clock()),
        };
        Timestamp(i64::try_from(last.told.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Returns the next time to tell, after so much time has passed.
fn advance(told: Duration, passed: Duration, wall: Duration) -> Duration {
    let steady = told + passed;
    let slew = passed / SLEW;
    if wall >= steady {
        steady + slew.min(wall - steady)
    } else {
        steady - slew.min(steady - wall)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that others take"
)]
fn monotonic_clock() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that others take"
)]
fn wall_clock() -> Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn step_of_the_wall_clock_is_made_up_for_slowly() {
        let told = 100 * SECOND;
        let ahead = advance(told, SECOND, 4_000 * SECOND);
        assert_eq!(ahead, told + SECOND + SECOND / 10);
        let behind = advance(told, SECOND, Duration::ZERO);
        assert_eq!(behind, told + SECOND - SECOND / 10);
    }

    #[test]
    fn small_differences_are_made_up_for_at_once() {
        let wall = 101 * SECOND + Duration::from_millis(3);
        assert_eq!(advance(100 * SECOND, SECOND, wall), wall);
    }

    #[test]
    fn time_never_goes_back() {
        let clock = SystemClock::new();
        let readings: Vec<_> = (0..1_000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
    }
}
