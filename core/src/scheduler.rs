//! The state machine itself: inputs in, a step out.

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_proto::v1::{self, TaskState};
use regex::Regex;

use crate::call::{ApiError, Call, Reply, ReplyTo};
use crate::cluster::{ClusterEvent, Effect};
use crate::codec::LoadError;
use crate::counters::Counters;
use crate::groups::Groups;
use crate::ids::{AgentIdx, TaskNumber};
use crate::offers::OfferTable;
use crate::penalty;
use crate::settings::Settings;
use crate::state::{Meta, State};
use crate::store::{Table, Write};
use crate::task::{Task, is_transient};
use crate::time::Timestamp;
use crate::timers::{Timer, Timers, state_ord};

/// Timers that one step deals with at most: a rack that is lost must not keep calls waiting.
const TIMERS: usize = 10_000;

/// Something that the scheduler has to deal with.
#[derive(Clone, Debug)]
pub enum Input {
    /// A caller wants something.
    Call {
        /// Where the answer goes.
        reply_to: ReplyTo,
        /// What.
        call: Call,
    },
    /// The cluster has news.
    Cluster(ClusterEvent),
}

/// What comes of a step. Effects and replies must wait until all writes are durable.
#[derive(Debug, Default)]
pub struct Step {
    /// For the store, to land together.
    pub writes: Vec<Write>,
    /// For the cluster, in this order.
    pub effects: Vec<Effect>,
    /// For callers.
    pub replies: Vec<(ReplyTo, Result<Reply, ApiError>)>,
}

/// The scheduler.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) settings: Settings,
    pub(crate) environments: Regex,
    pub(crate) state: State,
    pub(crate) timers: Timers,
    pub(crate) groups: Groups,
    pub(crate) offers: OfferTable,
    pub(crate) counters: Counters,
    pub(crate) connected: bool,
    /// The last task that a comparison with the cluster that is under way has asked about.
    pub(crate) reconciling: Option<TaskNumber>,
    /// Grows into the step's effects.
    pub(crate) effects: Vec<Effect>,
    rng: u64,
}

impl Scheduler {
    /// Returns an empty scheduler. `seed` feeds the few choices that are spread at random.
    ///
    /// # Errors
    /// If `settings.allowed_environments` is no regular expression.
    pub fn new(settings: Settings, seed: u64) -> Result<Self, regex::Error> {
        let settings = settings.sane();
        let environments = Regex::new(&format!("^(?:{})$", settings.allowed_environments))?;
        Ok(Self {
            settings,
            environments,
            state: State::default(),
            timers: Timers::default(),
            groups: Groups::default(),
            offers: OfferTable::default(),
            counters: Counters::default(),
            connected: false,
            reconciling: None,
            effects: Vec::new(),
            rng: seed,
        })
    }

    /// Takes in one stored record, before [`Self::start`], tables in the order of [`Table::ALL`].
    ///
    /// # Errors
    /// If the record is not what this scheduler could have written.
    pub fn load(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        self.state.load(table, key, value)
    }

    /// Begins: makes the meta record of a new store (with `new_epoch`, drawn at random by the
    /// caller), and sets every timer that the loaded state asks for.
    pub fn start(&mut self, now: Timestamp, new_epoch: u32) -> Step {
        self.state.finish_load();
        if self.state.meta.is_none() {
            self.state.meta = Some(Meta {
                cluster_name: self.settings.cluster_name.clone(),
                created: now,
                epoch: new_epoch,
                next_task: 1,
            });
            self.state.dirty.meta = true;
        }
        let unfinished: Vec<TaskNumber> = self
            .state
            .tasks
            .values()
            .filter(|task| !task.is_terminal())
            .map(|task| task.number)
            .collect();
        for number in unfinished {
            self.arm(number);
        }
        self.timers.set(now + Duration::from_secs(60), Timer::Prune);
        self.timers
            .set(now + self.settings.reconcile_interval, Timer::Reconcile);
        self.finish_step(Vec::new())
    }

    /// Deals with inputs, in order, and with everything that is due at `now`.
    pub fn step(&mut self, now: Timestamp, inputs: impl IntoIterator<Item = Input>) -> Step {
        let mut replies = Vec::new();
        for input in inputs {
            match input {
                Input::Call { reply_to, call } => {
                    let reply = self.call(now, call);
                    if reply.is_err() {
                        self.counters.calls_refused += 1;
                    }
                    replies.push((reply_to, reply));
                }
                Input::Cluster(event) => self.cluster_event(now, event),
            }
        }
        for _ in 0..TIMERS {
            let Some(timer) = self.timers.pop_due(now) else {
                break;
            };
            self.fire(now, &timer);
        }
        self.schedule(now);
        self.finish_step(replies)
    }

