//! What the server can be told: by flag, environment or file, in this order of weight.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use aurora_core::settings::Settings;
use clap::{Args, ValueEnum};

use crate::{byte_size::ByteSize, clusters::LOCAL, duration::parse_duration};

/// The options that `dev` and `scheduler` share.
#[derive(Args, Clone, Debug)]
pub(crate) struct OptionArgs {
    /// Read options from this TOML file; its keys are the names of the options, and an option given
    /// here or in the environment wins
    #[arg(long, env = "AURORA_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address of gRPC, JSON, metrics and web page [default: 127.0.0.1:8081]
    #[arg(long, env = "AURORA_LISTEN", value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Name of the cluster, the first part of job keys
    #[arg(long, env = "AURORA_CLUSTER_NAME", value_name = "NAME", default_value = LOCAL,
        value_parser = parse_cluster_name)]
    cluster_name: String,
    /// What runs the tasks; this release has `embedded`, which is this machine
    #[arg(
        long,
        env = "AURORA_ENGINE",
        value_name = "ENGINE",
        default_value = "embedded"
    )]
    engine: Engine,
    /// Form of log lines on stderr
    #[arg(long, env = "AURORA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text,
        value_name = "FORMAT", help_heading = "Logging")]
    pub(crate) log_format: LogFormat,
    /// What to log: error, warn, info, debug, trace, or parts of the program as in
    /// `info,aurora_scheduler=debug` [default: info for `scheduler`, warn for `dev`]
    #[arg(
        long,
        env = "AURORA_LOG_LEVEL",
        value_name = "LEVEL",
        help_heading = "Logging"
    )]
    pub(crate) log_level: Option<String>,
    #[command(flatten)]
    agents: AgentArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    timing: TimingArgs,
    #[command(flatten)]
    history: HistoryArgs,
}

/// The machine that the embedded cluster offers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Embedded cluster")]
struct AgentArgs {
    /// Agents to offer; each has the resources below
    #[arg(long, env = "AURORA_AGENTS", value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    agents: u32,
    /// Cores of each agent [default: those of this machine]
    #[arg(long, env = "AURORA_AGENT_CPUS", value_name = "CORES", value_parser = parse_cpus)]
    agent_cpus: Option<f64>,
    /// Memory of each agent [default: that of this machine]
    #[arg(long, env = "AURORA_AGENT_RAM", value_name = "SIZE")]
    agent_ram: Option<ByteSize>,
    /// Disk of each agent [default: what is free where the sandboxes are]
    #[arg(long, env = "AURORA_AGENT_DISK", value_name = "SIZE")]
    agent_disk: Option<ByteSize>,
    /// GPUs of each agent
    #[arg(long, env = "AURORA_AGENT_GPUS", value_name = "N", default_value_t = 0)]
    agent_gpus: u32,
    /// Attribute of the agents, for constraints of jobs; repeat for more
    #[arg(long = "agent-attribute", env = "AURORA_AGENT_ATTRIBUTE", value_name = "NAME=VALUE",
        value_delimiter = ',', value_parser = parse_attribute)]
    agent_attributes: Vec<(String, String)>,
    /// Ports that tasks may be given
    #[arg(
        long,
        env = "AURORA_PORT_RANGE",
        value_name = "FIRST-LAST",
        default_value = "31000-32000"
    )]
    port_range: PortRange,
}

/// What is kept on disk.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Storage")]
struct StorageArgs {
    /// Time between two snapshots of the state
    #[arg(long, env = "AURORA_SNAPSHOT_INTERVAL", value_name = "DURATION", default_value = "1h",
        value_parser = parse_duration)]
    snapshot_interval: Duration,
    /// Snapshots to keep
    #[arg(long, env = "AURORA_MAX_SNAPSHOTS", value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..))]
    max_snapshots: u32,
    /// Sandboxes of ended tasks are deleted after this time
    #[arg(long, env = "AURORA_SANDBOX_MAX_AGE", value_name = "DURATION", default_value = "2days",
        value_parser = parse_duration)]
    sandbox_max_age: Duration,
    /// Disk for sandboxes of ended tasks; beyond it the oldest are deleted
    #[arg(
        long,
        env = "AURORA_SANDBOX_MAX_BYTES",
        value_name = "SIZE",
        default_value = "10GB"
    )]
    sandbox_max_bytes: ByteSize,
}

