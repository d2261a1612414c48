use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use aurora_core::cluster::{Effect, Offer, ReportedState, StatusUpdate};
use aurora_core::resources::Resources;
use aurora_core::settings::Settings;
use aurora_core::store::Table;
use aurora_core::time::Timestamp;
use aurora_proto::v1;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::store::{LoadSummary, MemStore, Visit};

/// A clock that stands still.
#[derive(Default)]
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000 + self.0.load(Ordering::Relaxed))
    }
}

/// A cluster that only notes what it is told.
struct NotingCluster(UnboundedSender<Effect>);

impl Cluster for NotingCluster {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn perform(&self, effects: Vec<Effect>) {
        for effect in effects {
            let _gone = self.0.send(effect);
        }
    }

    fn sandbox(&self, _task_id: &str) -> Option<PathBuf> {
        None
    }
}

/// A store that commits only when it is let.
struct GatedStore {
    inner: MemStore,
    gate: Arc<Mutex<std::sync::mpsc::Receiver<()>>>,
}

impl Store for GatedStore {
    fn commit(&mut self, writes: &[aurora_core::store::Write]) -> Result<(), StoreError> {
        // A test that has let go of the gate opens it for good.
        let _open = self.gate.lock().unwrap().recv();
        self.inner.commit(writes)
    }

    fn load(&self, visit: &mut Visit<'_>) -> Result<LoadSummary, StoreError> {
        self.inner.load(visit)
    }

    fn listing(&self) -> Result<Listing, StoreError> {
        self.inner.listing()
    }
}

struct Rig {
    threads: EngineThreads,
    engine: Engine,
    sink: EventSink,
    effects: UnboundedReceiver<Effect>,
}

fn rig(store: impl Store + 'static) -> Rig {
    let settings = Settings {
        hold_offers_forever: true,
        ..Settings::default()
    };
    let mut core = Scheduler::new(settings, 1).unwrap();
    store
        .load(&mut |t, k, v| core.load(t, k, v).map_err(|e| e.to_string()))
        .unwrap();
    let clock = Arc::new(StillClock::default());
    let first = core.start(clock.now(), 7);
    let (sender, effects) = unbounded_channel();
    let prepared = Prepared::new();
    let sink = prepared.event_sink();
    let cluster = Arc::new(NotingCluster(sender));
    let threads = prepared
        .start(core, first, Box::new(store), cluster, clock)
        .unwrap();
    Rig {
        engine: threads.engine(),
        threads,
        sink,
        effects,
    }
}

fn create(name: &str) -> Call {
    let task = v1::TaskConfig {
        name: "t".into(),
        processes: vec![v1::Process {
            name: "p".into(),
            cmdline: "true".into(),
            ..v1::Process::default()
        }],
        resources: Some(v1::Resources {
            cpu: 1.0,
            ram_bytes: 1 << 20,
            disk_bytes: 1 << 20,
            gpu: 0,
        }),
        max_task_failures: 1,
        ..v1::TaskConfig::default()
    };
    Call::CreateJob(Box::new(v1::CreateJobRequest {
        context: None,
        config: Some(v1::JobConfiguration {
            key: Some(v1::JobKey {
                role: "www-data".into(),
                environment: "devel".into(),
                name: name.into(),
            }),
            instances: 1,
            task: Some(task),
            ..v1::JobConfiguration::default()
        }),
    }))
}

fn offer() -> ClusterEvent {
    ClusterEvent::Offers(vec![Offer {
        id: "o1".into(),
        agent_id: "a1".into(),
        host: "h1".into(),
        attributes: Arc::default(),
        resources: Resources {
            cpu_millis: 4_000,
            ram: 1 << 30,
            disk: 1 << 30,
            gpu: 0,
        },
        ports: Vec::new(),
    }])
}

