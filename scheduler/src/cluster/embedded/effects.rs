//! What the core wants done.

use std::sync::Arc;

use aurora_core::cluster::{AgentId, ClusterEvent, Effect, Launch, OfferId, ReportedState};
use aurora_mesos::v1;
use aurora_mesos::v1::executor::{Event, event};
use tokio::time::Instant;

use super::agent::Pool;
use super::sandbox::{create_sandbox, is_safe_task_id};
use super::slot::{Link, SlotId};
use super::state::{Report, State};
use super::task_entry::{KillOrder, Phase, TaskEntry};
use super::task_info::Place;

// Why a launch came to nothing, and what that makes of the task.
struct Dropped {
    state: ReportedState,
    message: String,
}

impl Dropped {
    fn lost(message: impl Into<String>) -> Self {
        Self {
            state: ReportedState::Lost,
            message: message.into(),
        }
    }

    fn failed(message: impl Into<String>) -> Self {
        Self {
            state: ReportedState::Failed,
            message: message.into(),
        }
    }
}

impl State {
    /// Carries out one effect.
    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Accept {
                agent_id,
                offers,
                launches,
            } => {
                self.accept(&agent_id, &offers, &launches);
            }
            Effect::Decline { offer } => {
                let until = Instant::now() + self.config.timeouts.decline;
                for agent in &mut self.agents {
                    agent.decline(&offer, until);
                }
            }
            Effect::Kill {
                task_id,
                agent_id: _,
                grace,
            } => {
                self.kill(&task_id, KillOrder { grace });
            }
            Effect::Acknowledge {
                task_id,
                agent_id: _,
                token,
            } => {
                self.acknowledge(&task_id, &token);
            }
            Effect::Reconcile { tasks } => self.reconcile(tasks),
        }
    }

    fn accept(&mut self, agent_id: &AgentId, offers: &[OfferId], launches: &[Launch]) {
        self.metrics.launches.add(launches.len() as u64);
        let index = self.agent_index.get(agent_id).copied();
        let accepted = match index.and_then(|index| self.agents.get_mut(index)) {
            None => Err(format!("there is no agent {agent_id}")),
            Some(agent) => agent
                .accept(offers)
                .map_err(|offer| format!("offer {offer} no longer stands")),
        };
        let (index, mut accepted) = match (index, accepted) {
            (Some(index), Ok(accepted)) => (index, accepted),
            (_, Err(why)) => {
                for launch in launches {
                    self.drop_launch(launch, index, &Dropped::lost(why.clone()));
                }
                return;
            }
            (None, Ok(_)) => return,
        };
        for offer in accepted.rescinded {
            self.emit(ClusterEvent::Rescinded(offer));
        }
        for launch in launches {
            if let Err(dropped) = self.launch(index, &mut accepted.pool, launch) {
                self.drop_launch(launch, Some(index), &dropped);
            }
        }
        if let Some(agent) = self.agents.get_mut(index) {
            agent.give_back(accepted.pool);
        }
    }

    fn drop_launch(&self, launch: &Launch, agent: Option<usize>, dropped: &Dropped) {
        self.metrics.dropped_launches.add(1);
        let about = Report {
            agent,
            message: &dropped.message,
            token: &[],
        };
        self.report(&launch.task_id, dropped.state, about);
    }

    fn launch(&mut self, index: usize, pool: &mut Pool, launch: &Launch) -> Result<(), Dropped> {
        let task_id = launch.task_id.as_str();
        if self.tasks.contains_key(task_id) {
            tracing::warn!(task_id, "ignored a second launch of a task");
            return Ok(());
        }
        if !is_safe_task_id(task_id) {
            return Err(Dropped::failed("the task's id cannot name a directory"));
        }
        if self.all_ended.is_some() {
            return Err(Dropped::lost("the cluster is being stopped"));
        }
        let ports: Vec<u16> = launch.ports.iter().map(|(_, port)| *port).collect();
        if !pool.take(&launch.resources, &ports) {
            return Err(Dropped::lost("the task takes more than was offered"));
        }
        let placed = self.place(index, launch);
        let Some(agent) = self.agents.get_mut(index) else {
            return Ok(());
        };
        let (slot_id, event) = match placed {
            Ok(placed) => placed,
            Err(dropped) => {
                agent.release(&launch.resources, &ports);
                return Err(dropped);
            }
        };
        let task_id: Arc<str> = task_id.into();
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.journal.launched(&task_id, &launch.resources, &ports);
            slot.tasks.insert(Arc::clone(&task_id));
            slot.idle_since = None;
            slot.push_launch(Arc::clone(&task_id), event);
            self.dirty.insert(slot_id);
        }
        let mut entry = TaskEntry::new(slot_id, index, Phase::Queued);
        entry.resources = launch.resources;
        entry.ports = ports;
        self.tasks.insert(task_id, entry);
        Ok(())
    }

    // Finds the executor first: a failure to start it leaves no sandbox behind.
    fn place(&mut self, index: usize, launch: &Launch) -> Result<(SlotId, Event), Dropped> {
        let slot_id = self
            .slot_for(index, &launch.job.role)
            .map_err(|error| Dropped::failed(format!("failed to start an executor: {error}")))?;
        let Some(agent) = self.agents.get(index) else {
            return Err(Dropped::lost("the agent is gone"));
        };
        let sandbox = create_sandbox(&agent.dir, &launch.task_id)
            .map_err(|error| Dropped::lost(format!("failed to make the sandbox: {error}")))?;
        let place = Place {
            cluster: &self.config.cluster_name,
            host: &agent.host,
            agent_id: &agent.id,
            sandbox: &sandbox,
            run_as: self.config.run_as.label(),
        };
        let event = Event {
            r#type: Some(event::Type::Launch.into()),
            launch: Some(event::Launch {
                task: self.encoder.encode(launch, &place),
            }),
            ..Event::default()
        };
        Ok((slot_id, event))
    }

    fn kill(&mut self, task_id: &str, order: KillOrder) {
        let Some(entry) = self.tasks.get_mut(task_id) else {
            let about = Report {
                message: "the agent does not know the task",
                ..Report::default()
            };
            self.report(task_id, ReportedState::Lost, about);
            return;
        };
        entry.kill = Some(order);
        match entry.phase {
            Phase::Queued => {
                let agent = Some(entry.agent);
                self.forget(task_id);
                let about = Report {
                    agent,
                    message: "killed before its start",
                    token: &[],
                };
                self.report(task_id, ReportedState::Killed, about);
            }
            Phase::Delivered | Phase::Alive(_) => {
                let slot_id = entry.slot;
                if let Some(slot) = self.slots.get_mut(&slot_id) {
                    slot.push(kill_event(task_id, order));
                    self.dirty.insert(slot_id);
                }
            }
            // The update that says so is under way to the core.
            Phase::Ended(_) => {}
        }
    }

    fn reconcile(&mut self, tasks: Vec<(String, Option<AgentId>)>) {
        let tasks: Vec<String> = if tasks.is_empty() {
            self.tasks
                .keys()
                .map(|task_id| task_id.to_string())
                .collect()
        } else {
            tasks.into_iter().map(|(task_id, _)| task_id).collect()
        };
        for task_id in tasks {
            self.answer_for(&task_id);
        }
    }

    /// Tells the core what a task is doing, now or as soon as its executor is back.
    pub(super) fn answer_for(&mut self, task_id: &str) {
        let Some((task_id, entry)) = self.tasks.get_key_value(task_id) else {
            let about = Report {
                message: "the agent does not know the task",
                ..Report::default()
            };
            self.report(task_id, ReportedState::Lost, about);
            return;
        };
        if let Some(slot) = self.slots.get_mut(&entry.slot) {
            let is_away = match slot.link {
                Link::Awaited { .. } => slot.has_subscribed,
                Link::Gone => true,
                Link::Up(_) | Link::Ending { .. } => false,
            };
            if is_away && !entry.has_ended() {
                slot.held.push(Arc::clone(task_id));
                return;
            }
        }
        let state = entry.reported();
        let token = match entry.unacknowledged.last() {
            Some((token, last)) if entry.has_ended() && *last == state => token.clone(),
            _ => bytes::Bytes::new(),
        };
        let about = Report {
            agent: Some(entry.agent),
            message: "",
            token: &token,
        };
        self.report(task_id, state, about);
    }
}

/// Returns the event that ends a task.
pub(super) fn kill_event(task_id: &str, order: KillOrder) -> Event {
    let kill_policy = order.grace.map(|grace| v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
        }),
    });
    Event {
        r#type: Some(event::Type::Kill.into()),
        kill: Some(event::Kill {
            task_id: v1::TaskId {
                value: task_id.to_owned(),
            },
            kill_policy,
        }),
        ..Event::default()
    }
}
