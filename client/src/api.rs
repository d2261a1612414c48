//! Calls to a scheduler: connects, retries what is safe to retry, and words the failures.

use std::{error::Error, time::Duration};

use aurora_proto::v1::{
    self, admin_service_client::AdminServiceClient, read_service_client::ReadServiceClient,
    scheduler_service_client::SchedulerServiceClient,
};
use clap::Args;
use tokio::time::{self, Instant};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::{
    clusters::{Cluster, Clusters},
    duration::{format_duration, parse_duration},
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

mod calls;
pub(crate) mod request;

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The first pause before a call is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest pause before a call is tried again.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A page of tasks with long events stays far below it.
const MAX_MESSAGE: usize = 256 << 20;

/// How to reach the scheduler; part of every verb that asks one.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    /// Ask the scheduler at this URL, whatever clusters.json says
    #[arg(
        long,
        env = "AURORA_SCHEDULER_URI",
        value_name = "URL",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub(crate) scheduler_uri: Option<String>,
    /// Longest wait for one answer, and how long to retry once the connection has broken
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse_duration,
        help_heading = "Connection"
    )]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl ClientArgs {
    /// Returns where to print.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// Connects to the scheduler of a cluster.
    pub(crate) async fn connect(&self, cluster: &str) -> CliResult<Api> {
        if let Some(uri) = &self.scheduler_uri {
            let api = Api::connect(cluster, uri, self.timeout).await?;
            api.must_serve(cluster).await?;
            return Ok(api);
        }
        let clusters = Clusters::load(self.output())?;
        let cluster = clusters.get(cluster)?;
        Api::connect(&cluster.name, cluster.uri()?, self.timeout).await
    }

    /// Returns the clusters that a pattern names.
    pub(crate) fn clusters(&self, pattern: &str) -> CliResult<Vec<Cluster>> {
        if let Some(uri) = &self.scheduler_uri {
            return Ok(vec![Cluster {
                name: pattern.to_owned(),
                scheduler_uri: Some(uri.clone()),
                declared_in: None,
            }]);
        }
        let clusters = Clusters::load(self.output())?;
        Ok(clusters.matching(pattern)?.into_iter().cloned().collect())
    }

    /// Connects to one of the clusters that `clusters` returned.
    pub(crate) async fn connect_to(&self, cluster: &Cluster) -> CliResult<Api> {
        let mut api = Api::connect(&cluster.name, cluster.uri()?, self.timeout).await?;
        if self.scheduler_uri.is_some() {
            if cluster.name.contains(['*', '?']) {
                api.cluster = api.server_info().await?.cluster_name;
            } else {
                api.must_serve(&cluster.name).await?;
            }
        }
        Ok(api)
    }
}

/// A connection to one scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    channel: Channel,
    uri: String,
    /// The cluster it serves, as keys name it.
    pub(crate) cluster: String,
    timeout: Duration,
}

/// Whether a call changes something, which decides how its failure is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind<'a> {
    Read,
    /// Holds the request id that makes a repetition safe.
    Mutation(&'a str),
}

impl Api {
    /// Connects, so that a scheduler that is not there is told at once.
    pub(crate) async fn connect(cluster: &str, uri: &str, timeout: Duration) -> CliResult<Self> {
        let uri = normalized(uri)?;
        let endpoint = Endpoint::from_shared(uri.clone())
            .map_err(|error| invalid_uri(&uri, "not a URL").caused_by(&error))?
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| unreachable(&uri, &error))?;
        Ok(Self {
            channel,
            uri,
            cluster: cluster.to_owned(),
            timeout,
        })
    }

    /// Refuses to talk to the scheduler of another cluster: a URL in the environment is easily
    /// forgotten, and keys must mean what they say.
    async fn must_serve(&self, cluster: &str) -> CliResult {
        let served = self.server_info().await?.cluster_name;
        if served == cluster {
            return Ok(());
        }
        let message = format!(
            "the scheduler at {} serves cluster `{served}`, not `{cluster}`",
            self.uri
        );
        Err(CliError::new(ExitStatus::InvalidConfig, message)
            .hint("name that cluster in the key, or change --scheduler-uri (AURORA_SCHEDULER_URI)"))
    }

    fn reads(&self) -> ReadServiceClient<Channel> {
        ReadServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    fn scheduler(&self) -> SchedulerServiceClient<Channel> {
        SchedulerServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Sends until an answer comes: a call that broke with the connection is sent again, the same
    /// in every byte, until the timeout.
    async fn call<T, F>(
        &self,
        what: &str,
        kind: CallKind<'_>,
        mut send: impl FnMut() -> F,
    ) -> CliResult<T>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let mut pause = FIRST_RETRY;
        loop {
            let status = match time::timeout_at(deadline, send()).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_elapsed) => return Err(self.too_late(what, kind)),
            };
            if !is_transport_failure(&status) {
                return Err(refused(what, &status));
            }
            if Instant::now() + pause >= deadline {
                return Err(self.connection_lost(what, kind, &status));
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
        }
    }

    fn too_late(&self, what: &str, kind: CallKind<'_>) -> CliError {
        let waited = format_duration(self.timeout);
        let message = format!(
            "no answer from {} within {waited} on trying to {what}",
            self.uri
        );
        CliError::new(ExitStatus::Timeout, message).maybe_hint(repeat_hint(kind))
    }

    fn connection_lost(&self, what: &str, kind: CallKind<'_>, status: &Status) -> CliError {
        let waited = format_duration(self.timeout);
        let message = format!(
            "lost the connection to {} on trying to {what}, and {waited} of retries did not help",
            self.uri
        );
        CliError::new(ExitStatus::Network, message)
            .caused_by(&TransportFailure(status.message().to_owned()))
            .maybe_hint(repeat_hint(kind))
    }
}