async fn next(effects: &mut UnboundedReceiver<Effect>) -> Effect {
    tokio::time::timeout(Duration::from_secs(10), effects.recv())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn job_is_created_launched_and_acknowledged() {
    let mut rig = rig(MemStore::new());
    (rig.sink)(ClusterEvent::Connected);
    (rig.sink)(offer());
    rig.engine.call(create("web")).await.unwrap().unwrap();
    let launch = loop {
        if let Effect::Accept { launches, .. } = next(&mut rig.effects).await {
            break launches.into_iter().next().unwrap();
        }
    };
    (rig.sink)(ClusterEvent::Status(StatusUpdate {
        task_id: launch.task_id.clone(),
        state: ReportedState::Running,
        agent_id: Some("a1".into()),
        message: String::new(),
        token: vec![1],
    }));
    loop {
        if let Effect::Acknowledge { task_id, token, .. } = next(&mut rig.effects).await {
            assert_eq!((task_id, token), (launch.task_id.clone(), vec![1]));
            break;
        }
    }
    let task = rig
        .engine
        .read(move |core| core.get_task(&launch.task_id))
        .await
        .unwrap();
    assert_eq!(task.unwrap().state(), v1::TaskState::Running);
    tokio::task::spawn_blocking(|| rig.threads.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_goes_out_before_its_commit() {
    let (open, gate) = std::sync::mpsc::channel();
    let gate = Arc::new(Mutex::new(gate));
    let mut rig = rig(GatedStore {
        inner: MemStore::new(),
        gate,
    });
    open.send(()).unwrap(); // The first commit: the store's own record.
    (rig.sink)(ClusterEvent::Connected);
    (rig.sink)(offer());
    let engine = rig.engine.clone();
    let mut call = tokio::spawn(async move { engine.call(create("web")).await });
    let engine = rig.engine.clone();
    let mut read = tokio::spawn(async move { engine.read(Scheduler::job_count).await });
    // The call, the launch and the read that may have seen the job all wait for the gate.
    let wait = Duration::from_millis(200);
    assert!(tokio::time::timeout(wait, &mut call).await.is_err());
    while let Ok(effect) = rig.effects.try_recv() {
        assert!(
            matches!(effect, Effect::Reconcile { .. }),
            "too early: {effect:?}"
        );
    }
    let early = tokio::time::timeout(wait, &mut read).await;
    assert!(
        !matches!(early, Ok(Ok(Ok(1)))),
        "a read saw what was not durable"
    );
    drop(open);
    call.await.unwrap().unwrap().unwrap();
    loop {
        if matches!(next(&mut rig.effects).await, Effect::Accept { .. }) {
            break;
        }
    }
    tokio::task::spawn_blocking(|| rig.threads.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn failed_commit_stops_everything() {
    let store = MemStore::new();
    let kept = store.clone();
    store.fail_after(1);
    let rig = rig(store);
    let mut fatal = rig.engine.fatal();
    let answer = rig.engine.call(create("web")).await;
    assert!(matches!(answer, Err(EngineError::Stopped)), "{answer:?}");
    fatal.wait_for(Option::is_some).await.unwrap();
    assert!(rig.engine.call(create("other")).await.is_err());
    assert_eq!(kept.get(Table::Jobs, b"www-data/devel/web"), None);
    tokio::task::spawn_blocking(|| rig.threads.stop())
        .await
        .unwrap();
}

#[tokio::test]
async fn stop_keeps_what_was_answered() {
    let store = MemStore::new();
    let kept = store.clone();
    let rig = rig(store);
    let calls = (0..50).map(|i| rig.engine.call(create(&format!("job{i}"))));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap().unwrap();
    }
    tokio::task::spawn_blocking(|| rig.threads.stop())
        .await
        .unwrap();
    let core = {
        let mut core = Scheduler::new(Settings::default(), 1).unwrap();
        kept.load(&mut |t, k, v| core.load(t, k, v).map_err(|e| e.to_string()))
            .unwrap();
        core
    };
    assert_eq!(core.job_count(), 50);
}
