//! Ctrl-C and SIGTERM: the first asks to stop, the second stops.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
};

/// The signals that ask the process to stop.
pub(super) struct StopSignal {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignal {
    /// Takes the signals over.
    pub(super) fn new() -> CliResult<Self> {
        let take = |kind| {
            signal(kind).map_err(|error| {
                CliError::new(ExitStatus::Unknown, "failed to listen for signals").caused_by(&error)
            })
        };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
