//! The settings of an executor.

use std::path::PathBuf;
use std::time::Duration;

use aurora_mesos::duration::{ParseDurationError, parse_duration};
use aurora_mesos::executor_env::ExecutorEnv;

use crate::shim::Shim;

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
// What Mesos' own executors wait.
const DEFAULT_ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an executor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Ends with its tasks.
    Tasks,
    /// Runs task after task, until it has had none for this long.
    Shared {
        /// The time without tasks.
        idle_timeout: Duration,
    },
}

/// The settings of an executor.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// How long it lives.
    pub lifetime: Lifetime,
    /// How long acknowledgements of the last updates are waited for.
    pub acknowledge_timeout: Duration,
    /// The time to end once the agent says SHUTDOWN.
    pub shutdown_grace: Duration,
    /// The sandbox of a task that names none.
    pub default_sandbox: PathBuf,
    /// How to start this program as the shim that changes users.
    pub shim: Shim,
}

impl ExecutorConfig {
    /// Reads `AURORA_EXECUTOR_SHARED` and `AURORA_EXECUTOR_IDLE_TIMEOUT` through `lookup`.
    ///
    /// # Errors
    ///
    /// Fails if the time is malformed.
    pub fn from_env(
        env: &ExecutorEnv,
        shim: Shim,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ParseDurationError> {
        let lifetime = if lookup("AURORA_EXECUTOR_SHARED").as_deref() == Some("1") {
            let idle_timeout = match lookup("AURORA_EXECUTOR_IDLE_TIMEOUT") {
                Some(text) => parse_duration(&text)?,
                None => DEFAULT_IDLE_TIMEOUT,
            };
            Lifetime::Shared { idle_timeout }
        } else {
            Lifetime::Tasks
        };
        let root = env
            .sandbox
            .clone()
            .or_else(|| env.directory.clone())
            .unwrap_or_default();
        Ok(Self {
            lifetime,
            acknowledge_timeout: DEFAULT_ACKNOWLEDGE_TIMEOUT,
            shutdown_grace: env.shutdown_grace_period,
            default_sandbox: root.join("sandbox"),
            shim,
        })
    }
}
