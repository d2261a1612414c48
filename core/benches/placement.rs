//! How fast the core decides, on one thread, with nothing but the core: `cargo bench -p
//! aurora-core`. Figures are printed, none is judged.

#![expect(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a program that measures real time and prints what it finds"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aurora_core::call::Call;
use aurora_core::cluster::{
    AgentId, ClusterEvent, Effect, Launch, Offer, ReportedState, StatusUpdate,
};
use aurora_core::resources::Resources;
use aurora_core::settings::Settings;
use aurora_core::store::{Table, Write};
use aurora_core::time::Timestamp;
use aurora_core::{Input, Scheduler, Step};
use aurora_proto::v1;

/// A simulated second of the scheduler's clock between steps would be idle time; one
/// millisecond is what a busy engine sees.
const STEP_MS: i64 = 1;

struct Bench {
    scheduler: Scheduler,
    now: Timestamp,
    next_offer: u64,
    /// What runs on each agent.
    used: Vec<Resources>,
}

/// What each agent of the large runs has.
const LARGE: Resources = Resources {
    cpu_millis: 16_000,
    ram: 256 << 30,
    disk: 1 << 40,
    gpu: 0,
};

impl Bench {
    fn new() -> Self {
        let settings = Settings {
            max_instances_per_job: 1_000_000,
            hold_offers_forever: true,
            ..Settings::default()
        };
        let mut bench = Self {
            scheduler: Scheduler::new(settings, 7).expect("the default pattern is sound"),
            now: Timestamp(1_700_000_000_000),
            next_offer: 0,
            used: vec![Resources::default(); 10_000],
        };
        bench.scheduler.start(bench.now, 1);
        bench.step(vec![Input::Cluster(ClusterEvent::Connected)]);
        bench
    }

    fn step(&mut self, inputs: Vec<Input>) -> Step {
        self.now = Timestamp(self.now.0 + STEP_MS);
        self.scheduler.step(self.now, inputs)
    }

    fn offer(&mut self, agent: u64, resources: Resources) -> Offer {
        self.next_offer += 1;
        let one = |text: String| BTreeSet::from([text]);
        let attributes = BTreeMap::from([
            ("host".to_owned(), one(format!("host{agent}"))),
            ("rack".to_owned(), one(format!("rack{}", agent / 40))),
        ]);
        Offer {
            id: format!("offer{}", self.next_offer).into(),
            agent_id: format!("agent{agent}").into(),
            host: format!("host{agent}").into(),
            attributes: Arc::new(attributes),
            resources,
            ports: vec![31_000..=32_000],
        }
    }

    /// What a launch has left comes back as a new offer, as it would from an agent.
    fn offer_rest(&mut self, agent_id: &str, launches: &[Launch]) -> Offer {
        let agent: usize = agent_id.trim_start_matches("agent").parse().unwrap_or(0);
        for launch in launches {
            self.used[agent] += launch.resources;
        }
        let rest = LARGE - self.used[agent];
        self.offer(agent as u64, rest)
    }

    /// Agents of mixed shapes, each with room for at least 32 small tasks.
    fn offer_all(&mut self, agents: u64) -> Duration {
        let offers: Vec<Offer> = (0..agents)
            .map(|agent| {
                let size = 1 + agent % 4;
                let resources = Resources {
                    cpu_millis: 4_000 * size,
                    ram: (16 << 30) * (1 + agent % 3),
                    disk: 1 << 40,
                    gpu: 0,
                };
                self.offer(agent, resources)
            })
            .collect();
        let began = cpu_time();
        drop(self.step(vec![Input::Cluster(ClusterEvent::Offers(offers))]));
        cpu_time().saturating_sub(began)
    }