/// What jobs may ask for.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// Instances that one job may have; job files allow at most 10,000
    #[arg(long, env = "AURORA_MAX_INSTANCES_PER_JOB", value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..))]
    max_instances_per_job: u32,
    /// Pattern that the environments of jobs must match as a whole; job files allow only those of the
    /// default, so this can narrow them
    #[arg(
        long,
        env = "AURORA_ALLOWED_ENVIRONMENTS",
        value_name = "REGEX",
        default_value = r"prod|devel|test|staging\d*"
    )]
    allowed_environments: String,
    /// Tier of jobs that name none
    #[arg(long, env = "AURORA_DEFAULT_TIER", value_name = "TIER", default_value = "preemptible",
        value_parser = ["preferred", "preemptible", "revocable"])]
    default_tier: String,
    /// Tasks that one step places at most, so that calls are not kept waiting
    #[arg(long, env = "AURORA_MAX_PLACEMENTS_PER_STEP", value_name = "N", default_value_t = 2_000,
        value_parser = parse_positive)]
    max_placements_per_step: usize,
}

/// How long the scheduler waits for what.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Timing")]
struct TimingArgs {
    /// A run shorter than this counts as flapping
    #[arg(long, env = "AURORA_FLAPPING_THRESHOLD", value_name = "DURATION", default_value = "5m",
        value_parser = parse_duration)]
    flapping_threshold: Duration,
    /// First penalty for flapping
    #[arg(long, env = "AURORA_INITIAL_FLAPPING_DELAY", value_name = "DURATION",
        default_value = "30s", value_parser = parse_duration)]
    initial_flapping_delay: Duration,
    /// Longest penalty for flapping
    #[arg(long, env = "AURORA_MAX_FLAPPING_DELAY", value_name = "DURATION", default_value = "5m",
        value_parser = parse_duration)]
    max_flapping_delay: Duration,
    /// How long a task may wait for the cluster before it counts as lost
    #[arg(long, env = "AURORA_TRANSIENT_TASK_TIMEOUT", value_name = "DURATION",
        default_value = "5m", value_parser = parse_duration)]
    transient_task_timeout: Duration,
    /// First wait before a kill is sent again
    #[arg(long, env = "AURORA_INITIAL_KILL_RETRY", value_name = "DURATION", default_value = "15s",
        value_parser = parse_duration)]
    initial_kill_retry: Duration,
    /// Longest wait before a kill is sent again
    #[arg(long, env = "AURORA_MAX_KILL_RETRY", value_name = "DURATION", default_value = "5m",
        value_parser = parse_duration)]
    max_kill_retry: Duration,
    /// First wait of instances that no host would take
    #[arg(long, env = "AURORA_INITIAL_SCHEDULE_DELAY", value_name = "DURATION",
        default_value = "1s", value_parser = parse_duration)]
    initial_schedule_delay: Duration,
    /// Longest wait of instances that no host would take
    #[arg(long, env = "AURORA_MAX_SCHEDULE_DELAY", value_name = "DURATION", default_value = "1m",
        value_parser = parse_duration)]
    max_schedule_delay: Duration,
    /// How long an unused offer is held
    #[arg(long, env = "AURORA_OFFER_HOLD", value_name = "DURATION", default_value = "5m",
        value_parser = parse_duration)]
    offer_hold: Duration,
    /// Drawn on top of the hold time, evenly
    #[arg(long, env = "AURORA_OFFER_HOLD_JITTER", value_name = "DURATION", default_value = "1m",
        value_parser = parse_duration)]
    offer_hold_jitter: Duration,
    /// How often tasks are compared with the cluster's
    #[arg(long, env = "AURORA_RECONCILE_INTERVAL", value_name = "DURATION", default_value = "5m",
        value_parser = parse_duration)]
    reconcile_interval: Duration,
}

