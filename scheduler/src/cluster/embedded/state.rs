//! The one owner of everything that changes: takes what happens, one turn at a time.
//!
//! A turn handles all that has come in, then writes journals, then lets go what rests on them:
//! events to executors, and last the offers.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use aurora_core::cluster::{AgentId, ClusterEvent, Effect, OfferId, ReportedState, StatusUpdate};
use aurora_mesos::agent_endpoint::{ExecutorCall, ExecutorKey};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::agent::AgentState;
use super::config::EmbeddedConfig;
use super::credentials::Credentials;
use super::metrics::EmbeddedMetrics;
use super::slot::{Link, Outgoing, Slot, SlotId};
use super::sweeper::SweepOrder;
use super::task_entry::{Phase, TaskEntry};
use super::task_info::TaskEncoder;
use crate::cluster::EventSink;

const TICK: Duration = Duration::from_millis(200);
const LEAVE_WITHIN: Duration = Duration::from_millis(500);
const MAX_PER_TURN: usize = 1024;

/// What the owner is asked to do, other than by executors.
#[derive(Debug)]
pub(super) enum Command {
    /// By the core.
    Perform(Vec<Effect>),
    /// The process of an executor has ended.
    ExecutorEnded(SlotId, Option<ExitStatus>),
    /// Nothing of an ended executor runs any more.
    LeftoversEnded(SlotId),
    /// Every executor is to end.
    EndAll(oneshot::Sender<()>),
    /// The owner is to end, with everything done that it was asked for before.
    Leave,
}

/// A call of an executor.
pub(super) type Call = (Arc<ExecutorKey>, ExecutorCall);

/// Where executors find the agent.
#[derive(Clone, Debug)]
pub(super) struct EndpointAddress {
    /// As `ip:port`.
    pub(super) address: String,
    /// The file that says so.
    pub(super) file: PathBuf,
}

/// The state of all agents.
pub(super) struct State {
    pub(super) config: EmbeddedConfig,
    pub(super) framework_id: String,
    pub(super) sink: EventSink,
    pub(super) metrics: Arc<EmbeddedMetrics>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) endpoint: EndpointAddress,
    pub(super) agents: Vec<AgentState>,
    pub(super) agent_index: HashMap<AgentId, usize>,
    pub(super) slots: HashMap<SlotId, Slot>,
    pub(super) slot_of_role: HashMap<(usize, String), SlotId>,
    pub(super) slot_of_executor: HashMap<String, SlotId>,
    pub(super) tasks: HashMap<Arc<str>, TaskEntry>,
    pub(super) encoder: TaskEncoder,
    // Slots with something to write or send.
    pub(super) dirty: HashSet<SlotId>,
    pub(super) next_slot: SlotId,
    pub(super) offer_prefix: String,
    pub(super) next_offer: u64,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) sweeper: mpsc::UnboundedSender<SweepOrder>,
    pub(super) stop: CancellationToken,
    pub(super) next_heartbeat: Instant,
    pub(super) all_ended: Option<oneshot::Sender<()>>,
    pub(super) leaving: bool,
}

