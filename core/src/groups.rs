//! Tasks that wait for a host, in groups of the same job and configuration.
//!
//! Ready groups take turns, so that a job of a thousand instances does not keep a job of one
//! waiting. A group that no host would take waits, longer each time, until its time is up or
//! resources come that may do. A group exists exactly as long as it has a pending task.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Shape;
use crate::ids::{ConfigIdx, JobIdx, TaskNumber};
use crate::placement::AttributeCounts;
use crate::time::Timestamp;

/// Names a group.
pub(crate) type GroupKey = (JobIdx, ConfigIdx);

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Its pending tasks, the oldest first: exactly those, so that a group never outlives its
    /// job or its configuration.
    pub(crate) queue: BTreeSet<TaskNumber>,
    shape: Shape,
    standing: Standing,
    /// The last wait, for the next one.
    delay: Duration,
    /// When the soonest timer set for it goes off; one is enough.
    timer: Option<Timestamp>,
    /// The job's placed tasks by what the configuration limits, once they have been counted.
    counts: Option<AttributeCounts>,
}

impl Group {
    pub(crate) fn counts(&self) -> Option<&AttributeCounts> {
        self.counts.as_ref()
    }
}

/// Where a group stands.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Ready(u64),
    OnTurn,
    Waiting(Waiting),
}

/// A group that no host would take.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: Timestamp,
    /// Its place among the waiting.
    place: u64,
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupKey, Group>,
    /// First come first.
    ready: BTreeMap<u64, GroupKey>,
    /// By what they demand, since hosts refuse all of one shape alike; in it first come first.
    waiting: BTreeMap<Shape, BTreeMap<u64, GroupKey>>,
    next_place: u64,
}

impl Groups {
    pub(crate) fn add(&mut self, key: GroupKey, shape: Shape, task: TaskNumber) {
        let place = self.next_place;
        let group = self.groups.entry(key).or_insert_with(|| {
            self.next_place += 1;
            self.ready.insert(place, key);
            Group {
                queue: BTreeSet::new(),
                shape,
                standing: Standing::Ready(place),
                delay: Duration::ZERO,
                timer: None,
                counts: None,
            }
        });
        group.queue.insert(task);
    }

