//! The loop that joins scheduler, store, cluster and clients under one virtual clock.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::Duration;

use aurora_core::call::{ApiError, Call, Reply};
use aurora_core::cluster::{ClusterEvent, Effect, Launch, OfferId, ReportedState};
use aurora_core::settings::Settings;
use aurora_core::store::Table;
use aurora_core::time::Timestamp;
use aurora_core::{Input, Scheduler, Step};

use crate::clients::Clients;
use crate::cluster::SimCluster;
use crate::ledger::Ledger;
use crate::plant::Plant;
use crate::random::{Faults, Random};

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Event {
    Tick,
    Step,
    /// The oldest commit lands.
    Committed(u64),
    ToCluster(u64, u64, Effect),
    ToScheduler(u64, ClusterEvent),
    Launched(usize, Box<Launch>),
    KillArrives(usize, String),
    ProcessState(usize, String, ReportedState),
    CallArrives(u64),
    Answer(u64, Box<Result<Reply, ApiError>>),
    Restart,
    Reconnect(u64),
    Unreachable(usize),
    AgentBack(usize),
}

/// A step whose writes have not landed yet.
pub(crate) struct Commit {
    pub(crate) number: u64,
    pub(crate) step: Step,
}

/// What has happened, so that a run in which nothing happened does not count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) events: u64,
    pub(crate) placements: u64,
    pub(crate) faults: BTreeMap<&'static str, u64>,
}

/// One seed's world.
pub(crate) struct World {
    pub(crate) now: i64,
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) plant: Option<Plant>,
    pub(crate) settings: Settings,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) restarts: u64,
    pub(crate) ledger: Ledger,
    pub(crate) commits: VecDeque<Commit>,
    pub(crate) cluster: SimCluster,
    pub(crate) clients: Clients,
    pub(crate) tally: Tally,
    pub(crate) connected: bool,
    pub(crate) connection: u64,
    /// The step that has dealt with an offer's rescind.
    pub(crate) rescinded: BTreeMap<OfferId, u64>,
    pub(crate) quiet: bool,
    /// Since when there has been room for a pending task.
    pub(crate) room_since: BTreeMap<u64, i64>,
    inbox: Vec<Input>,
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    events: BTreeMap<u64, Event>,
    sequence: u64,
    step_at: Option<i64>,
    idle_steps: u64,
    /// Links keep their order: when the last message on each arrives.
    out_link: i64,
    agent_links: BTreeMap<usize, i64>,
}

pub(crate) const TICK: i64 = 1_000;
const START: i64 = 1_700_000_000_000;

