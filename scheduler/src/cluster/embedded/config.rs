//! What an operator decides about the embedded cluster.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use aurora_core::cluster::Attributes;

/// Which user tasks run as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunAs {
    /// The user named like the role where it exists and the scheduler may take it on, otherwise
    /// the scheduler's own.
    #[default]
    RoleOrSelf,
    /// The scheduler's own user, whatever the role.
    SelfUser,
    /// The user named like the role; tasks fail where it does not exist or cannot be taken on.
    Role,
}

impl RunAs {
    /// The executor's word for it, in the label `aurora.run_as`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::RoleOrSelf => "role-or-self",
            Self::SelfUser => "self",
            Self::Role => "role",
        }
    }
}

/// What every agent offers; what is absent is taken from the machine and divided among the agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentSize {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Bytes.
    pub ram: Option<u64>,
    /// Bytes.
    pub disk: Option<u64>,
    /// Whole devices; none are found by looking.
    pub gpu: u64,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From an executor's start until it has to have subscribed.
    pub registration: Duration,
    /// From the scheduler's restart, or the loss of a connection, until an executor has to be back.
    pub return_within: Duration,
    /// How long an executor waits for a scheduler before it ends its tasks and itself.
    pub recovery: Duration,
    /// After how long without tasks an executor is ended.
    pub idle: Duration,
    /// From SHUTDOWN until an executor is killed.
    pub shutdown_grace: Duration,
    /// How long a declined offer stays away while nothing changes.
    pub decline: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            registration: Duration::from_secs(20),
            return_within: Duration::from_secs(15),
            recovery: Duration::from_secs(3600),
            idle: Duration::from_secs(300),
            shutdown_grace: Duration::from_secs(10),
            decline: Duration::from_secs(1),
        }
    }
}

/// Which sandboxes of ended tasks are kept. Each limit holds by itself; the oldest go first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SandboxRetention {
    /// How long a sandbox is kept after its task has ended.
    pub max_age: Duration,
    /// How many are kept over all agents.
    pub max_count: usize,
    /// How many bytes they may hold together; absent: not counted.
    pub max_total_bytes: Option<u64>,
    /// The part of the file system that is to stay free, from 0 to 1.
    pub keep_free: f64,
    /// How often the limits are looked at.
    pub sweep_interval: Duration,
}

impl Default for SandboxRetention {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(24 * 3600),
            max_count: 20_000,
            max_total_bytes: None,
            keep_free: 0.05,
            sweep_interval: Duration::from_secs(10),
        }
    }
}

/// How executors are started.
#[derive(Clone, Debug, Default)]
pub struct ExecutorCommand {
    /// The program; absent: the one that runs now.
    pub program: Option<PathBuf>,
    /// Its arguments; absent: `executor`.
    pub arguments: Option<Vec<String>>,
    /// Variables beside those of the API and the few that are passed on.
    pub environment: Vec<(String, String)>,
}

/// The settings of an embedded cluster.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Where agents keep sandboxes and what has to survive a restart.
    pub work_dir: PathBuf,
    /// Told to tasks.
    pub cluster_name: String,
    /// How many agents this machine is to be.
    pub n_agents: NonZeroU16,
    /// What each of them has.
    pub size: AgentSize,
    /// Divided among the agents.
    pub ports: RangeInclusive<u16>,
    /// The machine's name; absent: asked of the system.
    pub hostname: Option<String>,
    /// Attributes of every agent beside `host`.
    pub attributes: Attributes,
    /// How executors are started.
    pub executor: ExecutorCommand,
    /// Who tasks run as.
    pub run_as: RunAs,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Which sandboxes are kept.
    pub retention: SandboxRetention,
}

impl EmbeddedConfig {
    /// Returns the settings of one agent that is the whole machine.
    pub fn new(work_dir: PathBuf, cluster_name: &str) -> Self {
        Self {
            work_dir,
            cluster_name: cluster_name.to_owned(),
            n_agents: NonZeroU16::MIN,
            size: AgentSize::default(),
            ports: 31_000..=32_000,
            hostname: None,
            attributes: Attributes::new(),
            executor: ExecutorCommand::default(),
            run_as: RunAs::default(),
            timeouts: Timeouts::default(),
            retention: SandboxRetention::default(),
        }
    }
}
