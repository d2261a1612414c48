//! Reads what the agent hands over with a task, and refuses what cannot be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_mesos::v1::TaskInfo;
use aurora_proto::v1::AssignedTask;
use prost::Message as _;
use thiserror::Error;

use crate::identity::{Identity, IdentityError};
use crate::plan::PlanError;
use crate::references::{self, ReferenceError};
use crate::task_plan::TaskPlan;

/// The label with the absolute path of a task's sandbox.
pub const SANDBOX_LABEL: &str = "aurora.sandbox";
/// The label that says as whom a task runs: `role` or `self`.
pub const RUN_AS_LABEL: &str = "aurora.run_as";

/// A task that cannot be run; the text becomes the message of its failure.
#[derive(Debug, Error)]
pub enum AssignmentError {
    /// There is nothing to decode.
    #[error("the task came without data")]
    NoData,
    /// The data is something else.
    #[error("the task's data is not an AssignedTask: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The data is another task's.
    #[error("the task's data is that of task `{0}`")]
    OtherTask(String),
    /// The data says nothing of what to run.
    #[error("the task has no configuration")]
    NoConfig,
    /// There is nothing to run.
    #[error("the task has no processes")]
    NoProcesses,
    /// A name that cannot be that of a log directory.
    #[error("`{0}` cannot be the name of a process")]
    ProcessName(String),
    /// A path that the agent got wrong.
    #[error("label `aurora.sandbox` must be an absolute path, not `{0}`")]
    SandboxPath(String),
    /// The order is senseless.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The identity cannot be taken.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A command line cannot be filled in.
    #[error("process `{process}`: {source}")]
    Reference {
        /// The process.
        process: String,
        /// What is wrong.
        source: ReferenceError,
    },
}

/// A process, ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyProcess {
    /// Its name.
    pub name: String,
    /// What the shell is given.
    pub cmdline: String,
}

/// A task that can be run.
#[derive(Debug)]
pub struct Assignment {
    /// As the scheduler sent it.
    pub task: AssignedTask,
    /// In the order of the configuration.
    pub processes: Vec<ReadyProcess>,
    /// What to do when.
    pub plan: TaskPlan,
    /// As whom.
    pub identity: Identity,
    /// Where.
    pub sandbox: PathBuf,
    /// The time to end that the task's own kill policy allows.
    pub kill_grace: Option<Duration>,
}

impl Assignment {
    /// Reads `info`; a task without a sandbox label uses `default_sandbox`.
    ///
    /// # Errors
    ///
    /// Fails if the task cannot be run.
    pub fn read(info: &TaskInfo, default_sandbox: &Path) -> Result<Self, AssignmentError> {
        let data = info.data.clone().ok_or(AssignmentError::NoData)?;
        let task = AssignedTask::decode(data)?;
        if task.task_id != info.task_id.value {
            return Err(AssignmentError::OtherTask(task.task_id));
        }
        let config = task.config.as_ref().ok_or(AssignmentError::NoConfig)?;
        if config.processes.is_empty() {
            return Err(AssignmentError::NoProcesses);
        }
        let mut processes = Vec::with_capacity(config.processes.len());
        for process in &config.processes {
            if !is_usable_name(&process.name) {
                return Err(AssignmentError::ProcessName(process.name.clone()));
            }
            let cmdline = references::resolve(&process.cmdline, &task).map_err(|source| {
                AssignmentError::Reference {
                    process: process.name.clone(),
                    source,
                }
            })?;
            processes.push(ReadyProcess {
                name: process.name.clone(),
                cmdline,
            });
        }
        let plan = TaskPlan::new(config)?;
        let labels = labels(info);
        let role = task
            .job
            .as_ref()
            .map(|key| key.role.as_str())
            .unwrap_or_default();
        let run_as = labels.get(RUN_AS_LABEL).copied().unwrap_or("role");
        let identity = Identity::choose(run_as, role)?;
        let sandbox = match labels.get(SANDBOX_LABEL) {
            None => default_sandbox.to_owned(),
            Some(path) if Path::new(path).is_absolute() => PathBuf::from(path),
            Some(path) => return Err(AssignmentError::SandboxPath((*path).to_owned())),
        };
        let kill_grace = info
            .kill_policy
            .as_ref()
            .and_then(|policy| policy.grace_period.as_ref())
            .map(|grace| Duration::from_nanos(grace.nanoseconds.try_into().unwrap_or(0)));
        Ok(Self {
            processes,
            plan,
            identity,
            sandbox,
            kill_grace,
            task,
        })
    }
}

fn labels(info: &TaskInfo) -> BTreeMap<&str, &str> {
    let labels = info.labels.iter().flat_map(|labels| &labels.labels);
    labels
        .map(|label| (label.key.as_str(), label.value()))
        .collect()
}

fn is_usable_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(['/', '\0'])
}
