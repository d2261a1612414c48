//! Prints how many tasks of `/bin/true` per second an executor runs, against bare starts of them.
//!
//! `cargo run --release -p aurora-executor --example throughput [TASKS [CONCURRENT]]`
#![expect(clippy::print_stdout, reason = "prints its result")]

use std::error::Error;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aurora_executor::clock::Clock;
use aurora_executor::config::{ExecutorConfig, Lifetime};
use aurora_executor::link::AgentLink;
use aurora_executor::process_table::ProcessTable;
use aurora_executor::shim::Shim;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::{Label, Labels, TaskId, TaskInfo, TaskState, TaskStatus};
use aurora_proto::v1::{AssignedTask, JobKey, Process, TaskConfig};
use prost::Message as _;
use tokio::sync::mpsc;

/// Launches a task whenever one ends, acknowledges everything, then shuts the executor down.
struct Feeder {
    n_left: usize,
    n_open: usize,
    root: std::path::PathBuf,
    n_failed: usize,
    events: mpsc::UnboundedReceiver<AgentEvent>,
    sender: mpsc::UnboundedSender<AgentEvent>,
}

impl Feeder {
    fn post(&self, event: AgentEvent) {
        self.sender.send(event).ok();
    }

    fn launch_next(&mut self) {
        if self.n_left == 0 {
            if self.n_open == 0 {
                self.post(AgentEvent::Shutdown);
            }
            return;
        }
        self.n_left -= 1;
        self.n_open += 1;
        let id = format!("task-{}", self.n_left);
        self.post(AgentEvent::Launch(vec![task(&id, &self.root)]));
    }
}

impl AgentLink for Feeder {
    async fn next_event(&mut self) -> AgentEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn send_update(&mut self, status: TaskStatus) {
        let state = status.state();
        let uuid = status.uuid.clone().unwrap_or_default();
        self.post(AgentEvent::Acknowledged {
            task_id: status.task_id.value,
            uuid,
        });
        if !matches!(state, TaskState::TaskStarting | TaskState::TaskRunning) {
            self.n_failed += usize::from(state != TaskState::TaskFinished);
            self.n_open -= 1;
            self.launch_next();
        }
    }
}

fn task(id: &str, root: &std::path::Path) -> TaskInfo {
    let process = Process {
        name: "p".to_owned(),
        cmdline: "/bin/true".to_owned(),
        max_failures: 1,
        ..Process::default()
    };
    let assigned = AssignedTask {
        task_id: id.to_owned(),
        job: Some(JobKey {
            role: "r".into(),
            environment: "prod".into(),
            name: "n".into(),
        }),
        config: Some(TaskConfig {
            processes: vec![process],
            max_failures: 1,
            finalization_wait_secs: 30,
            ..TaskConfig::default()
        }),
        ..AssignedTask::default()
    };
    let label = |key: &str, value: String| Label {
        key: key.to_owned(),
        value: Some(value),
    };
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId {
            value: id.to_owned(),
        },
        data: Some(assigned.encode_to_vec().into()),
        labels: Some(Labels {
            labels: vec![
                label("aurora.run_as", "self".to_owned()),
                label(
                    "aurora.sandbox",
                    root.join(id).to_string_lossy().into_owned(),
                ),
            ],
        }),
        ..TaskInfo::default()
    }
}

// Threads that start and await the same shell, one after the other, as the floor.
fn bare_starts(n_tasks: usize, n_concurrent: usize) {
    let left = AtomicUsize::new(n_tasks);
    std::thread::scope(|scope| {
        for _ in 0..n_concurrent {
            scope.spawn(|| {
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok()
                {
                    let mut shell = Command::new("/bin/bash");
                    shell
                        .args(["-c", "/bin/true"])
                        .stdin(Stdio::null())
                        .env_clear()
                        .status()
                        .ok();
                }
            });
        }
    });
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let n_tasks: usize = arguments.next().map_or(Ok(1_000), |text| text.parse())?;
    let n_concurrent: usize = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let clock = Clock::start();

    bare_starts(n_tasks, n_concurrent);
    let bare = clock.now();

    let (sender, events) = mpsc::unbounded_channel();
    let mut feeder = Feeder {
        n_left: n_tasks,
        n_open: 0,
        root: directory.path().to_owned(),
        n_failed: 0,
        events,
        sender,
    };
    for _ in 0..n_concurrent.min(n_tasks) {
        feeder.launch_next();
    }
    let config = ExecutorConfig {
        lifetime: Lifetime::Shared {
            idle_timeout: Duration::from_secs(60),
        },
        acknowledge_timeout: Duration::from_secs(60),
        shutdown_grace: Duration::from_secs(5),
        default_sandbox: directory.path().join("sandbox"),
        shim: Shim {
            program: "/bin/false".into(),
            arguments: Vec::new(),
        },
    };
    let table = Arc::new(ProcessTable::new()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let end = runtime.block_on(aurora_executor::run(
        feeder,
        config,
        table,
        std::future::pending(),
    ));
    let ours = clock.now() - bare;

    let per_second =
        |elapsed: Duration| f64::from(u32::try_from(n_tasks).unwrap_or(0)) / elapsed.as_secs_f64();
    println!(
        "bare bash -c /bin/true: {:.0}/s, {n_concurrent} at a time",
        per_second(bare)
    );
    println!(
        "executor: {:.0} tasks/s, {n_concurrent} at a time ({end:?})",
        per_second(ours)
    );
    Ok(())
}
