//! What is durable, read from the store's own records, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};

use aurora_core::ids::parse_task_id;
use aurora_core::store::{Table, Write};
use aurora_core::transitions::{Verdict, judge};
use aurora_proto::storage::v1::{JobRecord, RequestRecord, TaskRecord};
use aurora_proto::v1::TaskState;
use prost::Message as _;

/// The store: what was committed, and no more.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(crate) tasks: BTreeMap<u64, TaskRecord>,
    pub(crate) jobs: BTreeMap<String, JobRecord>,
    /// Changes of state that were seen; from 0 is a new task.
    pub(crate) cells: BTreeSet<(i32, i32)>,
    pub(crate) most_numbers: u64,
    /// How deleted tasks had ended.
    pub(crate) deleted: BTreeMap<u64, TaskState>,
}

pub(crate) fn is_terminal(state: TaskState) -> bool {
    aurora_core::task::is_terminal(state)
}

impl Ledger {
    /// Lets a step's writes land.
    pub(crate) fn commit(&mut self, writes: Vec<Write>) -> Result<(), String> {
        for write in writes {
            match write.table {
                Table::Tasks => self.check_task(&write)?,
                Table::Jobs => {
                    let path = String::from_utf8(write.key.clone()).unwrap();
                    match &write.value {
                        Some(value) => {
                            let record = JobRecord::decode(value.as_slice()).unwrap();
                            self.jobs.insert(path, record);
                        }
                        None => {
                            self.jobs.remove(&path);
                        }
                    }
                }
                Table::Meta
                | Table::Configs
                | Table::Requests
                | Table::Agents
                | Table::Frameworks => {}
            }
            match write.value {
                Some(value) => self.rows.insert((write.table, write.key), value),
                None => self.rows.remove(&(write.table, write.key)),
            };
        }
        Ok(())
    }

    /// T1, T3, T4, T5 and T10, on the records alone.
    fn check_task(&mut self, write: &Write) -> Result<(), String> {
        let number = u64::from_be_bytes(write.key.as_slice().try_into().unwrap());
        let before = self.tasks.get(&number);
        let Some(value) = &write.value else {
            if before.is_some_and(|task| !is_terminal(task.state())) {
                return Err(format!("T4: live task {number} was deleted"));
            }
            if let Some(task) = self.tasks.remove(&number) {
                self.deleted.insert(number, task.state());
            }
            return Ok(());
        };
        let task = TaskRecord::decode(value.as_slice()).unwrap();
        if let Some(before) = before {
            if is_terminal(before.state()) && before.state() != task.state() {
                let (was, is) = (before.state(), task.state());
                return Err(format!("T4: task {number} went from {was:?} to {is:?}"));
            }
        } else {
            if number <= self.most_numbers {
                return Err(format!("T10: task number {number} was used again"));
            }
            self.most_numbers = number;
            self.check_replacement(&task)?;
        }
        let new = before.map_or(0, |before| before.events.len().min(task.events.len()));
        let mut from = before.map_or(0, |before| before.state);
        for event in task.events.iter().skip(new) {
            self.check_transition(number, from, event.state)?;
            from = event.state;
        }
        self.tasks.insert(number, task);
        Ok(())
    }

    fn check_transition(&mut self, number: u64, from: i32, to: i32) -> Result<(), String> {
        self.cells.insert((from, to));
        if from == 0 || from == to {
            return Ok(());
        }
        let (from, to) = (
            TaskState::try_from(from).unwrap(),
            TaskState::try_from(to).unwrap(),
        );
        match judge(Some(from), to) {
            Verdict::Legal(_) => Ok(()),
            Verdict::Same | Verdict::Illegal { .. } => {
                Err(format!("T3: task {number} went from {from:?} to {to:?}"))
            }
        }
    }

    /// A killed instance is not replaced, and a replacement follows an end.
    fn check_replacement(&self, task: &TaskRecord) -> Result<(), String> {
        let Some(ancestor) = self.tasks.get(&task.ancestor) else {
            return Ok(());
        };
        let killed = ancestor
            .events
            .iter()
            .any(|event| event.state() == TaskState::Killing);
        if killed {
            return Err(format!("T5: killed task {} was replaced", task.ancestor));
        }
        Ok(())
    }

    /// T1 on the records, once a commit is complete.
    pub(crate) fn check_complete(&self) -> Result<(), String> {
        let mut active = BTreeSet::new();
        for task in self.tasks.values().filter(|t| !is_terminal(t.state())) {
            if !active.insert((&task.job, task.instance)) {
                return Err(format!(
                    "T1: {}/{} has two active tasks",
                    task.job, task.instance
                ));
            }
            if !self.jobs.contains_key(&task.job) {
                return Err(format!("D2: job {} of a task is not stored", task.job));
            }
        }
        Ok(())
    }

    pub(crate) fn by_id(&self, task_id: &str) -> Option<&TaskRecord> {
        let (_, number) = parse_task_id(task_id)?;
        self.tasks.get(&number.0)
    }

    /// What is durable of a task, or was when it was deleted.
    pub(crate) fn last_state(&self, task_id: &str) -> Option<TaskState> {
        let (_, number) = parse_task_id(task_id)?;
        let kept = self.tasks.get(&number.0).map(TaskRecord::state);
        kept.or_else(|| self.deleted.get(&number.0).copied())
    }

    pub(crate) fn answer(&self, request_id: &str) -> Option<RequestRecord> {
        let key = (Table::Requests, request_id.as_bytes().to_vec());
        let value = self.rows.get(&key)?;
        Some(RequestRecord::decode(value.as_slice()).unwrap())
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &TaskRecord> {
        self.tasks
            .values()
            .filter(|task| !is_terminal(task.state()))
    }
}
