//! What both test programs need: tasks, sandboxes, and waiting for conditions.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_mesos::v1::{Label, Labels, TaskId, TaskInfo};
use aurora_proto::v1::{AssignedTask, JobKey, Order, Process, TaskConfig};
use prost::Message as _;

/// How long a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn process(name: &str, cmdline: &str) -> Process {
    Process {
        name: name.to_owned(),
        cmdline: cmdline.to_owned(),
        max_failures: 1,
        ..Process::default()
    }
}

pub(crate) fn final_process(name: &str, cmdline: &str) -> Process {
    Process {
        r#final: true,
        ..process(name, cmdline)
    }
}

/// A task under construction; runs as the executor's own user.
pub(crate) struct TestTask {
    pub(crate) assigned: AssignedTask,
    pub(crate) run_as: &'static str,
    pub(crate) sandbox: PathBuf,
}

impl TestTask {
    pub(crate) fn new(id: &str, root: &Path, processes: Vec<Process>) -> Self {
        let config = TaskConfig {
            processes,
            max_failures: 1,
            finalization_wait_secs: 20,
            ..TaskConfig::default()
        };
        let assigned = AssignedTask {
            task_id: id.to_owned(),
            job: Some(JobKey {
                role: "www".to_owned(),
                environment: "prod".to_owned(),
                name: "hello".to_owned(),
            }),
            cluster: "local".to_owned(),
            instance: 3,
            host: "h1".to_owned(),
            ports: [("http".to_owned(), 31_000)].into(),
            config: Some(config),
        };
        Self {
            assigned,
            run_as: "self",
            sandbox: root.join(id),
        }
    }

    pub(crate) fn config(&mut self) -> &mut TaskConfig {
        self.assigned.config.as_mut().unwrap()
    }

    pub(crate) fn order(mut self, names: &[&str]) -> Self {
        let processes = names.iter().map(|name| (*name).to_owned()).collect();
        self.config().order.push(Order { processes });
        self
    }

    pub(crate) fn info(&self) -> TaskInfo {
        let label = |key: &str, value: &str| Label {
            key: key.to_owned(),
            value: Some(value.to_owned()),
        };
        TaskInfo {
            name: "hello".to_owned(),
            task_id: TaskId {
                value: self.assigned.task_id.clone(),
            },
            data: Some(self.assigned.encode_to_vec().into()),
            labels: Some(Labels {
                labels: vec![
                    label("aurora.run_as", self.run_as),
                    label("aurora.sandbox", self.sandbox.to_str().unwrap()),
                ],
            }),
            ..TaskInfo::default()
        }
    }
}

/// Waits until `condition` gives something.
pub(crate) async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition() {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let result = tokio::time::timeout(DEADLINE, waiting).await;
    result.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Waits for a file with a whole number in it.
pub(crate) async fn pid_in(path: &Path) -> u32 {
    eventually(&format!("a pid in {}", path.display()), || {
        let text = std::fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().parse().ok())?
    })
    .await
}

/// Whether a process runs; dead ones that nobody has reaped do not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
