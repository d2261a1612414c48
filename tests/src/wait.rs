//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Returns what `probe` yields as soon as it yields something.
///
/// # Panics
/// If that takes longer than [`PATIENCE`]; `what` says what was waited for.
pub fn until<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe)
}

/// As [`until`], with a patience of its own.
///
/// # Panics
/// If it takes longer than `patience`.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        if watch.elapsed() > patience {
            panic!("waited for {patience:?} in vain: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As [`until`], for a condition that explains itself where it does not hold.
///
/// # Panics
/// If it takes longer than [`PATIENCE`]; the last explanation is shown.
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn until_ok<T>(mut probe: impl FnMut() -> Result<T, String>) -> T {
    let watch = Stopwatch::start();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(why) if watch.elapsed() > PATIENCE => panic!("after {PATIENCE:?} still: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Measures how long something takes.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests measure on the machine's clock"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
