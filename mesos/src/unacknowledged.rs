//! What an executor has told or taken and the agent has not yet confirmed.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::v1::executor::call;
use crate::v1::{TaskInfo, TaskStatus};

/// Updates in the order in which they were made, and tasks none of whose updates was confirmed.
///
/// Both go out with every subscription, so that nothing is lost with a connection or an agent.
#[derive(Debug, Default)]
pub(crate) struct Unacknowledged {
    next_sequence: u64,
    updates: BTreeMap<u64, TaskStatus>,
    by_uuid: HashMap<Bytes, u64>,
    tasks: HashMap<String, (u64, TaskInfo)>,
}

impl Unacknowledged {
    /// Remembers a task that the agent has just launched.
    pub(crate) fn launched(&mut self, task: TaskInfo) {
        self.next_sequence += 1;
        self.tasks
            .insert(task.task_id.value.clone(), (self.next_sequence, task));
    }

    /// Remembers an update that is about to be sent.
    pub(crate) fn sent(&mut self, status: TaskStatus) {
        self.next_sequence += 1;
        if let Some(uuid) = &status.uuid {
            self.by_uuid.insert(uuid.clone(), self.next_sequence);
        }
        self.updates.insert(self.next_sequence, status);
    }

    /// Forgets what the agent has confirmed; returns whether the update was known.
    pub(crate) fn acknowledged(&mut self, task_id: &str, uuid: &Bytes) -> bool {
        self.tasks.remove(task_id);
        self.dropped(uuid)
    }

    /// Forgets an update that the agent will never take.
    pub(crate) fn dropped(&mut self, uuid: &Bytes) -> bool {
        let Some(sequence) = self.by_uuid.remove(uuid) else {
            return false;
        };
        self.updates.remove(&sequence);
        true
    }

    /// Returns what a subscription has to repeat.
    pub(crate) fn subscribe(&self) -> call::Subscribe {
        let mut tasks: Vec<_> = self.tasks.values().collect();
        tasks.sort_unstable_by_key(|(sequence, _)| *sequence);
        call::Subscribe {
            unacknowledged_tasks: tasks.into_iter().map(|(_, task)| task.clone()).collect(),
            unacknowledged_updates: self
                .updates
                .values()
                .map(|status| call::Update {
                    status: status.clone(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::TaskId;

    fn task(id: &str) -> TaskInfo {
        TaskInfo {
            task_id: TaskId {
                value: id.to_owned(),
            },
            ..TaskInfo::default()
        }
    }

    fn status(id: &str, uuid: &'static str) -> TaskStatus {
        TaskStatus {
            task_id: TaskId {
                value: id.to_owned(),
            },
            uuid: Some(Bytes::from_static(uuid.as_bytes())),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn repeats_what_was_not_confirmed_in_order() {
        let mut unacknowledged = Unacknowledged::default();
        for id in ["b", "a", "c"] {
            unacknowledged.launched(task(id));
        }
        unacknowledged.sent(status("b", "u1"));
        unacknowledged.sent(status("a", "u2"));
        unacknowledged.sent(status("b", "u3"));
        assert!(unacknowledged.acknowledged("a", &Bytes::from_static(b"u2")));
        assert!(!unacknowledged.acknowledged("a", &Bytes::from_static(b"u2")));

        let subscribe = unacknowledged.subscribe();
        let tasks: Vec<_> = subscribe
            .unacknowledged_tasks
            .iter()
            .map(|task| task.task_id.value.as_str())
            .collect();
        assert_eq!(tasks, ["b", "c"]);
        let updates: Vec<_> = subscribe
            .unacknowledged_updates
            .iter()
            .map(|update| update.status.uuid.clone().unwrap())
            .collect();
        assert_eq!(updates, ["u1", "u3"]);
    }
}
