//! A cluster whose executors are shells that only write down what they were started with; the
//! test speaks for them.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aurora_core::cluster::{
    AgentId, ClusterEvent, Effect, Launch, Offer, OfferId, ReportedState, StatusUpdate,
};
use aurora_core::resources::Resources;
use aurora_mesos::executor_client::{AgentEvent, ExecutorClient};
use aurora_mesos::executor_env::ExecutorEnv;
use aurora_mesos::v1;
use aurora_proto::v1::{JobKey, TaskConfig};
use aurora_scheduler::clock::SystemClock;
use aurora_scheduler::cluster::Cluster as _;
use aurora_scheduler::cluster::embedded::{
    AgentSize, EmbeddedCluster, EmbeddedConfig, EmbeddedError, ExecutorCommand, RunAs, RunningTasks,
};
use tokio::sync::mpsc;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const GB: u64 = 1 << 30;

const SHELL: &str = "env > env.new; mv env.new env; exec sleep 600";

pub(crate) fn config(work_dir: &Path) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::new(work_dir.to_owned(), "test");
    config.size = AgentSize {
        cpu_millis: Some(4000),
        ram: Some(4 * GB),
        disk: Some(4 * GB),
        gpu: 0,
    };
    config.ports = 31_000..=31_009;
    config.run_as = RunAs::SelfUser;
    config.executor = ExecutorCommand {
        program: Some("/bin/sh".into()),
        arguments: Some(vec!["-c".to_owned(), SHELL.to_owned()]),
        environment: Vec::new(),
    };
    config
}

/// A directory for a cluster; the executors of its first agent end with it.
pub(crate) struct WorkDir(tempfile::TempDir);

pub(crate) fn work_dir() -> WorkDir {
    WorkDir(tempfile::tempdir().unwrap())
}

impl WorkDir {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let Ok(executors) = fs::read_dir(self.path().join("agent-0/executors")) else {
            return;
        };
        let started = executors
            .flatten()
            .filter_map(|entry| StartedExecutor::read(&entry.path()));
        for pid in started.filter_map(|executor| executor.noted_pid()) {
            if is_running(pid) {
                kill_9(pid);
            }
        }
    }
}

/// A cluster, and the core's view of it.
pub(crate) struct Subject {
    pub(crate) cluster: Arc<EmbeddedCluster>,
    pub(crate) work_dir: PathBuf,
    events: mpsc::UnboundedReceiver<ClusterEvent>,
    pub(crate) offers: HashMap<OfferId, Offer>,
    pub(crate) statuses: Vec<StatusUpdate>,
}

impl Subject {
    pub(crate) async fn start(config: EmbeddedConfig) -> Self {
        Self::try_start(config).await.unwrap()
    }

    pub(crate) async fn try_start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let (sender, events) = mpsc::unbounded_channel();
        let sink = Arc::new(move |event| drop(sender.send(event)));
        let work_dir = config.work_dir.clone();
        let cluster =
            EmbeddedCluster::start(config, sink, Arc::new(SystemClock::default())).await?;
        let mut subject = Self {
            cluster,
            work_dir,
            events,
            offers: HashMap::new(),
            statuses: Vec::new(),
        };
        assert_eq!(subject.event().await, ClusterEvent::Connected);
        Ok(subject)
    }

    /// Ends the scheduler, as far as its executors can tell.
    pub(crate) async fn leave(self) {
        self.cluster.shutdown(RunningTasks::Keep).await;
    }

    pub(crate) async fn event(&mut self) -> ClusterEvent {
        let event = tokio::time::timeout(DEADLINE, self.events.recv());
        let event = event
            .await
            .expect("an event in time")
            .expect("the cluster lives");
        match &event {
            ClusterEvent::Offers(offers) => {
                for offer in offers {
                    self.offers.insert(Arc::clone(&offer.id), offer.clone());
                }
            }
            ClusterEvent::Rescinded(offer) => drop(self.offers.remove(offer)),
            ClusterEvent::Status(status) => self.statuses.push(status.clone()),
            ClusterEvent::Connected | ClusterEvent::Disconnected | ClusterEvent::AgentGone(_) => {}
        }
        event
    }

    /// Takes events until `done`.
    pub(crate) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            self.event().await;
        }
    }

    pub(crate) async fn until_offered(&mut self) {
        self.until(|subject| !subject.offers.is_empty()).await;
    }

    pub(crate) fn offered(&self) -> Resources {
        self.offers
            .values()
            .fold(Resources::default(), |sum, offer| sum + offer.resources)
    }

    pub(crate) fn offered_ports(&self) -> Vec<u16> {
        let ranges = self.offers.values().flat_map(|offer| offer.ports.clone());
        let mut ports: Vec<u16> = ranges.flatten().collect();
        ports.sort_unstable();
        ports
    }

    /// Returns the next status of a task, the oldest first.
    pub(crate) async fn status(&mut self, task_id: &str) -> StatusUpdate {
        let is_its = |status: &StatusUpdate| status.task_id == task_id;
        self.until(|subject| subject.statuses.iter().any(is_its))
            .await;
        let at = self.statuses.iter().position(is_its).unwrap();
        self.statuses.remove(at)
    }

    pub(crate) fn perform(&self, effect: Effect) {
        self.cluster.perform(vec![effect]);
    }

    /// Launches tasks with all offers there are.
    pub(crate) async fn launch(&mut self, launches: Vec<Launch>) {
        self.until_offered().await;
        let offers: Vec<_> = self.offers.drain().map(|(_, offer)| offer).collect();
        let effect = Effect::Accept {
            agent_id: Arc::clone(&offers[0].agent_id),
            offers: offers.into_iter().map(|offer| offer.id).collect(),
            launches,
        };
        self.perform(effect);
    }

    pub(crate) fn acknowledge(&self, status: &StatusUpdate) {
        self.perform(Effect::Acknowledge {
            task_id: status.task_id.clone(),
            agent_id: status.agent_id.clone(),
            token: status.token.clone(),
        });
    }

    pub(crate) fn kill(&self, task_id: &str) {
        let task_id = task_id.to_owned();
        self.perform(Effect::Kill {
            task_id,
            agent_id: None,
            grace: Some(Duration::from_secs(3)),
        });
    }

    pub(crate) fn reconcile(&self, task_ids: &[&str]) {
        let tasks = task_ids
            .iter()
            .map(|id| ((*id).to_owned(), None::<AgentId>))
            .collect();
        self.perform(Effect::Reconcile { tasks });
    }

    /// Returns the environments of all executors started so far.
    pub(crate) async fn executors(&self, n_executors: usize) -> Vec<StartedExecutor> {
        let dir = self.work_dir.join("agent-0/executors");
        eventually(|| {
            let found: Vec<_> = fs::read_dir(&dir)
                .unwrap()
                .flatten()
                .filter_map(|entry| StartedExecutor::read(&entry.path()))
                .collect();
            (found.len() == n_executors).then_some(found)
        })
        .await
    }

    pub(crate) async fn executor(&self) -> StartedExecutor {
        self.executors(1).await.pop().unwrap()
    }
}