    /// The task is not pending any more.
    pub(crate) fn remove(&mut self, key: GroupKey, task: TaskNumber) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        group.queue.remove(&task);
        // A group on its turn is looked at when the turn ends.
        if group.queue.is_empty() && !matches!(group.standing, Standing::OnTurn) {
            self.leave(key);
            self.groups.remove(&key);
        }
    }

    /// The task of the group that is next.
    pub(crate) fn first(&self, key: GroupKey) -> Option<TaskNumber> {
        self.groups.get(&key)?.queue.first().copied()
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the next group and its shape; [`Self::end_turn`] or [`Self::wait`] must follow.
    pub(crate) fn pop_ready(&mut self) -> Option<(GroupKey, Shape)> {
        let (_, key) = self.ready.pop_first()?;
        let group = self.groups.get_mut(&key)?;
        group.standing = Standing::OnTurn;
        Some((key, group.shape))
    }

    /// The group has had its turn and goes to the end, or is gone if it is empty.
    pub(crate) fn end_turn(&mut self, key: GroupKey) {
        let place = self.take_place();
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        if group.queue.is_empty() {
            self.groups.remove(&key);
            return;
        }
        group.delay = Duration::ZERO;
        group.standing = Standing::Ready(place);
        self.ready.insert(place, key);
    }

    /// No host would take the group. Returns when a timer has to go off, if there is none yet.
    pub(crate) fn wait(
        &mut self,
        key: GroupKey,
        now: Timestamp,
        initial: Duration,
        max: Duration,
        placed_some: bool,
    ) -> Option<Timestamp> {
        let place = self.take_place();
        let group = self.groups.get_mut(&key)?;
        group.delay = if placed_some || group.delay.is_zero() {
            initial
        } else {
            group.delay.saturating_mul(2).min(max)
        };
        let until = now + group.delay;
        group.standing = Standing::Waiting(Waiting { until, place });
        self.waiting
            .entry(group.shape)
            .or_default()
            .insert(place, key);
        if group.timer.is_some_and(|timer| timer <= until) {
            return None;
        }
        group.timer = Some(until);
        Some(until)
    }

    /// Makes a waiting group ready.
    pub(crate) fn wake(&mut self, key: GroupKey) {
        if self.waiting_until(key).is_none() {
            return;
        }
        self.leave(key);
        let place = self.take_place();
        if let Some(group) = self.groups.get_mut(&key) {
            group.standing = Standing::Ready(place);
            self.ready.insert(place, key);
        }
    }

    /// Makes a group ready if its wait is over. Returns when to look again, if it is not.
    pub(crate) fn timer_fired(&mut self, key: GroupKey, now: Timestamp) -> Option<Timestamp> {
        let group = self.groups.get_mut(&key)?;
        if group.timer.is_some_and(|timer| timer <= now) {
            group.timer = None;
        }
        let Standing::Waiting(waiting) = group.standing else {
            return None;
        };
        if waiting.until <= now {
            self.wake(key);
            return None;
        }
        if group.timer.is_some() {
            return None;
        }
        group.timer = Some(waiting.until);
        group.timer
    }

    /// Until when the group waits, if it does.
    pub(crate) fn waiting_until(&self, key: GroupKey) -> Option<Timestamp> {
        match self.groups.get(&key)?.standing {
            Standing::Waiting(waiting) => Some(waiting.until),
            Standing::Ready(_) | Standing::OnTurn => None,
        }
    }

    /// The waiting groups, by shape, the longest waiting first.
    pub(crate) fn waiting(&self) -> &BTreeMap<Shape, BTreeMap<u64, GroupKey>> {
        &self.waiting
    }

    /// The groups of a job.
    pub(crate) fn of_job(&self, job: JobIdx) -> impl Iterator<Item = GroupKey> + '_ {
        let (first, last) = ((job, ConfigIdx(0)), (job, ConfigIdx(u32::MAX)));
        self.groups.range(first..=last).map(|(key, _)| *key)
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Takes what was counted for the group; it is to be given back.
    pub(crate) fn take_counts(&mut self, key: GroupKey) -> Option<AttributeCounts> {
        self.groups.get_mut(&key)?.counts.take()
    }

    pub(crate) fn keep_counts(&mut self, key: GroupKey, counts: AttributeCounts) {
        if let Some(group) = self.groups.get_mut(&key) {
            group.counts = Some(counts);
        }
    }

    /// What was counted for the groups of a job, to follow a change.
    pub(crate) fn counts_of_job(
        &mut self,
        job: JobIdx,
    ) -> impl Iterator<Item = (ConfigIdx, &mut AttributeCounts)> {
        let (first, last) = ((job, ConfigIdx(0)), (job, ConfigIdx(u32::MAX)));
        let groups = self.groups.range_mut(first..=last);
        groups.filter_map(|(key, group)| Some((key.1, group.counts.as_mut()?)))
    }

    /// A host's attributes have changed: all has to be counted again.
    pub(crate) fn forget_counts(&mut self) {
        for group in self.groups.values_mut() {
            group.counts = None;
        }
    }

    /// Every group, for the invariants.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupKey, &Group)> {
        self.groups.iter()
    }

    /// Takes a group out of the ready or the waiting.
    fn leave(&mut self, key: GroupKey) {
        let Some(group) = self.groups.get(&key) else {
            return;
        };
        match group.standing {
            Standing::Ready(place) => {
                self.ready.remove(&place);
            }
            Standing::Waiting(waiting) => {
                if let Some(alike) = self.waiting.get_mut(&group.shape) {
                    alike.remove(&waiting.place);
                    if alike.is_empty() {
                        self.waiting.remove(&group.shape);
                    }
                }
            }
            Standing::OnTurn => {}
        }
    }

    fn take_place(&mut self) -> u64 {
        self.next_place += 1;
        self.next_place - 1
    }
}
