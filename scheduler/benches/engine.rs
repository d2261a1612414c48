//! What the whole engine does with a durable store and simulated agents: calls, placements and
//! status updates, and a restart. Figures are for one run on this machine.
//!
//! `cargo bench -p aurora-scheduler --bench engine [-- AGENTS TASKS]`

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark reads the machine's clock, prints, and may stop at once"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aurora_core::Scheduler;
use aurora_core::call::Call;
use aurora_core::cluster::{ClusterEvent, Effect, Launch, Offer, ReportedState, StatusUpdate};
use aurora_core::resources::Resources;
use aurora_core::settings::Settings;
use aurora_proto::v1;
use aurora_scheduler::clock::{Clock, SystemClock};
use aurora_scheduler::cluster::{Cluster, EventSink};
use aurora_scheduler::engine::{EngineThreads, Prepared};
use aurora_scheduler::store::{OpenOptions, SledStore, Store};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MB: u64 = 1 << 20;
const INSTANCES_PER_JOB: u32 = 10_000;

/// Agents that run whatever they are given, at once.
struct SimulatedCluster {
    sink: Mutex<Option<EventSink>>,
    launched: AtomicU64,
    acknowledged: AtomicU64,
}

impl SimulatedCluster {
    fn new() -> Self {
        Self {
            sink: Mutex::new(None),
            launched: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
        }
    }

    fn send(&self, event: ClusterEvent) {
        self.sink.lock().unwrap().as_ref().unwrap()(event);
    }

    fn launch(&self, agent_id: &Arc<str>, launches: Vec<Launch>) {
        self.launched
            .fetch_add(launches.len() as u64, Ordering::Relaxed);
        for launch in launches {
            self.send(ClusterEvent::Status(StatusUpdate {
                task_id: launch.task_id,
                state: ReportedState::Running,
                agent_id: Some(Arc::clone(agent_id)),
                message: String::new(),
                token: vec![1],
            }));
        }
    }
}

impl Cluster for SimulatedCluster {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Accept {
                    agent_id, launches, ..
                } => self.launch(&agent_id, launches),
                Effect::Acknowledge { .. } => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Effect::Decline { .. } | Effect::Kill { .. } | Effect::Reconcile { .. } => {}
            }
        }
    }

    fn sandbox(&self, _task_id: &str) -> Option<PathBuf> {
        None
    }
}

/// Each agent has room for its share of the tasks.
fn offers(agents: u64, tasks: u64) -> Vec<Offer> {
    let share = tasks.div_ceil(agents) + 1;
    (0..agents)
        .map(|i| Offer {
            id: format!("offer-{i}").into(),
            agent_id: format!("agent-{i}").into(),
            host: format!("host-{i}").into(),
            attributes: Arc::default(),
            resources: Resources {
                cpu_millis: share * 100,
                ram: share * 16 * MB,
                disk: share * 16 * MB,
                gpu: 0,
            },
            ports: Vec::new(),
        })
        .collect()
}

fn create(job: u64, instances: u32) -> Call {
    let process = v1::Process {
        name: "main".into(),
        cmdline: "exec ./serve --shard {{instance}}".into(),
        max_failures: 1,
        min_duration_secs: 5,
        ..v1::Process::default()
    };
    let bytes = i64::try_from(16 * MB).unwrap();
    let task = v1::TaskConfig {
        name: "main".into(),
        processes: vec![process],
        resources: Some(v1::Resources {
            cpu: 0.1,
            ram_bytes: bytes,
            disk_bytes: bytes,
            gpu: 0,
        }),
        service: true,
        max_task_failures: 1,
        ..v1::TaskConfig::default()
    };
    let key = v1::JobKey {
        role: "www-data".into(),
        environment: "prod".into(),
        name: format!("job-{job}"),
    };
    Call::CreateJob(Box::new(v1::CreateJobRequest {
        context: None,
        config: Some(v1::JobConfiguration {
            key: Some(key),
            instances,
            task: Some(task),
            ..v1::JobConfiguration::default()
        }),
    }))
}

fn start(data_dir: &Path, cluster: &Arc<SimulatedCluster>) -> (EngineThreads, Duration, u64) {
    let begun = Instant::now();
    let store = SledStore::open_or_create(data_dir, OpenOptions::default()).unwrap();
    let mut core = Scheduler::new(Settings::default(), 1).unwrap();
    let loaded = store
        .load(&mut |table, key, value| core.load(table, key, value).map_err(|e| e.to_string()))
        .unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let first = core.start(clock.now(), 1);
    let prepared = Prepared::new();
    *cluster.sink.lock().unwrap() = Some(prepared.event_sink());
    let as_cluster = Arc::clone(cluster) as Arc<dyn Cluster>;
    let threads = prepared
        .start(core, first, Box::new(store), as_cluster, clock)
        .unwrap();
    (threads, begun.elapsed(), loaded.records)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(n: u64, took: Duration) -> f64 {
    (n as f64 / took.as_secs_f64()).round()
}

fn wait_for(what: &AtomicU64, count: u64) {
    while what.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|arg| arg.parse::<u64>().ok());
    let agents = numbers.next().unwrap_or(10_000);
    let tasks = numbers.next().unwrap_or(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let cluster = Arc::new(SimulatedCluster::new());
    let before = resident_bytes();
    let (threads, _, _) = start(dir.path(), &cluster);
    let engine = threads.engine();

    cluster.send(ClusterEvent::Connected);
    let begun = Instant::now();
    for job in 0..tasks.div_ceil(u64::from(INSTANCES_PER_JOB)) {
        let left = tasks - job * u64::from(INSTANCES_PER_JOB);
        let instances = u32::try_from(left)
            .unwrap_or(u32::MAX)
            .min(INSTANCES_PER_JOB);
        runtime
            .block_on(engine.call(create(job, instances)))
            .unwrap()
            .unwrap();
    }
    println!(
        "create {tasks} tasks, durable: {:.2} s",
        begun.elapsed().as_secs_f64()
    );
    let created = begun.elapsed();
    let placing = Instant::now();
    cluster.send(ClusterEvent::Offers(offers(agents, tasks)));
    wait_for(&cluster.launched, tasks);
    println!(
        "place {tasks} on {agents} agents, durable (statuses come in meanwhile): {:.2} s, {}/s",
        placing.elapsed().as_secs_f64(),
        per_second(tasks, placing.elapsed())
    );
    wait_for(&cluster.acknowledged, tasks);
    println!(
        "all RUNNING and acknowledged after {:.2} s in all, {:.2} s of it creating",
        begun.elapsed().as_secs_f64(),
        created.as_secs_f64()
    );
    println!(
        "resident bytes per task, store's cache included: {}",
        (resident_bytes() - before) / tasks
    );
    threads.stop();

    let (threads, took, records) = start(dir.path(), &cluster);
    println!(
        "restart with {records} records until it schedules: {:.2} s",
        took.as_secs_f64()
    );
    threads.stop();
}
