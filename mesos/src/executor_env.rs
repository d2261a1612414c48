//! What an agent tells an executor through its environment.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::duration::{ParseDurationError, parse_duration};

/// The variable with the secret that must reach no child.
pub const TOKEN_VARIABLE: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";

const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(2);
const DEFAULT_SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointSource {
    /// Always at this `ip:port`.
    Fixed(String),
    /// At the `ip:port` that this file holds at the moment; read anew for every connection.
    ///
    /// The embedded cluster's agent listens on another port after each restart.
    File(PathBuf),
}

/// A secret that is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The settings of an executor's connection to its agent.
#[derive(Debug, Clone)]
pub struct ExecutorEnv {
    /// Where the agent is.
    pub endpoint: EndpointSource,
    /// Which framework the executor belongs to.
    pub framework_id: String,
    /// What the executor is called.
    pub executor_id: String,
    /// The sandbox as the host sees it.
    pub directory: Option<PathBuf>,
    /// The sandbox as the executor sees it.
    pub sandbox: Option<PathBuf>,
    /// Whether the executor is to outlive a restart of the agent.
    pub checkpoint: bool,
    /// How long a lost agent is waited for.
    pub recovery_timeout: Duration,
    /// The longest pause before another attempt to subscribe.
    pub subscription_backoff_max: Duration,
    /// From SHUTDOWN until the agent kills the executor.
    pub shutdown_grace_period: Duration,
    /// Sent as bearer token with every call.
    pub token: Option<Secret>,
}

/// An environment that is no executor's.
#[derive(Debug, Error)]
pub enum ExecutorEnvError {
    /// A variable that every agent sets is not there.
    #[error("environment variable `{0}` is not set: is this started by an agent?")]
    Missing(&'static str),
    /// A duration cannot be read.
    #[error("failed to read environment variable `{variable}`")]
    Duration {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        #[source]
        source: ParseDurationError,
    },
}

impl ExecutorEnv {
    /// Reads the environment of this process.
    ///
    /// # Errors
    ///
    /// Fails if a required variable is missing or a duration is malformed.
    pub fn from_process() -> Result<Self, ExecutorEnvError> {
        Self::from_lookup(|variable| std::env::var(variable).ok())
    }

    /// Reads an environment through `lookup`.
    ///
    /// # Errors
    ///
    /// Fails if a required variable is missing or a duration is malformed.
    pub fn from_lookup(
        lookup: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ExecutorEnvError> {
        let required = |name| lookup(name).ok_or(ExecutorEnvError::Missing(name));
        let duration = |variable, default| match lookup(variable) {
            None => Ok(default),
            Some(text) => parse_duration(&text)
                .map_err(|source| ExecutorEnvError::Duration { variable, source }),
        };
        let endpoint = match lookup("AURORA_AGENT_ENDPOINT_FILE") {
            Some(path) => EndpointSource::File(path.into()),
            None => EndpointSource::Fixed(required("MESOS_AGENT_ENDPOINT")?),
        };
        Ok(Self {
            endpoint,
            framework_id: required("MESOS_FRAMEWORK_ID")?,
            executor_id: required("MESOS_EXECUTOR_ID")?,
            directory: lookup("MESOS_DIRECTORY").map(PathBuf::from),
            sandbox: lookup("MESOS_SANDBOX").map(PathBuf::from),
            // The documentation says "true", the code of Mesos "1".
            checkpoint: matches!(lookup("MESOS_CHECKPOINT").as_deref(), Some("1" | "true")),
            recovery_timeout: duration("MESOS_RECOVERY_TIMEOUT", DEFAULT_RECOVERY_TIMEOUT)?,
            subscription_backoff_max: duration(
                "MESOS_SUBSCRIPTION_BACKOFF_MAX",
                DEFAULT_BACKOFF_MAX,
            )?,
            shutdown_grace_period: duration(
                "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                DEFAULT_SHUTDOWN_GRACE,
            )?,
            token: lookup(TOKEN_VARIABLE).map(Secret::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<ExecutorEnv, ExecutorEnvError> {
        ExecutorEnv::from_lookup(|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn reads_what_a_checkpointing_agent_sets() {
        let env = read(&[
            ("MESOS_AGENT_ENDPOINT", "10.0.0.1:5051"),
            ("MESOS_FRAMEWORK_ID", "f"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_CHECKPOINT", "1"),
            ("MESOS_RECOVERY_TIMEOUT", "1hrs"),
            (TOKEN_VARIABLE, "hush"),
        ])
        .unwrap();
        assert_eq!(
            env.endpoint,
            EndpointSource::Fixed("10.0.0.1:5051".to_owned())
        );
        assert!(env.checkpoint);
        assert_eq!(env.recovery_timeout, Duration::from_secs(3_600));
        assert_eq!(env.subscription_backoff_max, DEFAULT_BACKOFF_MAX);
        assert!(!format!("{env:?}").contains("hush"));
    }

    #[test]
    fn the_endpoint_file_goes_before_the_fixed_endpoint() {
        let env = read(&[
            ("MESOS_AGENT_ENDPOINT", "10.0.0.1:5051"),
            ("AURORA_AGENT_ENDPOINT_FILE", "/run/agent"),
            ("MESOS_FRAMEWORK_ID", "f"),
            ("MESOS_EXECUTOR_ID", "e"),
        ])
        .unwrap();
        assert_eq!(env.endpoint, EndpointSource::File("/run/agent".into()));
        assert!(!env.checkpoint);
    }

    #[test]
    fn names_what_is_missing_or_malformed() {
        assert!(matches!(
            read(&[]),
            Err(ExecutorEnvError::Missing("MESOS_AGENT_ENDPOINT"))
        ));
        let malformed = read(&[
            ("MESOS_AGENT_ENDPOINT", "a:1"),
            ("MESOS_FRAMEWORK_ID", "f"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_RECOVERY_TIMEOUT", "soon"),
        ]);
        assert!(
            matches!(malformed, Err(ExecutorEnvError::Duration { variable, .. })
            if variable == "MESOS_RECOVERY_TIMEOUT")
        );
    }
}