/// What the scheduler remembers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "History")]
struct HistoryArgs {
    /// Ended tasks younger than this are kept whatever their number
    #[arg(long, env = "AURORA_HISTORY_MIN_RETENTION", value_name = "DURATION",
        default_value = "1h", value_parser = parse_duration)]
    history_min_retention: Duration,
    /// Ended tasks older than this are forgotten
    #[arg(long, env = "AURORA_HISTORY_MAX_AGE", value_name = "DURATION", default_value = "2days",
        value_parser = parse_duration)]
    history_max_age: Duration,
    /// Ended tasks of one job beyond this number are forgotten, oldest first
    #[arg(
        long,
        env = "AURORA_HISTORY_MAX_PER_JOB",
        value_name = "N",
        default_value_t = 100
    )]
    history_max_per_job: usize,
    /// How long the answer to a request is remembered for its repetition
    #[arg(long, env = "AURORA_REQUEST_RETENTION", value_name = "DURATION", default_value = "1day",
        value_parser = parse_duration)]
    request_retention: Duration,
    /// Answers to remember at most
    #[arg(
        long,
        env = "AURORA_MAX_REMEMBERED_REQUESTS",
        value_name = "N",
        default_value_t = 100_000
    )]
    max_remembered_requests: usize,
}

/// What runs the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// This machine.
    Embedded,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON document a line
    Json,
}

/// Ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

/// Who runs the processes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// The user that the role names; a task whose role is no user fails.
    Role,
    /// That user where the scheduler may take it on and it exists, else the scheduler's own.
    RoleOrSelf,
}

/// Everything that the server needs to know.
#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) agents: u32,
    /// Of each agent; absent means what this machine has.
    pub(crate) agent_cpus: Option<f64>,
    pub(crate) agent_ram_bytes: Option<u64>,
    pub(crate) agent_disk_bytes: Option<u64>,
    pub(crate) agent_gpus: u32,
    pub(crate) agent_attributes: Vec<(String, String)>,
    pub(crate) port_range: PortRange,
    pub(crate) run_as: RunAs,
    pub(crate) snapshot_interval: Duration,
    pub(crate) max_snapshots: u32,
    pub(crate) sandbox_max_age: Duration,
    pub(crate) sandbox_max_bytes: u64,
    /// With the cluster's name; what only the engine knows is left at its default.
    pub(crate) settings: Settings,
}

impl OptionArgs {
    /// Returns the options of a server with its state in `data_dir`.
    pub(crate) fn resolve(
        &self,
        listen: SocketAddr,
        data_dir: PathBuf,
        run_as: RunAs,
    ) -> ServerOptions {
        // Another engine will have options of its own.
        let Engine::Embedded = self.engine;
        let (agents, storage) = (&self.agents, &self.storage);
        ServerOptions {
            listen,
            data_dir,
            agents: agents.agents,
            agent_cpus: agents.agent_cpus,
            agent_ram_bytes: agents.agent_ram.map(ByteSize::bytes),
            agent_disk_bytes: agents.agent_disk.map(ByteSize::bytes),
            agent_gpus: agents.agent_gpus,
            agent_attributes: agents.agent_attributes.clone(),
            port_range: agents.port_range,
            run_as,
            snapshot_interval: storage.snapshot_interval,
            max_snapshots: storage.max_snapshots,
            sandbox_max_age: storage.sandbox_max_age,
            sandbox_max_bytes: storage.sandbox_max_bytes.bytes(),
            settings: self.settings(),
        }
    }

