//! A scheduler with a clock, a store and shorthand for what tests do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_proto::v1::{self, TaskState};

use crate::call::{ApiError, Call, Reply};
use crate::cluster::{
    Attributes, ClusterEvent, Effect, Launch, Offer, ReportedState, StatusUpdate,
};
use crate::resources::Resources;
use crate::settings::Settings;
use crate::store::Table;
use crate::time::Timestamp;
use crate::{Input, Scheduler, Step};

pub(super) struct Rig {
    pub(super) scheduler: Scheduler,
    pub(super) now: Timestamp,
    pub(super) rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Effects of the last step.
    pub(super) effects: Vec<Effect>,
    offers: u32,
    calls: u32,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let mut rig = Self {
            scheduler: Scheduler::new(settings, 1).unwrap(),
            now: Timestamp(1_000_000_000),
            rows: BTreeMap::new(),
            effects: Vec::new(),
            offers: 0,
            calls: 0,
        };
        let step = rig.scheduler.start(rig.now, 7);
        rig.keep(step);
        rig.event(ClusterEvent::Connected);
        rig
    }

    /// The same store in a new scheduler, which is not connected yet.
    pub(super) fn restart(&mut self) {
        let settings = self.scheduler.settings.clone();
        let mut scheduler = Scheduler::new(settings, 1).unwrap();
        for table in Table::ALL {
            for ((_, key), value) in self.rows.iter().filter(|((of, _), _)| *of == table) {
                scheduler.load(table, key, value).unwrap();
            }
        }
        self.scheduler = scheduler;
        let step = self.scheduler.start(self.now, 9);
        self.keep(step);
    }

    fn keep(&mut self, step: Step) -> Vec<Result<Reply, ApiError>> {
        for write in step.writes {
            match write.value {
                Some(value) => self.rows.insert((write.table, write.key), value),
                None => self.rows.remove(&(write.table, write.key)),
            };
        }
        self.effects = step.effects;
        assert_eq!(self.scheduler.violations(), Vec::<String>::new());
        step.replies.into_iter().map(|(_, reply)| reply).collect()
    }

    pub(super) fn step(&mut self, inputs: Vec<Input>) -> Vec<Result<Reply, ApiError>> {
        let step = self.scheduler.step(self.now, inputs);
        self.keep(step)
    }

    pub(super) fn event(&mut self, event: ClusterEvent) {
        self.step(vec![Input::Cluster(event)]);
    }

    pub(super) fn call(&mut self, call: Call) -> Result<Reply, ApiError> {
        self.step(vec![Input::Call { reply_to: 0, call }]).remove(0)
    }

    /// Lets time pass, with a step at its end.
    pub(super) fn pass(&mut self, secs: i64) {
        self.now = Timestamp(self.now.0 + secs * 1_000);
        self.step(Vec::new());
    }

    /// Lets time pass as an engine does, with a step whenever one is due.
    pub(super) fn run(&mut self, secs: i64) {
        let end = Timestamp(self.now.0 + secs * 1_000);
        while let Some(next) = self.scheduler.next_wakeup(self.now).filter(|at| *at <= end) {
            self.now = next.max(Timestamp(self.now.0 + 1));
            self.step(Vec::new());
        }
        self.now = end;
    }

    pub(super) fn context(&mut self) -> Option<v1::RequestContext> {
        self.calls += 1;
        Some(v1::RequestContext {
            request_id: format!("call{}", self.calls),
            user: "tester".to_owned(),
            message: String::new(),
        })
    }

    pub(super) fn create(&mut self, config: v1::JobConfiguration) {
        let context = self.context();
        let request = v1::CreateJobRequest {
            context,
            config: Some(config),
        };
        self.call(Call::CreateJob(Box::new(request))).unwrap();
    }

    pub(super) fn kill(&mut self, name: &str, instances: &[(u32, u32)]) {
        let request = v1::KillTasksRequest {
            context: self.context(),
            key: key(name),
            instances: ranges(instances),
        };
        self.call(Call::KillTasks(request)).unwrap();
    }

    pub(super) fn restart_tasks(
        &mut self,
        name: &str,
        instances: &[(u32, u32)],
    ) -> Result<Reply, ApiError> {
        let request = v1::RestartTasksRequest {
            context: self.context(),
            key: key(name),
            instances: ranges(instances),
        };
        self.call(Call::RestartTasks(request))
    }

    /// One offer of so many thousandths of a core and ten ports.
    pub(super) fn offer_from(&mut self, agent: &str, cpu: u64) -> Offer {
        self.offers += 1;
        let host: Arc<str> = agent.into();
        let attributes =
            Attributes::from([("host".to_owned(), BTreeSet::from([agent.to_owned()]))]);
        Offer {
            id: format!("offer{}", self.offers).into(),
            agent_id: agent.into(),
            host,
            attributes: Arc::new(attributes),
            resources: Resources {
                cpu_millis: cpu,
                ram: 64 << 30,
                disk: 64 << 30,
                gpu: 0,
            },
            ports: vec![31_000..=31_009],
        }
    }

    pub(super) fn offer(&mut self, agent: &str, cpu: u64) -> Offer {
        let offer = self.offer_from(agent, cpu);
        self.event(ClusterEvent::Offers(vec![offer.clone()]));
        offer
    }

    pub(super) fn status(&mut self, task_id: &str, state: ReportedState) {
        self.event(ClusterEvent::Status(StatusUpdate {
            task_id: task_id.to_owned(),
            state,
            agent_id: Some("a".into()),
            message: String::new(),
            token: vec![1],
        }));
    }

    /// The active task of an instance.
    pub(super) fn task(&self, name: &str, instance: u32) -> Option<v1::Task> {
        let tasks = self.tasks(name).into_iter();
        let mut tasks =
            tasks.filter(|t| t.instance == instance && !crate::task::is_terminal(t.state()));
        tasks.next()
    }

    pub(super) fn id(&self, name: &str, instance: u32) -> String {
        self.task(name, instance).unwrap().task_id
    }

    pub(super) fn state(&self, name: &str, instance: u32) -> Option<TaskState> {
        self.task(name, instance).map(|task| task.state())
    }

    pub(super) fn tasks(&self, name: &str) -> Vec<v1::Task> {
        let request = v1::ListTasksRequest {
            filter: Some(v1::JobFilter {
                name: name.to_owned(),
                ..v1::JobFilter::default()
            }),
            page_size: 10_000,
            ..v1::ListTasksRequest::default()
        };
        self.scheduler.list_tasks(&request).unwrap().tasks
    }

    pub(super) fn launches(&self) -> Vec<&Launch> {
        let mut launches = Vec::new();
        for effect in &self.effects {
            if let Effect::Accept { launches: some, .. } = effect {
                launches.extend(some);
            }
        }
        launches
    }

    pub(super) fn kills(&self) -> Vec<&str> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Kill { task_id, .. } => Some(task_id.as_str()),
                _ => None,
            })
            .collect()
    }

    /// A job with one instance that runs on agent `a`; returns its task.
    pub(super) fn running(&mut self, config: v1::JobConfiguration) -> String {
        let name = config.key.as_ref().unwrap().name.clone();
        self.create(config);
        self.offer("a", 1_000);
        let id = self.id(&name, 0);
        self.status(&id, ReportedState::Running);
        id
    }
}