    fn create(&mut self, name: &str, instances: u32, limit: Option<(&str, u32)>) -> Step {
        let constraints = limit.map(|(attribute, limit)| v1::PlacementConstraint {
            attribute: attribute.to_owned(),
            kind: Some(v1::placement_constraint::Kind::Limit(v1::LimitConstraint {
                limit,
            })),
        });
        let config = v1::JobConfiguration {
            key: Some(v1::JobKey {
                role: "www-data".to_owned(),
                environment: "prod".to_owned(),
                name: name.to_owned(),
            }),
            instances,
            task: Some(v1::TaskConfig {
                name: "web".to_owned(),
                processes: vec![v1::Process {
                    name: "web".to_owned(),
                    cmdline: "exec ./web --port {{ports.http}}".to_owned(),
                    ..v1::Process::default()
                }],
                resources: Some(v1::Resources {
                    cpu: 0.1,
                    ram_bytes: 128 << 20,
                    disk_bytes: 64 << 20,
                    gpu: 0,
                }),
                service: true,
                constraints: constraints.into_iter().collect(),
                ports: vec!["http".to_owned()],
                ..v1::TaskConfig::default()
            }),
            ..v1::JobConfiguration::default()
        };
        let call = Call::CreateJob(Box::new(v1::CreateJobRequest {
            context: None,
            config: Some(config),
        }));
        // The offers are there already, so that the step that makes the job places some of it.
        let step = self.step(vec![Input::Call { reply_to: 0, call }]);
        assert!(
            step.replies.iter().all(|(_, reply)| reply.is_ok()),
            "{:?}",
            step.replies
        );
        step
    }

    /// Steps until nothing is placed any more.
    fn place_all(&mut self, mut each: impl FnMut(Step)) {
        loop {
            let before = self.scheduler.counters().placements;
            let step = self.step(Vec::new());
            each(step);
            if self.scheduler.counters().placements == before {
                return;
            }
        }
    }
}

fn placements_per_second(agents: u64, jobs: u32, instances: u32, limit: Option<(&str, u32)>) {
    let mut bench = Bench::new();
    for job in 0..jobs {
        drop(bench.create(&format!("job{job}"), instances, limit));
    }
    let mut spent = bench.offer_all(agents);
    let (mut steps, mut slowest) = (1_u32, spent);
    loop {
        let before = bench.scheduler.counters().placements;
        let began = cpu_time();
        let step = bench.step(Vec::new());
        let took = cpu_time().saturating_sub(began);
        black_box(&step);
        drop(step);
        if bench.scheduler.counters().placements == before {
            break;
        }
        spent += took;
        slowest = slowest.max(took);
        steps += 1;
    }
    let placed = bench.scheduler.counters().placements;
    let rate = placed as f64 / spent.as_secs_f64();
    println!(
        "A  {agents:>6} agents, {jobs:>6} jobs of {instances:>7}, limit {:<12} \
         {placed:>8} placed, {rate:>9.0}/s, slowest of {steps} steps {slowest:.1?}",
        limit.map_or_else(|| "none".to_owned(), |(on, n)| format!("{n} per {on}:")),
    );
}

/// The time that this process has had a processor for: other work on the machine does not count.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4_096
}

fn keep(rows: &mut BTreeMap<(Table, Vec<u8>), Vec<u8>>, writes: Vec<Write>) {
    for write in writes {
        match write.value {
            Some(value) => rows.insert((write.table, write.key), value),
            None => rows.remove(&(write.table, write.key)),
        };
    }
}

/// What the store would get.
#[derive(Default)]
struct Written {
    records: usize,
    bytes: usize,
}

impl Written {
    fn count(&mut self, step: &Step) {
        self.records += step.writes.len();
        let values = step.writes.iter().filter_map(|write| write.value.as_ref());
        self.bytes += values.map(Vec::len).sum::<usize>();
    }
}

/// What agents do of themselves with the effects of a step: they take the launches and offer
/// what is left.
fn answer(bench: &mut Bench, step: Step, launched: &mut Vec<(String, AgentId)>) -> Vec<Input> {
    let mut offers = Vec::new();
    for effect in step.effects {
        if let Effect::Accept {
            agent_id, launches, ..
        } = effect
        {
            offers.push(bench.offer_rest(&agent_id, &launches));
            let ids = launches.into_iter().map(|launch| launch.task_id);
            launched.extend(ids.map(|id| (id, Arc::clone(&agent_id))));
        }
    }
    vec![Input::Cluster(ClusterEvent::Offers(offers))]
}

fn statuses(launched: &[(String, AgentId)], state: ReportedState) -> Vec<Input> {
    let status = |(task_id, agent): &(String, AgentId)| {
        Input::Cluster(ClusterEvent::Status(StatusUpdate {
            task_id: task_id.clone(),
            state,
            agent_id: Some(Arc::clone(agent)),
            message: String::new(),
            token: vec![1; 16],
        }))
    };
    launched.iter().map(status).collect()
}

