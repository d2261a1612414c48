//! Why the embedded cluster cannot start.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A cluster that could not be started.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// A file or directory cannot be used.
    #[error("failed to {attempt} `{path}`")]
    File {
        /// What was attempted.
        attempt: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another scheduler uses the directory.
    #[error("another scheduler uses `{0}`")]
    Locked(PathBuf),
    /// The machine does not say what it has.
    #[error("failed to find out the machine's {what}")]
    Machine {
        /// What was asked for.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Executors have nowhere to connect to.
    #[error("failed to listen for executors on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// No agent has this number.
    #[error("there is no agent number {0}")]
    NoSuchAgent(usize),
    /// The port range does not give a port to every agent.
    #[error("the port range holds fewer ports than there are agents")]
    TooFewPorts,
    /// The system gave no random numbers.
    #[error("failed to get random numbers")]
    Random(#[source] getrandom::Error),
}

impl EmbeddedError {
    /// Returns a function that says what was attempted with which file.
    pub(super) fn file(
        attempt: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            attempt,
            path,
            source,
        }
    }
}