impl State {
    /// Handles what comes until the cluster is stopped. Executors are left alone then.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut calls: mpsc::Receiver<Call>,
        retired: Vec<AgentId>,
    ) {
        let stop = self.stop.clone();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut some_commands = Vec::new();
        let mut some_calls = Vec::new();
        self.emit(ClusterEvent::Connected);
        for agent in retired {
            self.emit(ClusterEvent::AgentGone(agent));
        }
        loop {
            self.finish_turn();
            if self.leaving {
                self.wait_until_read().await;
                break;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                _ = commands.recv_many(&mut some_commands, MAX_PER_TURN) => {
                    for command in some_commands.drain(..) {
                        self.obey(command);
                    }
                }
                _ = calls.recv_many(&mut some_calls, MAX_PER_TURN) => {
                    for (caller, call) in some_calls.drain(..) {
                        self.take_call(&caller, call);
                    }
                }
                _ = tick.tick() => self.tick(Instant::now()),
            }
        }
    }

    // What an executor does not get now is lost for it, though not for the next scheduler.
    async fn wait_until_read(&self) {
        let has_unread = |slot: &Slot| match &slot.link {
            Link::Up(events) => events.has_unread(),
            Link::Awaited { .. } | Link::Ending { .. } | Link::Gone => false,
        };
        let give_up = Instant::now() + LEAVE_WITHIN;
        while self.slots.values().any(has_unread) && Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Perform(effects) => {
                for effect in effects {
                    self.perform(effect);
                }
            }
            Command::ExecutorEnded(slot, status) => self.executor_ended(slot, status),
            Command::LeftoversEnded(slot) => self.leftovers_ended(slot),
            Command::EndAll(done) => self.end_all(done),
            Command::Leave => self.leaving = true,
        }
    }

    /// Tells the core.
    pub(super) fn emit(&self, event: ClusterEvent) {
        (self.sink)(event);
    }

    /// Tells the core about a task.
    pub(super) fn report(&self, task_id: &str, state: ReportedState, about: Report<'_>) {
        self.emit(ClusterEvent::Status(StatusUpdate {
            task_id: task_id.to_owned(),
            state,
            agent_id: about
                .agent
                .and_then(|index| self.agents.get(index))
                .map(|agent| Arc::clone(&agent.id)),
            message: about.message.to_owned(),
            token: about.token.to_vec(),
        }));
    }

    /// Gives back what a task holds; it holds nothing afterwards.
    pub(super) fn release(&mut self, task_id: &str) {
        let Some(entry) = self.tasks.get_mut(task_id) else {
            return;
        };
        let resources = std::mem::take(&mut entry.resources);
        let ports = std::mem::take(&mut entry.ports);
        if let Some(agent) = self.agents.get_mut(entry.agent) {
            agent.release(&resources, &ports);
        }
    }

    /// Removes a task for good; its sandbox may be collected from now on.
    pub(super) fn forget(&mut self, task_id: &str) {
        self.release(task_id);
        let Some(entry) = self.tasks.remove(task_id) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(&entry.slot) {
            slot.tasks.remove(task_id);
            slot.journal.forgotten(task_id);
            if slot.tasks.is_empty() {
                slot.idle_since = Some(Instant::now());
            }
            self.dirty.insert(entry.slot);
        }
        if let Some(agent) = self.agents.get(entry.agent) {
            let sandbox = super::sandbox::sandboxes_dir(&agent.dir).join(task_id);
            // The sweeper lives as long as this does.
            self.sweeper
                .send(SweepOrder::Ended(sandbox))
                .unwrap_or_default();
        }
    }

    fn finish_turn(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            self.flush(id);
        }
        self.make_offers();
        let alive = self.tasks.values().len() as u64;
        self.metrics.tasks.set(alive);
    }

    fn flush(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        if slot.journal.wants_rewrite() {
            let tasks: Vec<_> = slot
                .tasks
                .iter()
                .filter_map(|task_id| Some(self.tasks.get(task_id)?.journaled(task_id)))
                .collect();
            if let Err(error) = slot.journal.rewrite(tasks.iter()) {
                tracing::error!(%error, "failed to rewrite an executor's journal");
            }
        }
        if let Err(error) = slot.journal.flush() {
            // Nothing that rests on it may leave; it is tried again with the next tick.
            tracing::error!(%error, "failed to write an executor's journal");
            return;
        }
        let takes_tasks = slot.takes_tasks();
        let (Link::Up(events)
        | Link::Ending {
            events: Some(events),
            ..
        }) = &slot.link
        else {
            // What else there is to say is said again when it subscribes.
            slot.outgoing
                .retain(|outgoing| outgoing.launch_of.is_some());
            return;
        };
        let is_due = |outgoing: &Outgoing| {
            let Some(task_id) = &outgoing.launch_of else {
                return true;
            };
            let is_queued = |entry: &TaskEntry| entry.phase == Phase::Queued;
            takes_tasks && self.tasks.get(task_id).is_some_and(is_queued)
        };
        slot.outgoing.retain(is_due);
        let (due, launched): (Vec<_>, Vec<_>) = slot
            .outgoing
            .drain(..)
            .map(|outgoing| (outgoing.event, outgoing.launch_of))
            .unzip();
        let sent = events.send(&due).is_ok();
        for (event, task_id) in due.into_iter().zip(launched) {
            let Some(task_id) = task_id else { continue };
            if !sent {
                slot.push_launch(task_id, event);
            } else if let Some(entry) = self.tasks.get_mut(&task_id) {
                entry.phase = Phase::Delivered;
            }
        }
    }

    fn make_offers(&mut self) {
        if self.all_ended.is_some() {
            return;
        }
        let now = Instant::now();
        let mut offers = Vec::new();
        for index in 0..self.agents.len() {
            let Some(agent) = self.agents.get_mut(index) else {
                continue;
            };
            let (prefix, next_offer) = (&self.offer_prefix, &mut self.next_offer);
            let changes = agent.make_offer(now, || {
                *next_offer += 1;
                OfferId::from(format!("{prefix}-{next_offer}"))
            });
            for offer in changes.rescinded {
                self.emit(ClusterEvent::Rescinded(offer));
            }
            offers.extend(changes.made);
        }
        if !offers.is_empty() {
            self.emit(ClusterEvent::Offers(offers));
        }
    }
}

/// The rest of a report about a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report<'a> {
    /// Its agent, by index.
    pub(super) agent: Option<usize>,
    /// In words, for users.
    pub(super) message: &'a str,
    /// Empty where no acknowledgement is wanted.
    pub(super) token: &'a [u8],
}
