//! What the cluster says, and what the scheduler makes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use aurora_proto::v1::TaskState;

use crate::cluster::{AgentId, ClusterEvent, Effect, ReportedState, StatusUpdate};
use crate::ids::TaskNumber;
use crate::scheduler::Scheduler;
use crate::task::is_on_agent;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Tasks asked about at a time.
const RECONCILE_BATCH: usize = 1_000;
/// Tasks, ended ones among them, looked at for that.
const RECONCILE_SCAN: usize = 5_000;
/// Between two batches; a million tasks take a minute.
const RECONCILE_PAUSE: Duration = Duration::from_millis(50);

impl Scheduler {
    pub(crate) fn cluster_event(&mut self, now: Timestamp, event: ClusterEvent) {
        match event {
            ClusterEvent::Connected => {
                self.connected = true;
                self.drop_offers();
                self.reconcile(now);
            }
            ClusterEvent::Disconnected => {
                self.connected = false;
                self.reconciling = None;
                self.drop_offers();
            }
            ClusterEvent::Offers(offers) => self.add_offers(now, offers),
            ClusterEvent::Rescinded(offer) => self.rescind_offer(&offer),
            ClusterEvent::Status(update) => self.status_update(now, update),
            ClusterEvent::AgentGone(agent) => self.agent_gone(now, &agent),
        }
    }

    fn status_update(&mut self, now: Timestamp, update: StatusUpdate) {
        self.counters.status_updates += 1;
        let to = task_state(update.state);
        let known = self.find_task(&update.task_id);
        match known.map(|task| (task.number, task.agent.is_some() || task.is_terminal())) {
            Some((number, true)) => {
                self.change_state(now, number, to, &update.message);
            }
            unplaced => {
                if unplaced.is_some() {
                    self.counters.illegal_transitions += 1;
                } else {
                    self.counters.status_updates_unknown_task += 1;
                }
                // A stray: it may be one that was deleted, or one of an older life of the store.
                // No cluster has a say about a task that was given to none.
                if matches!(
                    update.state,
                    ReportedState::Starting | ReportedState::Running
                ) {
                    self.effects.push(Effect::Kill {
                        task_id: update.task_id.clone(),
                        agent_id: update.agent_id.clone(),
                        grace: None,
                    });
                }
            }
        }
        if !update.token.is_empty() {
            self.effects.push(Effect::Acknowledge {
                task_id: update.task_id,
                agent_id: update.agent_id,
                token: update.token,
            });
        }
    }

    fn agent_gone(&mut self, now: Timestamp, id: &AgentId) {
        let Some(idx) = self.state.agents_by_id.get(id).copied() else {
            return;
        };
        let offers = self
            .state
            .agent(idx)
            .offered
            .as_ref()
            .map(|offered| offered.offers.clone())
            .unwrap_or_default();
        for offer in &offers {
            self.rescind_offer(offer);
        }
        let agent = self.state.agent_mut(idx);
        agent.gone = true;
        let tasks: BTreeSet<_> = agent.tasks.clone();
        for number in tasks {
            self.change_state(now, number, TaskState::Lost, "the agent is gone");
        }
    }

    /// Begins to ask the cluster what it knows of every task that it should have, a batch at a
    /// time, and then of any other. Returns how many tasks are asked about.
    pub(crate) fn reconcile(&mut self, now: Timestamp) -> u32 {
        if !self.connected {
            return 0;
        }
        self.counters.reconciliations += 1;
        let under_way = self.reconciling.replace(TaskNumber(0)).is_some();
        if !under_way {
            self.reconcile_more(now);
        }
        let asked: u64 = (0..16)
            .filter_map(|n| TaskState::try_from(n).ok())
            .filter(|state| is_on_agent(*state))
            .map(|state| self.state.count(state))
            .sum();
        u32::try_from(asked).unwrap_or(u32::MAX)
    }

    /// Asks about the next batch, and at the end about whatever else the cluster has.
    pub(crate) fn reconcile_more(&mut self, now: Timestamp) {
        let Some(after) = self.reconciling else {
            return;
        };
        let (mut last, mut more) = (None, false);
        let mut tasks = Vec::new();
        for (n, task) in self.state.tasks.after(after).enumerate() {
            if tasks.len() == RECONCILE_BATCH || n == RECONCILE_SCAN {
                more = true;
                break;
            }
            last = Some(task.number);
            if task.is_on_agent() {
                tasks.push((self.task_id(task), self.agent_id(task.agent)));
            }
        }
        if !tasks.is_empty() {
            self.effects.push(Effect::Reconcile { tasks });
        }
        self.reconciling = last.filter(|_| more);
        if more {
            let at = now + RECONCILE_PAUSE;
            self.timers.set(at, Timer::ReconcileMore);
        } else {
            self.effects.push(Effect::Reconcile { tasks: Vec::new() });
        }
    }
}

fn task_state(reported: ReportedState) -> TaskState {
    match reported {
        ReportedState::Starting => TaskState::Starting,
        ReportedState::Running => TaskState::Running,
        ReportedState::Finished => TaskState::Finished,
        ReportedState::Failed => TaskState::Failed,
        ReportedState::Killed => TaskState::Killed,
        ReportedState::Lost => TaskState::Lost,
        ReportedState::Unreachable => TaskState::Partitioned,
    }
}
