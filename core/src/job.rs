//! A job as the core holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_proto::v1;

use crate::ids::{ConfigIdx, TaskNumber};
use crate::time::Timestamp;

/// The events kept of one job; the oldest are dropped beyond it.
const MAX_EVENTS: usize = 100;

/// A job: what its user asked for, and the attempts at it.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// `role/environment/name`.
    pub(crate) path: Arc<str>,
    pub(crate) key: v1::JobKey,
    /// As last submitted, without `task`.
    pub(crate) proto: v1::JobConfiguration,
    /// The `task` of the last submission.
    pub(crate) config: ConfigIdx,
    pub(crate) version: u64,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) state: v1::JobState,
    pub(crate) events: Vec<v1::JobEvent>,
    /// Attempts that have not ended, by instance: one at most for each.
    pub(crate) active: BTreeMap<u32, TaskNumber>,
    /// Attempts that have ended and are still kept, by when they ended.
    pub(crate) ended: BTreeSet<(Timestamp, TaskNumber)>,
    /// All of them by state; indexed by the state's number.
    pub(crate) counts: [u32; 16],
}

impl Job {
    /// Returns every attempt: the active by instance, then the ended, oldest first.
    pub(crate) fn task_numbers(&self) -> impl Iterator<Item = TaskNumber> + '_ {
        let ended = self.ended.iter().map(|(_, number)| number);
        self.active.values().chain(ended).copied()
    }

    pub(crate) fn push_event(&mut self, event: v1::JobEvent) {
        if self.events.len() >= MAX_EVENTS {
            self.events.remove(0);
        }
        self.events.push(event);
    }
}
