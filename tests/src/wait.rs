//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
#[expect(
    clippy::disallowed_methods,
    reason = "tests wait on the machine's clock"
)]
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn within<T>(patience: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        if start.elapsed() > patience {
            panic!("waited for {patience:?} in vain: {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