    /// Returns when the next step is due even if no input comes.
    pub fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        if self.groups.has_ready() && self.offers.any() {
            return Some(now);
        }
        self.timers.next()
    }

    /// Returns the counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns how many tasks are in each state.
    pub fn tasks_by_state(&self) -> BTreeMap<TaskState, u64> {
        (1..=15)
            .filter_map(|n| TaskState::try_from(n).ok())
            .map(|state| (state, self.state.count(state)))
            .collect()
    }

    /// Returns the framework id that an engine has been given, if any.
    pub fn framework_id(&self, engine: &str) -> Option<&str> {
        self.state.frameworks.get(engine).map(String::as_str)
    }

    fn finish_step(&mut self, replies: Vec<(ReplyTo, Result<Reply, ApiError>)>) -> Step {
        let effects = std::mem::take(&mut self.effects);
        Step {
            writes: self.state.take_writes(),
            effects,
            replies,
        }
    }

    fn call(&mut self, now: Timestamp, call: Call) -> Result<Reply, ApiError> {
        self.counters.calls += 1;
        match call {
            Call::CreateJob(request) => self.create_job(now, &request),
            Call::KillTasks(request) => self.kill_tasks(now, &request),
            Call::RestartTasks(request) => self.restart_tasks(now, &request),
            Call::AddInstances(request) => self.add_instances(now, &request),
            Call::EditJob(request) => self.edit_job(now, &request),
            Call::PruneTasks(request) => self.prune_tasks(now, &request),
            Call::Reconcile(v1::ReconcileRequest {}) => {
                let tasks = self.reconcile(now);
                Ok(Reply::Reconcile(v1::ReconcileResponse { tasks }))
            }
        }
    }

    fn fire(&mut self, now: Timestamp, timer: &Timer) {
        match *timer {
            Timer::EndThrottle(task) => {
                if self.task_state(task) == Some(TaskState::Throttled) {
                    self.change_state(now, task, TaskState::Pending, "penalty served");
                }
            }
            Timer::Transient(task, state) => {
                if self.task_state(task).map(state_ord) == Some(state) {
                    self.counters.timed_out_tasks += 1;
                    self.change_state(now, task, TaskState::Lost, "task timed out");
                }
            }
            Timer::RetryKill(task, wait_ms) => self.retry_kill(now, task, wait_ms),
            Timer::Partition(task) => self.end_partition(now, task),
            Timer::WakeGroup(key) => {
                if let Some(at) = self.groups.timer_fired(key, now) {
                    self.timers.set(at, Timer::WakeGroup(key));
                }
            }
            Timer::OfferExpiry(agent) => self.expire_offers(now, agent),
            Timer::Prune => self.prune_history(now),
            Timer::ReconcileMore => self.reconcile_more(now),
            Timer::Reconcile => {
                if self.reconciling.is_none() {
                    self.reconcile(now);
                }
                self.timers
                    .set(now + self.settings.reconcile_interval, Timer::Reconcile);
            }
        }
    }

    /// Gives up a task that has been partitioned for as long as its policy allows; it may have
    /// come back and be partitioned anew.
    fn end_partition(&mut self, now: Timestamp, number: TaskNumber) {
        let overdue = self.state.tasks.get(&number).is_some_and(|task| {
            let wait = self.state.config(task.config).partition_wait();
            task.state == TaskState::Partitioned
                && wait.is_some_and(|wait| task.since() + wait <= now)
        });
        if overdue {
            let message = "the agent did not come back in time";
            self.change_state(now, number, TaskState::Lost, message);
        }
    }

    fn retry_kill(&mut self, now: Timestamp, number: TaskNumber, wait_ms: u32) {
        if self.task_state(number) != Some(TaskState::Killing) {
            return;
        }
        self.counters.task_kill_retries += 1;
        self.send_kill(number);
        let next = wait_ms
            .saturating_mul(2)
            .min(millis(self.settings.max_kill_retry));
        let at = now + Duration::from_millis(wait_ms.into());
        self.timers.set(at, Timer::RetryKill(number, next));
    }

    pub(crate) fn task_state(&self, number: TaskNumber) -> Option<TaskState> {
        self.state.tasks.get(&number).map(|task| task.state)
    }

    /// Sets what a task in its present state needs: a place in its group or timers.
    pub(crate) fn arm(&mut self, number: TaskNumber) {
        let Some(task) = self.state.tasks.get(&number) else {
            return;
        };
        let (state, since) = (task.state, task.since());
        if is_transient(state) {
            let at = since + self.settings.transient_task_timeout;
            self.timers
                .set(at, Timer::Transient(number, state_ord(state)));
        }
        match state {
            TaskState::Pending => {
                let shape = self.state.config(task.config).shape(task.job);
                self.groups.add((task.job, task.config), shape, number);
            }
            TaskState::Throttled => {
                let at = since + penalty::delay(task.flaps, &self.settings);
                self.timers.set(at, Timer::EndThrottle(number));
            }
            TaskState::Killing => {
                let wait = self.settings.initial_kill_retry;
                let next = millis(wait)
                    .saturating_mul(2)
                    .min(millis(self.settings.max_kill_retry));
                self.timers
                    .set(since + wait, Timer::RetryKill(number, next));
            }
            TaskState::Partitioned => {
                if let Some(wait) = self.state.config(task.config).partition_wait() {
                    self.timers.set(since + wait, Timer::Partition(number));
                }
            }
            TaskState::Unspecified
            | TaskState::Init
            | TaskState::Assigned
            | TaskState::Starting
            | TaskState::Running
            | TaskState::Finished
            | TaskState::Failed
            | TaskState::Killed
            | TaskState::Preempting
            | TaskState::Restarting
            | TaskState::Draining
            | TaskState::Lost => {}
        }
    }

    pub(crate) fn task_id(&self, task: &Task) -> String {
        let job = self.state.job(task.job);
        crate::ids::task_id(&job.key, task.instance, task.epoch, task.number)
    }

    /// Returns the task with this id, if it is known.
    pub(crate) fn find_task(&self, id: &str) -> Option<&Task> {
        let (epoch, number) = crate::ids::parse_task_id(id)?;
        let task = self.state.tasks.get(&number)?;
        (task.epoch == epoch && self.task_id(task) == id).then_some(task)
    }

    pub(crate) fn agent_id(&self, agent: Option<AgentIdx>) -> Option<crate::cluster::AgentId> {
        agent.map(|agent| self.state.agent(agent).id.clone())
    }

    /// Returns an even number below `bound` (SplitMix64).
    pub(crate) fn random_below(&mut self, bound: u64) -> u64 {
        self.rng = self.rng.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.rng;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
