//! What is to happen later. Timers are not kept: they are made again from the state at start.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use aurora_proto::v1::TaskState;

use crate::groups::GroupKey;
use crate::ids::{AgentIdx, TaskNumber};
use crate::time::Timestamp;

/// Something that happens at a time. Whether it still applies is judged when it happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A penalty ends.
    EndThrottle(TaskNumber),
    /// A task may have been too long in a state that waits for the cluster.
    Transient(TaskNumber, TaskStateOrd),
    /// A kill may have to be sent again; after the second field's milliseconds once more.
    RetryKill(TaskNumber, u32),
    /// A partitioned task is given up, if it has been partitioned for long enough.
    Partition(TaskNumber),
    /// A group is tried again.
    WakeGroup(GroupKey),
    /// An agent's offers may have been held long enough.
    OfferExpiry(AgentIdx),
    /// Old history goes.
    Prune,
    /// Tasks are compared with the cluster's.
    Reconcile,
    /// The next tasks of a comparison that is under way.
    ReconcileMore,
}

/// A task state's number, which is ordered.
pub(crate) type TaskStateOrd = i32;

/// The timers, soonest first; those of one time in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, u64, Timer)>>,
    set: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Timestamp, timer: Timer) {
        self.set += 1;
        self.heap.push(Reverse((at, self.set, timer)));
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse((at, _, _))| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, timer))| timer)
    }
}

// There is a timer for each task that was placed within the last minutes.
const _: () = assert!(size_of::<Timer>() == 16, "timers stay small");

/// Returns the order of a task state.
pub(crate) fn state_ord(state: TaskState) -> TaskStateOrd {
    state.into()
}
