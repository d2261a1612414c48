//! Marks processes so that their task is known even if they have cleared their environment.
//!
//! A limit that means nothing to ordinary processes passes on to all descendants, whatever becomes
//! of their session, directory, descriptors and variables: the processor time that a real-time
//! process may take without a pause. Marks are amounts of 146,000 years. Whoever sets the limit
//! anew loses his mark; that takes intent.

use std::fs;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

// Microseconds. Other programs set no such limit.
const FIRST: u64 = 1 << 62;
const LIMIT: &str = "Max realtime timeout";

/// A task's mark; unique in its executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Mark(u64);

impl Default for Mark {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Mark {
    /// Returns the mark after this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Has the children that this process starts from now on bear a mark.
pub(crate) fn pass_on(mark: Mark) {
    static MAXIMUM: OnceLock<Option<u64>> = OnceLock::new();
    let limit = Rlimit {
        current: Some(mark.0),
        maximum: *MAXIMUM.get_or_init(|| getrlimit(Resource::Rttime).maximum),
    };
    if let Err(error) = setrlimit(Resource::Rttime, limit) {
        // Its maximum may be below. Then the environment is all there is.
        tracing::debug!(%error, "processes cannot be marked");
    }
}

/// Returns the mark of a process, if it bears one.
pub(crate) fn of(pid: Pid) -> Option<Mark> {
    let path = format!("/proc/{}/limits", pid.as_raw_nonzero());
    parse(&fs::read_to_string(path).ok()?)
}

fn parse(limits: &str) -> Option<Mark> {
    let line = limits.lines().find_map(|line| line.strip_prefix(LIMIT))?;
    let current = line.split_ascii_whitespace().next()?.parse().ok()?;
    (FIRST <= current).then_some(Mark(current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_limits_that_nobody_else_sets_are_marks() {
        let limits = |current: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max realtime priority     0                    0                    \n\
                 Max realtime timeout      {current}            unlimited            us        \n"
            )
        };
        assert_eq!(parse(&limits("unlimited")), None);
        assert_eq!(parse(&limits("200000")), None);
        assert_eq!(parse(&limits("4611686018427387904")), Some(Mark::default()));
        assert_eq!(
            parse(&limits("4611686018427387905")),
            Some(Mark::default().next())
        );
    }
}