    /// Returns the address to listen on.
    pub(crate) fn listen_or_default(&self) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8081)))
    }

    fn settings(&self) -> Settings {
        let Self {
            limits,
            timing,
            history,
            ..
        } = self;
        Settings {
            cluster_name: self.cluster_name.clone(),
            max_instances_per_job: limits.max_instances_per_job,
            allowed_environments: limits.allowed_environments.clone(),
            default_tier: limits.default_tier.clone(),
            max_placements_per_step: limits.max_placements_per_step,
            flapping_threshold: timing.flapping_threshold,
            initial_flapping_delay: timing.initial_flapping_delay,
            max_flapping_delay: timing.max_flapping_delay,
            transient_task_timeout: timing.transient_task_timeout,
            initial_kill_retry: timing.initial_kill_retry,
            max_kill_retry: timing.max_kill_retry,
            initial_schedule_delay: timing.initial_schedule_delay,
            max_schedule_delay: timing.max_schedule_delay,
            offer_hold: timing.offer_hold,
            offer_hold_jitter: timing.offer_hold_jitter,
            reconcile_interval: timing.reconcile_interval,
            history_min_retention: history.history_min_retention,
            history_max_age: history.history_max_age,
            history_max_per_job: history.history_max_per_job,
            request_retention: history.request_retention,
            max_remembered_requests: history.max_remembered_requests,
            ..Settings::default()
        }
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "mesos" => {
                Err("the engine `mesos` is not in this build yet; use `embedded`".to_owned())
            }
            _ => Err("the only engine of this release is `embedded`".to_owned()),
        }
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as FIRST-LAST, from 1 to 65535".to_owned();
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong());
        let (first, last) = (number(first)?, number(last)?);
        if first == 0 || first > last {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }
}

fn parse_cluster_name(text: &str) -> Result<String, String> {
    // The first part of a key must be able to name it.
    format!("{text}/r/e/n")
        .parse::<crate::job_key::JobKey>()
        .map(|key| key.cluster)
}

fn parse_cpus(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cpus) if cpus.is_finite() && cpus > 0.0 => Ok(cpus),
        _ => Err("a number of cores is greater than 0, as in 2 or 0.5".to_owned()),
    }
}

fn parse_positive(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "must be at least 1".to_owned())
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Probe {
        #[command(flatten)]
        options: OptionArgs,
    }

    fn options(arguments: &[&str]) -> Result<OptionArgs, clap::Error> {
        let arguments = std::iter::once(&"probe").chain(arguments);
        Probe::try_parse_from(arguments).map(|probe| probe.options)
    }

    #[test]
    fn defaults_are_those_of_the_core() {
        let settings = options(&[]).unwrap().settings();
        assert_eq!(
            format!("{settings:?}"),
            format!("{:?}", Settings::default())
        );
    }

    #[test]
    fn default_address_is_the_documented_one() {
        let listen = options(&[]).unwrap().listen_or_default();
        assert_eq!(listen.to_string(), "127.0.0.1:8081");
    }

    #[test]
    fn wrong_values_are_refused() {
        for wrong in [
            "--engine=mesos",
            "--port-range=5-1",
            "--port-range=0-9",
            "--agent-cpus=0",
            "--agent-cpus=NaN",
            "--agent-ram=much",
            "--cluster-name=a/b",
            "--offer-hold=soon",
            "--agents=0",
            "--agent-attribute=rack",
            "--default-tier=best",
        ] {
            assert!(options(&[wrong]).is_err(), "{wrong}");
        }
        let error = options(&["--engine=mesos"]).unwrap_err().to_string();
        assert!(error.contains("not in this build yet"), "{error}");
    }

    #[test]
    fn options_reach_the_server() {
        let given = options(&[
            "--agent-ram=2GB",
            "--agent-attribute=rack=a",
            "--agent-attribute=zone=b",
            "--offer-hold=1m 30s",
        ])
        .unwrap();
        let listen = given.listen_or_default();
        let options = given.resolve(listen, PathBuf::from("/d"), RunAs::Role);
        assert_eq!(options.agent_ram_bytes, Some(2 << 30));
        assert_eq!(options.agent_attributes.len(), 2);
        assert_eq!(options.settings.offer_hold, Duration::from_secs(90));
    }
}