/// So many tasks onto 10,000 agents, with every record encoded: make them, place them, hear
/// STARTING, hear RUNNING. Jobs of 10,000 one after the other, 2,000 tasks or so in a step.
fn million(tasks: u32) {
    let before = resident_bytes();
    let mut bench = Bench::new();
    let began = cpu_time();
    let agents: u64 = 10_000;
    for agent in 0..agents {
        let offer = bench.offer(agent, LARGE);
        bench.step(vec![Input::Cluster(ClusterEvent::Offers(vec![offer]))]);
    }
    let mut written = Written::default();
    for job in 0..tasks / 10_000 {
        let mut steps = vec![bench.create(&format!("job{job}"), 10_000, None)];
        bench.place_all(|step| steps.push(step));
        for step in steps {
            written.count(&step);
            let mut launched = Vec::new();
            let offers = answer(&mut bench, step, &mut launched);
            bench.step(offers);
            for state in [ReportedState::Starting, ReportedState::Running] {
                let step = bench.step(statuses(&launched, state));
                written.count(&step);
            }
        }
    }
    let took = cpu_time().saturating_sub(began);
    let done = bench.scheduler.tasks_by_state()[&v1::TaskState::Running];
    let grown = resident_bytes().saturating_sub(before);
    println!(
        "C  {done} tasks running on {agents} agents in {took:.1?} of CPU ({:.0}/s); \
         {} records, {} MiB written; {} bytes resident per task",
        done as f64 / took.as_secs_f64(),
        written.records,
        written.bytes >> 20,
        grown / done.max(1),
    );
}

/// Loading a store of so many running tasks.
fn restart(tasks: u32) {
    let mut bench = Bench::new();
    let mut rows = BTreeMap::new();
    for agent in 0..10_000 {
        let offer = bench.offer(agent, LARGE);
        bench.step(vec![Input::Cluster(ClusterEvent::Offers(vec![offer]))]);
    }
    for job in 0..tasks / 10_000 {
        let step = bench.create(&format!("job{job}"), 10_000, None);
        keep(&mut rows, step.writes);
        let mut more = Vec::new();
        bench.place_all(|step| more.push(step));
        let mut offers = Vec::new();
        for step in more {
            keep(&mut rows, step.writes);
            for effect in step.effects {
                let Effect::Accept {
                    agent_id, launches, ..
                } = effect
                else {
                    continue;
                };
                offers.push(bench.offer_rest(&agent_id, &launches));
            }
        }
        bench.step(vec![Input::Cluster(ClusterEvent::Offers(offers))]);
    }
    drop(bench);
    let began = cpu_time();
    let mut scheduler = Scheduler::new(Settings::default(), 7).expect("sound");
    for table in Table::ALL {
        for ((_, key), value) in rows.iter().filter(|((of, _), _)| *of == table) {
            scheduler.load(table, key, value).expect("own records load");
        }
    }
    drop(scheduler.start(Timestamp(1_700_000_100_000), 1));
    let took = cpu_time().saturating_sub(began);
    let n: u64 = scheduler.tasks_by_state().values().sum();
    println!("R  {n} task records loaded in {took:.2?}");
}

fn main() {
    let wanted = |name: &str| {
        let mut given = std::env::args()
            .skip(1)
            .filter(|a| !a.starts_with('-'))
            .peekable();
        given.peek().is_none() || given.any(|a| a == name)
    };
    // First, while the process is small: memory that was freed would hide what is used.
    if wanted("million") {
        million(1_000_000);
    }
    if wanted("place") {
        for agents in [1_000, 10_000, 50_000] {
            let tasks = u32::try_from(agents * 20).unwrap_or(200_000).min(400_000);
            placements_per_second(agents, 1, tasks, None);
            placements_per_second(agents, tasks.min(50_000), 1, None);
            let per_rack = tasks.min(10_000);
            placements_per_second(agents, tasks / per_rack, per_rack, Some(("host", 30)));
            placements_per_second(agents, tasks / per_rack, per_rack, Some(("rack", 1_000)));
        }
    }
    if wanted("restart") {
        restart(1_000_000);
    }
}
