//! What the cluster says, and what the scheduler makes of it.

use std::collections::BTreeSet;

use aurora_proto::v1::TaskState;

use crate::cluster::{AgentId, ClusterEvent, Effect, ReportedState, StatusUpdate};
use crate::scheduler::Scheduler;
use crate::time::Timestamp;

impl Scheduler {
    pub(crate) fn cluster_event(&mut self, now: Timestamp, event: ClusterEvent) {
        match event {
            ClusterEvent::Connected => {
                self.connected = true;
                self.drop_offers();
                self.reconcile();
            }
            ClusterEvent::Disconnected => {
                self.connected = false;
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
        match self.find_task(&update.task_id).map(|task| task.number) {
            Some(number) => {
                self.change_state(now, number, to, &update.message);
            }
            None => {
                self.counters.status_updates_unknown_task += 1;
                // A stray: it may be one that was deleted, or one of an older life of the store.
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
        let tasks: BTreeSet<_> = self.state.agent(idx).tasks.clone();
        for number in tasks {
            self.change_state(now, number, TaskState::Lost, "the agent is gone");
        }
    }

    /// Asks the cluster what it knows of every task that it should have, and of any other.
    /// Returns how many tasks were asked about.
    pub(crate) fn reconcile(&mut self) -> u32 {
        if !self.connected {
            return 0;
        }
        self.counters.reconciliations += 1;
        let tasks: Vec<_> = self
            .state
            .agents
            .iter()
            .flat_map(|(_, agent)| &agent.tasks)
            .filter_map(|number| self.state.tasks.get(number))
            .map(|task| (self.task_id(task), self.agent_id(task.agent)))
            .collect();
        let asked = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if !tasks.is_empty() {
            self.effects.push(Effect::Reconcile { tasks });
        }
        self.effects.push(Effect::Reconcile { tasks: Vec::new() });
        asked
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