pub(super) fn key(name: &str) -> Option<v1::JobKey> {
    Some(v1::JobKey {
        role: "www".to_owned(),
        environment: "prod".to_owned(),
        name: name.to_owned(),
    })
}

pub(super) fn ranges(pairs: &[(u32, u32)]) -> Vec<v1::InstanceRange> {
    pairs
        .iter()
        .map(|(first, last)| v1::InstanceRange {
            first: *first,
            last: *last,
        })
        .collect()
}

/// A service of tasks with a tenth of a core each.
pub(super) fn service(name: &str, instances: u32) -> v1::JobConfiguration {
    v1::JobConfiguration {
        key: key(name),
        instances,
        task: Some(v1::TaskConfig {
            processes: vec![v1::Process {
                name: "main".to_owned(),
                cmdline: "true".to_owned(),
                ..v1::Process::default()
            }],
            resources: Some(v1::Resources {
                cpu: 0.1,
                ram_bytes: 1 << 20,
                disk_bytes: 1 << 20,
                gpu: 0,
            }),
            service: true,
            max_task_failures: 1,
            ..v1::TaskConfig::default()
        }),
        ..v1::JobConfiguration::default()
    }
}

pub(super) fn with_task(
    mut config: v1::JobConfiguration,
    change: impl FnOnce(&mut v1::TaskConfig),
) -> v1::JobConfiguration {
    change(config.task.as_mut().unwrap());
    config
}

pub(super) fn limit(attribute: &str, limit: u32) -> v1::PlacementConstraint {
    v1::PlacementConstraint {
        attribute: attribute.to_owned(),
        kind: Some(v1::placement_constraint::Kind::Limit(v1::LimitConstraint {
            limit,
        })),
    }
}

pub(super) fn value(attribute: &str, negated: bool, value: &str) -> v1::PlacementConstraint {
    v1::PlacementConstraint {
        attribute: attribute.to_owned(),
        kind: Some(v1::placement_constraint::Kind::Value(v1::ValueConstraint {
            negated,
            values: vec![value.to_owned()],
        })),
    }
}