impl World {
    pub(crate) fn new(seed: u64, plant: Option<Plant>) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::draw(&mut random);
        let mut cluster = SimCluster::default();
        for _ in 0..random.between(2, 6) {
            cluster.add_agent(&mut random);
        }
        let mut world = Self {
            now: START,
            faults,
            plant,
            settings: settings(&mut random),
            random,
            scheduler: None,
            restarts: 0,
            ledger: Ledger::default(),
            commits: VecDeque::new(),
            cluster,
            clients: Clients::default(),
            tally: Tally::default(),
            connected: false,
            connection: 0,
            rescinded: BTreeMap::new(),
            quiet: false,
            room_since: BTreeMap::new(),
            inbox: Vec::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            sequence: 0,
            step_at: None,
            idle_steps: 0,
            out_link: 0,
            agent_links: BTreeMap::new(),
        };
        world.at(START, Event::Restart);
        world.at(START + 1, Event::Tick);
        world
    }

    pub(crate) fn at(&mut self, time: i64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence)));
        self.events.insert(self.sequence, event);
    }

    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.tally.faults.entry(name).or_default() += 1;
    }

    pub(crate) fn delay(&mut self) -> i64 {
        i64::try_from(self.random.between(1, self.faults.delay.max(1))).unwrap()
    }

    /// Runs until the time has come.
    pub(crate) fn run_until(&mut self, end: i64) -> Result<(), String> {
        while let Some(Reverse((time, id))) = self.queue.peek().copied() {
            if time > end {
                break;
            }
            self.queue.pop();
            self.now = self.now.max(time);
            self.tally.events += 1;
            let event = self.events.remove(&id).unwrap();
            self.happen(event)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Tick => self.tick()?,
            Event::Step => self.step()?,
            Event::Committed(number) => self.committed(number)?,
            Event::ToCluster(connection, step, effect) => {
                if connection == self.connection && self.connected {
                    self.cluster_receives(step, effect)?;
                }
            }
            Event::ToScheduler(connection, event) => {
                if connection == self.connection && self.connected {
                    self.input(Input::Cluster(event));
                }
            }
            Event::Launched(at, launch) => self.launched(at, &launch)?,
            Event::KillArrives(at, task_id) => self.kill_arrives(at, &task_id),
            Event::ProcessState(at, task_id, state) => self.process_state(at, &task_id, state)?,
            Event::CallArrives(id) => self.call_arrives(id),
            Event::Answer(id, result) => self.clients.answer(id, &result)?,
            Event::Restart => self.restart()?,
            Event::Reconnect(connection) => self.reconnect(connection),
            Event::Unreachable(at) => self.report_unreachable(at),
            Event::AgentBack(at) => self.agent_back(at),
        }
        Ok(())
    }

    pub(crate) fn input(&mut self, input: Input) {
        if self.scheduler.is_none() {
            return;
        }
        self.inbox.push(input);
        self.idle_steps = 0;
        self.step_by(self.now);
    }

    fn step_by(&mut self, time: i64) {
        if self.step_at.is_none_or(|at| at > time) {
            self.step_at = Some(time);
            self.at(time, Event::Step);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.step_at.is_none_or(|at| at > self.now) {
            return Ok(());
        }
        self.step_at = None;
        let Some(mut scheduler) = self.scheduler.take() else {
            return Ok(());
        };
        let inputs = self.take_inputs();
        let number = self.tally.steps;
        for input in &inputs {
            if let Input::Cluster(ClusterEvent::Rescinded(offer)) = input {
                self.rescinded.insert(offer.clone(), number);
            }
        }
        let inputs = Plant::inputs(self.plant, inputs);
        let step = scheduler.step(Timestamp(self.now), inputs);
        if number.is_multiple_of(4) || self.quiet {
            let violations = scheduler.violations();
            if !violations.is_empty() {
                return Err(violations.join("; "));
            }
        }
        self.idle_steps += 1;
        if self.idle_steps > 2_000 {
            return Err("the scheduler wakes again and again for nothing".to_owned());
        }
        if let Some(at) = scheduler.next_wakeup(Timestamp(self.now))
            && !(self.plant == Some(Plant::ForgetTimers) && self.restarts > 1)
        {
            self.step_by(at.0.max(self.now + 1));
        }
        self.scheduler = Some(scheduler);
        self.begin_commit(step)
    }

    /// Takes what has come; a prune alone, as a task that ends and is pruned within one step
    /// looks like a live one that is deleted.
    fn take_inputs(&mut self) -> Vec<Input> {
        let prune = |input: &Input| {
            matches!(
                input,
                Input::Call {
                    call: Call::PruneTasks(_),
                    ..
                }
            )
        };
        let first = self.inbox.iter().position(prune);
        let end = match first {
            None => return std::mem::take(&mut self.inbox),
            Some(0) => 1,
            Some(before) => before,
        };
        let rest = self.inbox.split_off(end);
        if !rest.is_empty() {
            self.step_by(self.now + 1);
        }
        std::mem::replace(&mut self.inbox, rest)
    }

    fn begin_commit(&mut self, mut step: Step) -> Result<(), String> {
        let number = self.tally.steps;
        self.tally.steps += 1;
        if self.plant == Some(Plant::EffectsBeforeCommit) {
            self.release_effects(number, std::mem::take(&mut step.effects))?;
        }
        if self.plant == Some(Plant::RepliesBeforeCommit) {
            let replies = std::mem::take(&mut step.replies);
            self.release_replies(replies)?;
        }
        self.commits.push_back(Commit { number, step });
        let takes = self.random.between(0, self.faults.commit);
        let time = self.now + i64::try_from(takes).unwrap();
        self.at(time, Event::Committed(number));
        Ok(())
    }

    /// The commits up to this one have landed: what rests on them may leave.
    fn committed(&mut self, number: u64) -> Result<(), String> {
        while self.commits.front().is_some_and(|c| c.number <= number) {
            let Some(commit) = self.commits.pop_front() else {
                break;
            };
            self.ledger.commit(commit.step.writes)?;
            self.ledger.check_complete()?;
            self.release_effects(commit.number, commit.step.effects)?;
            self.release_replies(commit.step.replies)?;
        }
        Ok(())
    }

    fn release_effects(&mut self, step: u64, effects: Vec<Effect>) -> Result<(), String> {
        for effect in effects {
            let Some(effect) = Plant::effect(self.plant, effect, &self.ledger) else {
                continue;
            };
            self.check_effect(&effect)?;
            if !self.connected {
                continue;
            }
            self.out_link = self.out_link.max(self.now + self.delay());
            let event = Event::ToCluster(self.connection, step, effect);
            self.at(self.out_link, event);
        }
        Ok(())
    }

    fn release_replies(
        &mut self,
        replies: Vec<(u64, Result<Reply, ApiError>)>,
    ) -> Result<(), String> {
        for (id, result) in replies {
            self.check_reply(id, &result)?;
            if self.random.per_mille(self.faults.reply_lost) {
                self.fault("reply lost");
                continue;
            }
            let time = self.now + self.delay();
            self.at(time, Event::Answer(id, Box::new(result)));
        }
        Ok(())
    }

    fn call_arrives(&mut self, id: u64) {
        let call: Option<Call> = match id.checked_sub(crate::checks::REPEATS) {
            Some(n) => {
                let answered = self.clients.answered.get(usize::try_from(n).unwrap());
                answered.map(|(_, call, _)| call.clone())
            }
            None => {
                let outstanding = self.clients.outstanding.get(&id);
                outstanding.map(|outstanding| outstanding.call.clone())
            }
        };
        if let Some(call) = call {
            self.input(Input::Call { reply_to: id, call });
        }
    }

    /// The scheduler dies; commits under way land up to some point, and nothing leaves it.
    pub(crate) fn crash(&mut self) -> Result<(), String> {
        if self.scheduler.take().is_none() {
            return Ok(());
        }
        self.fault("crash");
        self.inbox.clear();
        self.step_at = None;
        let landed = self.random.below(self.commits.len() as u64 + 1);
        for _ in 0..landed {
            if let Some(mut commit) = self.commits.pop_front() {
                if self.plant == Some(Plant::SplitBatch) {
                    commit.step.writes.pop();
                }
                self.ledger.commit(commit.step.writes)?;
                self.ledger.check_complete()?;
            }
        }
        self.commits.clear();
        self.lose_connection();
        let wait = i64::try_from(self.random.between(100, 15_000)).unwrap();
        self.at(self.now + wait, Event::Restart);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), String> {
        self.restarts += 1;
        let settings = self.settings.clone();
        let mut scheduler = Scheduler::new(settings, self.random.next()).unwrap();
        for table in Table::ALL {
            let rows = self.ledger.rows.iter().filter(|((t, _), _)| *t == table);
            for ((_, key), value) in rows {
                scheduler
                    .load(table, key, value)
                    .map_err(|error| format!("load: {error}"))?;
            }
        }
        let epoch = u32::try_from(self.random.below(1 << 32)).unwrap();
        let step = scheduler.start(Timestamp(self.now), epoch);
        let violations = scheduler.violations();
        if !violations.is_empty() {
            return Err(format!("after a restart: {}", violations.join("; ")));
        }
        self.check_kept()?;
        self.scheduler = Some(scheduler);
        self.begin_commit(step)?;
        self.step_by(self.now + 1);
        self.plan_reconnect();
        Ok(())
    }

    pub(crate) fn lose_connection(&mut self) {
        self.connected = false;
        self.connection += 1;
        self.cluster.offers.clear();
    }

    pub(crate) fn plan_reconnect(&mut self) {
        let wait = i64::try_from(self.random.between(1, 8_000)).unwrap();
        self.at(self.now + wait, Event::Reconnect(self.connection));
    }

    fn reconnect(&mut self, connection: u64) {
        if connection != self.connection || self.connected || self.scheduler.is_none() {
            return;
        }
        self.connected = true;
        self.out_link = self.now;
        self.input(Input::Cluster(ClusterEvent::Connected));
    }

    /// Sends on the link to an agent, which keeps its order.
    pub(crate) fn send_to_agent(&mut self, at: usize, event: Event) {
        let time = self.now + self.delay();
        let link = self.agent_links.entry(at).or_default();
        *link = time.max(*link);
        let time = *link;
        self.at(time, event);
    }

    pub(crate) fn send_to_scheduler(&mut self, event: ClusterEvent) {
        if self.connected {
            let time = self.now + self.delay();
            self.at(time, Event::ToScheduler(self.connection, event));
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    let secs = Duration::from_secs;
    Settings {
        allowed_environments: "prod".to_owned(),
        flapping_threshold: secs(random.between(5, 60)),
        initial_flapping_delay: secs(random.between(1, 10)),
        max_flapping_delay: secs(random.between(10, 40)),
        transient_task_timeout: secs(random.between(20, 60)),
        initial_kill_retry: secs(random.between(2, 10)),
        max_kill_retry: secs(20),
        max_schedule_delay: secs(random.between(2, 300)),
        offer_hold: secs(random.between(5, 60)),
        offer_hold_jitter: secs(random.between(0, 10)),
        hold_offers_forever: random.per_mille(200),
        max_placements_per_step: usize::try_from(random.between(1, 40)).unwrap(),
        history_max_per_job: 10,
        history_min_retention: secs(30 * 60),
        reconcile_interval: secs(random.between(10, 40)),
        ..Settings::default()
    }
}
