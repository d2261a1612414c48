//! What executors say, and what they are told in answer.

use std::collections::HashSet;
use std::sync::Arc;

use aurora_core::cluster::ReportedState;
use aurora_mesos::agent_endpoint::{EventSender, ExecutorCall, ExecutorKey};
use aurora_mesos::v1;
use aurora_mesos::v1::executor::{Event, call, event};
use bytes::Bytes;

use super::effects::kill_event;
use super::slot::{Link, SlotId};
use super::state::{Report, State};
use super::sweeper::SweepOrder;
use super::task_entry::{Phase, TaskEntry, is_alive, reported_state};

impl State {
    /// Takes a call of an executor.
    pub(super) fn take_call(&mut self, caller: &ExecutorKey, call: ExecutorCall) {
        let Some(slot_id) = self.slot_of_executor.get(&caller.executor_id).copied() else {
            tracing::debug!(
                executor = caller.executor_id,
                "a call of an executor that is gone"
            );
            return;
        };
        match call {
            ExecutorCall::Subscribe { subscribe, events } => {
                self.subscribe(slot_id, subscribe, events);
            }
            ExecutorCall::Update(status) => self.update(slot_id, *status),
            ExecutorCall::Message(_) => {
                tracing::debug!(executor = caller.executor_id, "ignored a message");
            }
        }
    }

