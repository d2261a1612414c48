//! Tasks that wait for a host, in groups of the same job and configuration.
//!
//! Ready groups take turns, so that a job of a thousand instances does not keep a job of one
//! waiting. A group that no host would take waits, longer each time, until its time is up or
//! resources come that may do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::{ConfigIdx, JobIdx, TaskNumber};
use crate::time::Timestamp;

/// Names a group.
pub(crate) type GroupKey = (JobIdx, ConfigIdx);

/// One group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// First come, first served. Holds tasks that are not pending any more, too.
    pub(crate) queue: VecDeque<TaskNumber>,
    /// Present while the group waits.
    pub(crate) waiting: Option<Waiting>,
    /// The last wait, for the next one.
    delay: Duration,
}

/// A group that no host would take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) until: Timestamp,
    /// Its place among the waiting.
    place: u64,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    ready: VecDeque<GroupKey>,
    /// First come first.
    waiting: BTreeSet<(u64, GroupKey)>,
    next_place: u64,
}

impl Groups {
    pub(crate) fn add(&mut self, key: GroupKey, task: TaskNumber) {
        let group = self.groups.entry(key).or_default();
        if group.queue.is_empty() && group.waiting.is_none() {
            self.ready.push_back(key);
        }
        group.queue.push_back(task);
    }

    pub(crate) fn get(&self, key: GroupKey) -> Option<&Group> {
        self.groups.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        self.groups.get_mut(&key)
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(crate) fn pop_ready(&mut self) -> Option<GroupKey> {
        self.ready.pop_front()
    }

    /// The group has had its turn and goes to the end, or is gone if it is empty.
    pub(crate) fn end_turn(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.delay = Duration::ZERO;
        if group.queue.is_empty() {
            self.groups.remove(&key);
        } else {
            self.ready.push_back(key);
        }
    }

    /// No host would take the group; returns until when it waits.
    pub(crate) fn wait(
        &mut self,
        key: GroupKey,
        now: Timestamp,
        initial: Duration,
        max: Duration,
        placed_some: bool,
    ) -> Timestamp {
        let place = self.next_place;
        self.next_place += 1;
        let Some(group) = self.groups.get_mut(&key) else {
            return now;
        };
        group.delay = if placed_some || group.delay.is_zero() {
            initial
        } else {
            (group.delay * 2).min(max)
        };
        let until = now + group.delay;
        group.waiting = Some(Waiting { until, place });
        self.waiting.insert((place, key));
        until
    }

    /// Makes a waiting group ready.
    pub(crate) fn wake(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if let Some(waiting) = group.waiting.take() {
            self.waiting.remove(&(waiting.place, key));
            self.ready.push_back(key);
        }
    }

    /// Makes a group ready if its wait is over.
    pub(crate) fn wake_if_due(&mut self, key: GroupKey, now: Timestamp) {
        let due = self
            .groups
            .get(&key)
            .and_then(|group| group.waiting)
            .is_some_and(|waiting| waiting.until <= now);
        if due {
            self.wake(key);
        }
    }

    /// Waiting groups, the longest waiting first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = GroupKey> + '_ {
        self.waiting.iter().map(|(_, key)| *key)
    }
}
