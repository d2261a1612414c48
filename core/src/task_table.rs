//! All tasks, dense in memory and in the order of their numbers.
//!
//! A tree of the tasks themselves would leave almost half of it empty, as numbers only rise; a
//! tree of places does so for four bytes each.

use std::collections::BTreeMap;
use std::ops::Bound;

use slab::Slab;

use crate::ids::TaskNumber;
use crate::task::Task;

/// The tasks by number.
#[derive(Debug, Default)]
pub(crate) struct TaskTable {
    tasks: Slab<Task>,
    places: BTreeMap<TaskNumber, u32>,
}

impl TaskTable {
    pub(crate) fn get(&self, number: &TaskNumber) -> Option<&Task> {
        self.tasks.get(*self.places.get(number)? as usize)
    }

    pub(crate) fn get_mut(&mut self, number: &TaskNumber) -> Option<&mut Task> {
        self.tasks.get_mut(*self.places.get(number)? as usize)
    }

    /// Adds a task whose number is not there yet.
    pub(crate) fn insert(&mut self, number: TaskNumber, task: Task) {
        let place = self.tasks.insert(task);
        let place = u32::try_from(place).expect("fewer than 2^32 tasks fit into memory");
        self.places.insert(number, place);
    }

    pub(crate) fn remove(&mut self, number: &TaskNumber) -> Option<Task> {
        let place = self.places.remove(number)?;
        self.tasks.try_remove(place as usize)
    }

    /// Every task, the oldest first.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Task> {
        let places = self.places.values();
        places.filter_map(|place| self.tasks.get(*place as usize))
    }

    /// Every task, in no order that means anything.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Task> {
        self.tasks.iter_mut().map(|(_, task)| task)
    }

    /// The tasks with higher numbers, the oldest first.
    pub(crate) fn after(&self, number: TaskNumber) -> impl Iterator<Item = &Task> {
        let range = (Bound::Excluded(number), Bound::Unbounded);
        let places = self.places.range(range);
        places.filter_map(|(_, place)| self.tasks.get(*place as usize))
    }
}