/// What a test may know of an executor.
pub(crate) struct StartedExecutor {
    pub(crate) dir: PathBuf,
    pub(crate) env: HashMap<String, String>,
}

impl StartedExecutor {
    fn read(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join("env")).ok()?;
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let env = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Self {
            dir: dir.to_owned(),
            env,
        })
    }

    pub(crate) fn executor_env(&self) -> ExecutorEnv {
        ExecutorEnv::from_lookup(|name| self.env.get(name).cloned()).unwrap()
    }

    pub(crate) fn pid(&self) -> i32 {
        self.noted_pid().unwrap()
    }

    /// Returns its process, while the cluster has it on record.
    pub(crate) fn noted_pid(&self) -> Option<i32> {
        let record = fs::read_to_string(self.dir.join("executor.json")).ok()?;
        let record: serde_json::Value = serde_json::from_str(&record).ok()?;
        i32::try_from(record["pid"].as_i64()?).ok()
    }

    /// Subscribes as this executor.
    pub(crate) async fn subscribe(&self) -> FakeExecutor {
        let mut executor = FakeExecutor(ExecutorClient::start(self.executor_env()));
        assert!(matches!(executor.event().await, AgentEvent::Subscribed(_)));
        executor
    }
}

/// An executor's voice.
pub(crate) struct FakeExecutor(pub(crate) ExecutorClient);

impl FakeExecutor {
    pub(crate) async fn event(&mut self) -> AgentEvent {
        let event = tokio::time::timeout(DEADLINE, self.0.next_event());
        event.await.expect("an event of the agent in time")
    }

    pub(crate) async fn launched(&mut self) -> v1::TaskInfo {
        match self.event().await {
            AgentEvent::Launch(mut tasks) if tasks.len() == 1 => tasks.remove(0),
            other => panic!("expected a launch, got {other:?}"),
        }
    }

    pub(crate) async fn killed(&mut self) -> String {
        match self.event().await {
            AgentEvent::Kill { task_id, grace } => {
                assert_eq!(grace, Some(Duration::from_secs(3)));
                task_id
            }
            other => panic!("expected a kill, got {other:?}"),
        }
    }

    pub(crate) async fn acknowledged(&mut self) -> Vec<u8> {
        match self.event().await {
            AgentEvent::Acknowledged { uuid, .. } => uuid.to_vec(),
            other => panic!("expected an acknowledgement, got {other:?}"),
        }
    }

    pub(crate) fn update(&self, task_id: &str, state: v1::TaskState) -> Vec<u8> {
        let mut uuid = [0; 16];
        getrandom::fill(&mut uuid).unwrap();
        self.0.send_update(v1::TaskStatus {
            task_id: v1::TaskId {
                value: task_id.to_owned(),
            },
            state: state.into(),
            message: Some("as told".to_owned()),
            source: Some(v1::task_status::Source::Executor.into()),
            uuid: Some(uuid.to_vec().into()),
            ..v1::TaskStatus::default()
        });
        uuid.to_vec()
    }
}

pub(crate) fn launch(task_id: &str, ports: &[u16]) -> Launch {
    let config = TaskConfig {
        name: "hello".to_owned(),
        ..TaskConfig::default()
    };
    Launch {
        task_id: task_id.to_owned(),
        job: JobKey {
            role: "alice".to_owned(),
            environment: "devel".to_owned(),
            name: "hello".to_owned(),
        },
        instance: 7,
        ports: ports
            .iter()
            .map(|port| (format!("p{port}"), *port))
            .collect(),
        config: Arc::new(config),
        config_digest: [7; 32],
        resources: Resources {
            cpu_millis: 1000,
            ram: GB,
            disk: GB,
            gpu: 0,
        },
    }
}

/// Waits until `found` returns something.
pub(crate) async fn eventually<T>(found: impl Fn() -> Option<T>) -> T {
    let waited = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = found() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.expect("it to happen in time")
}

pub(crate) fn kill_9(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

pub(crate) fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

pub(crate) const fn is_lost(status: &StatusUpdate) -> bool {
    matches!(status.state, ReportedState::Lost)
}