    fn subscribe(&mut self, slot_id: SlotId, subscribe: call::Subscribe, events: EventSender) {
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        if !slot.takes_tasks() {
            // Dropped afterwards, which ends the stream.
            events.send(&[shutdown_event()]).unwrap_or_default();
            return;
        }
        tracing::debug!(
            executor = slot.key.executor_id,
            "an executor has subscribed"
        );
        slot.has_subscribed = true;
        // The stream that was there before ends here.
        slot.link = Link::Up(events);
        let launches = std::mem::take(&mut slot.outgoing);
        let held = std::mem::take(&mut slot.held);
        if let Some(subscribed) = self.subscribed_event(slot_id)
            && let Some(slot) = self.slots.get_mut(&slot_id)
        {
            slot.push(subscribed);
        }

        let mut known = HashSet::new();
        for task in &subscribe.unacknowledged_tasks {
            known.insert(task.task_id.value.clone());
            self.adopt(slot_id, &task.task_id.value);
        }
        for update in subscribe.unacknowledged_updates {
            known.insert(update.status.task_id.value.clone());
            self.update(slot_id, update.status);
        }
        self.drop_undelivered(slot_id, &known);
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.outgoing.extend(
                launches
                    .into_iter()
                    .filter(|event| event.launch_of.is_some()),
            );
            for task_id in &slot.tasks {
                let Some(entry) = self.tasks.get(task_id) else {
                    continue;
                };
                let wanted = entry.kill.filter(|_| !entry.has_ended());
                if let Some(order) = wanted.filter(|_| entry.phase != Phase::Queued) {
                    let event = kill_event(task_id, order);
                    slot.outgoing.push(super::slot::Outgoing {
                        event,
                        launch_of: None,
                    });
                }
            }
        }
        for task_id in held {
            self.answer_for(&task_id);
        }
        self.dirty.insert(slot_id);
    }

    fn subscribed_event(&self, slot_id: SlotId) -> Option<Event> {
        let slot = self.slots.get(&slot_id)?;
        let agent = self.agents.get(slot.agent)?;
        let framework_id = v1::FrameworkId {
            value: slot.key.framework_id.clone(),
        };
        let subscribed = event::Subscribed {
            executor_info: v1::ExecutorInfo {
                executor_id: v1::ExecutorId {
                    value: slot.key.executor_id.clone(),
                },
                framework_id: Some(framework_id.clone()),
                ..v1::ExecutorInfo::default()
            },
            framework_info: v1::FrameworkInfo {
                name: "aurora-rs".to_owned(),
                id: Some(framework_id),
                checkpoint: Some(true),
                ..v1::FrameworkInfo::default()
            },
            agent_info: v1::AgentInfo {
                hostname: agent.host.to_string(),
                id: Some(v1::AgentId {
                    value: agent.id.to_string(),
                }),
                ..v1::AgentInfo::default()
            },
            container_id: None,
        };
        Some(Event {
            r#type: Some(event::Type::Subscribed.into()),
            subscribed: Some(subscribed),
            ..Event::default()
        })
    }

    // What was sent on a stream that broke may never have arrived; an executor lists every task
    // of which nothing was acknowledged, so that the rest is known to be nowhere.
    fn drop_undelivered(&mut self, slot_id: SlotId, known: &HashSet<String>) {
        let Some(slot) = self.slots.get(&slot_id) else {
            return;
        };
        let never_arrived = |task_id: &&Arc<str>| {
            self.tasks.get(*task_id).is_some_and(|entry| {
                entry.phase == Phase::Delivered && !known.contains(task_id.as_ref())
            })
        };
        let lost: Vec<_> = slot.tasks.iter().filter(never_arrived).cloned().collect();
        for task_id in lost {
            let agent = self.tasks.get(&task_id).map(|entry| entry.agent);
            self.forget(&task_id);
            let about = Report {
                agent,
                message: "the task never reached its executor",
                token: &[],
            };
            self.report(&task_id, ReportedState::Lost, about);
        }
    }

    // A task that only its executor knows; the core will have it killed if it does not want it.
    fn adopt(&mut self, slot_id: SlotId, task_id: &str) {
        if self.tasks.contains_key(task_id) {
            return;
        }
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            return;
        };
        let entry = TaskEntry::new(slot_id, slot.agent, Phase::Delivered);
        let agent = slot.agent;
        let task_id: Arc<str> = task_id.into();
        slot.journal
            .launched(&task_id, &entry.resources, &entry.ports);
        slot.tasks.insert(Arc::clone(&task_id));
        slot.idle_since = None;
        self.dirty.insert(slot_id);
        self.tasks.insert(Arc::clone(&task_id), entry);
        if let Some(agent) = self.agents.get(agent) {
            let sandbox = super::sandbox::sandboxes_dir(&agent.dir).join(task_id.as_ref());
            self.sweeper
                .send(SweepOrder::InUse(sandbox))
                .unwrap_or_default();
        }
        let about = Report {
            agent: Some(agent),
            ..Report::default()
        };
        self.report(&task_id, ReportedState::Starting, about);
    }

    fn update(&mut self, slot_id: SlotId, status: v1::TaskStatus) {
        self.metrics.updates.add(1);
        let task_id = status.task_id.value.as_str();
        let uuid = status.uuid.clone().unwrap_or_default();
        if !super::sandbox::is_safe_task_id(task_id) {
            self.confirm(slot_id, task_id, &uuid);
            return;
        }
        let Some(state) = reported_state(status.state()) else {
            self.confirm(slot_id, task_id, &uuid);
            return;
        };
        if !self.tasks.contains_key(task_id) {
            self.adopt(slot_id, task_id);
        }
        let Some(entry) = self.tasks.get_mut(task_id) else {
            return;
        };
        let is_repeated = entry.unacknowledged.iter().any(|(known, _)| *known == uuid);
        // Also keeps an executor from speaking for the tasks of another.
        if entry.slot != slot_id || (entry.has_ended() && !is_repeated) {
            self.confirm(slot_id, task_id, &uuid);
            return;
        }
        if !is_repeated {
            entry.unacknowledged.push((uuid.clone(), state));
            entry.phase = if is_alive(state) {
                Phase::Alive(state)
            } else {
                Phase::Ended(state)
            };
        }
        let about = Report {
            agent: Some(entry.agent),
            message: status.message.as_deref().unwrap_or_default(),
            token: &uuid,
        };
        self.report(task_id, state, about);
        if !is_alive(state) && !is_repeated {
            if let Some(slot) = self.slots.get_mut(&slot_id) {
                slot.journal.released(task_id);
                self.dirty.insert(slot_id);
            }
            self.release(task_id);
        }
        if self.all_ended.is_some() {
            // As for those that were there when the end began.
            self.acknowledge(task_id, &uuid);
        }
    }

    // Answers for an update that the core is not to see.
    fn confirm(&mut self, slot_id: SlotId, task_id: &str, uuid: &Bytes) {
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.push(acknowledged_event(task_id, uuid));
            self.dirty.insert(slot_id);
        }
    }

    /// Tells an executor that the core answers for an update from now on.
    pub(super) fn acknowledge(&mut self, task_id: &str, token: &[u8]) {
        let Some(entry) = self.tasks.get_mut(task_id) else {
            return;
        };
        let position = entry
            .unacknowledged
            .iter()
            .position(|(uuid, _)| uuid == token);
        let Some((uuid, state)) = position.map(|at| entry.unacknowledged.remove(at)) else {
            return;
        };
        entry.acknowledged = Some(state);
        if let Some(slot) = self.slots.get_mut(&entry.slot) {
            slot.push(acknowledged_event(task_id, &uuid));
            if is_alive(state) {
                slot.journal.acknowledged(task_id, state);
            }
            self.dirty.insert(entry.slot);
        }
        if !is_alive(state) {
            self.forget(task_id);
        }
    }
}

fn acknowledged_event(task_id: &str, uuid: &Bytes) -> Event {
    Event {
        r#type: Some(event::Type::Acknowledged.into()),
        acknowledged: Some(event::Acknowledged {
            task_id: v1::TaskId {
                value: task_id.to_owned(),
            },
            uuid: uuid.clone(),
        }),
        ..Event::default()
    }
}

/// Returns the event that ends an executor.
pub(super) fn shutdown_event() -> Event {
    Event {
        r#type: Some(event::Type::Shutdown.into()),
        ..Event::default()
    }
}
