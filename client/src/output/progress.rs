//! Shows how a long wait goes: one changing line on a terminal, sparse lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::Instant;

/// Least time between two lines where stderr is no terminal.
const SPARSE: Duration = Duration::from_secs(10);

/// The state of one wait's display.
pub(crate) struct Progress {
    enabled: bool,
    terminal: bool,
    shown: String,
    last: Option<Instant>,
}

impl Progress {
    pub(super) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            terminal: io::stderr().is_terminal(),
            shown: String::new(),
            last: None,
        }
    }

    /// Shows where the wait stands.
    pub(crate) fn update(&mut self, text: &str) {
        if !self.enabled || text == self.shown {
            return;
        }
        let now = Instant::now();
        if self.terminal {
            // Nobody is left to tell when stderr is gone.
            drop(write!(io::stderr(), "\r\x1b[K{text}").and_then(|()| io::stderr().flush()));
        } else {
            // Short waits stay silent in scripts and logs.
            let since = *self.last.get_or_insert(now);
            if now.duration_since(since) < SPARSE {
                return;
            }
            drop(writeln!(io::stderr(), "{text}"));
        }
        self.last = Some(now);
        text.clone_into(&mut self.shown);
    }

    /// Takes the line away again.
    pub(crate) fn clear(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            drop(write!(io::stderr(), "\r\x1b[K").and_then(|()| io::stderr().flush()));
            self.shown.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