/// Tells whether a call failed on its way, so that the scheduler may or may not have had it.
pub(crate) fn is_transport_failure(status: &Status) -> bool {
    // A status that came over the wire has no source; one made up for a broken connection has.
    status.code() == tonic::Code::Unavailable || status.source().is_some()
}

/// Words an answer that is no success.
pub(crate) fn refused(what: &str, status: &Status) -> CliError {
    let exit = ExitStatus::of_grpc(status.code());
    let said = match status.message() {
        "" => status.code().description(),
        message => message,
    };
    let message = match exit {
        ExitStatus::InvalidParameter => said.to_owned(),
        ExitStatus::Refused if status.code() == tonic::Code::Unimplemented => {
            format!("the scheduler cannot {what}: {said}")
        }
        ExitStatus::Refused => format!("the scheduler refused to {what}: {said}"),
        ExitStatus::Ok
        | ExitStatus::Usage
        | ExitStatus::InvalidConfig
        | ExitStatus::CommandFailed
        | ExitStatus::Network
        | ExitStatus::Timeout
        | ExitStatus::Unknown
        | ExitStatus::Authentication
        | ExitStatus::Interrupted => format!("failed to {what}: {said}"),
    };
    CliError::new(exit, message)
}

fn unreachable(uri: &str, error: &tonic::transport::Error) -> CliError {
    CliError::new(
        ExitStatus::Network,
        format!("no scheduler answers at {uri}"),
    )
    .caused_by(&TransportFailure(deepest(error)))
    .hint(
        "start one with `aurora-rs dev` or `aurora-rs scheduler`, or set --scheduler-uri \
             (AURORA_SCHEDULER_URI) or clusters.json to where yours listens",
    )
}

fn repeat_hint(kind: CallKind<'_>) -> Option<String> {
    match kind {
        CallKind::Read => None,
        CallKind::Mutation(id) => Some(format!(
            "whether it took effect is not known; repeat the command with --request-id {id}, which \
             cannot apply it twice"
        )),
    }
}

/// The layers above say no more than "transport error".
fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[derive(Debug)]
struct TransportFailure(String);

impl std::fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for TransportFailure {}

fn invalid_uri(uri: &str, what: &str) -> CliError {
    CliError::new(
        ExitStatus::InvalidConfig,
        format!("scheduler address `{uri}` is {what}"),
    )
    .hint("an address looks like http://scheduler.example:8081")
}

/// Returns the address with its scheme and without what stands behind host and port.
fn normalized(uri: &str) -> CliResult<String> {
    let text = uri.trim();
    let host = match text.split_once("://") {
        Some(("http", host)) => host,
        Some(("https", _)) => {
            return Err(invalid_uri(uri, "over TLS, which is not in this release"));
        }
        Some(_) => return Err(invalid_uri(uri, "neither http nor empty of a scheme")),
        None => text,
    };
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    if matches!(host.split(':').next(), None | Some(""))
        || host.ends_with(':')
        || host.contains(char::is_whitespace)
    {
        return Err(invalid_uri(uri, "not HOST or HOST:PORT"));
    }
    Ok(format!("http://{host}"))
}

/// Returns whether the failure says that nothing of that name exists.
pub(crate) fn is_not_found(error: &CliError) -> bool {
    error.status() == ExitStatus::InvalidParameter
}

/// Returns the tasks of a response with the configurations that they name.
pub(crate) type TasksAndConfigs = (
    Vec<v1::Task>,
    std::collections::HashMap<String, v1::TaskConfig>,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_brought_into_one_form() {
        for (text, expected) in [
            ("127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://a.example:80/scheduler/", "http://a.example:80"),
            (" http://h ", "http://h"),
        ] {
            assert_eq!(normalized(text).unwrap(), expected);
        }
        for wrong in ["https://a", "zk://a/b", "http://", "", "a b"] {
            let error = normalized(wrong).unwrap_err();
            assert_eq!(error.status(), ExitStatus::InvalidConfig, "{wrong}");
        }
    }

    #[test]
    fn refusal_says_what_was_attempted() {
        let error = refused(
            "create the job",
            &Status::already_exists("job x has instances"),
        );
        assert_eq!(error.status(), ExitStatus::Refused);
        assert_eq!(
            error.to_string(),
            "the scheduler refused to create the job: job x has instances"
        );
    }
}
