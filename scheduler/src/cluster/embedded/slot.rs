//! One executor as its agent sees it.

use std::collections::HashSet;
use std::sync::Arc;

use aurora_mesos::agent_endpoint::{EventSender, ExecutorKey};
use aurora_mesos::v1::executor::Event;
use tokio::time::Instant;

use super::executor_dir::ExecutorDir;
use super::journal::Journal;
use super::process::ProcessHandle;

/// Names a slot for the life of this process.
pub(super) type SlotId = u32;

/// The way to an executor.
#[derive(Debug)]
pub(super) enum Link {
    /// It has to subscribe, for the first time or again.
    Awaited {
        /// By then.
        deadline: Instant,
    },
    /// It reads our events.
    Up(EventSender),
    /// It has to end.
    Ending {
        /// It is killed then.
        kill_at: Instant,
        /// Its events, if it reads any: it waits for the acknowledgement of its last updates.
        events: Option<EventSender>,
    },
    /// Its process has ended; what it left behind is being ended.
    Gone,
}

/// An event to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The event.
    pub(super) event: Event,
    /// The task, if this hands one over.
    pub(super) launch_of: Option<Arc<str>>,
}

/// One executor.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its agent, by index.
    pub(super) agent: usize,
    /// Whose tasks it runs.
    pub(super) role: String,
    /// How it calls itself.
    pub(super) key: Arc<ExecutorKey>,
    /// Its directory.
    pub(super) dir: ExecutorDir,
    /// What it was handed, on disk.
    pub(super) journal: Journal,
    /// Its process, if there is one.
    pub(super) process: Option<ProcessHandle>,
    /// The way to it.
    pub(super) link: Link,
    /// Whether it has ever subscribed.
    pub(super) has_subscribed: bool,
    /// Its tasks, ended ones included until that is acknowledged.
    pub(super) tasks: HashSet<Arc<str>>,
    /// To be sent at the end of the turn; launches also wait for its subscription.
    pub(super) outgoing: Vec<Outgoing>,
    /// Tasks that the core has asked about while it was away.
    pub(super) held: Vec<Arc<str>>,
    /// Since when it has no tasks.
    pub(super) idle_since: Option<Instant>,
    /// Why it ended, in words for users.
    pub(super) end: String,
}

impl Slot {
    /// Makes the slot of an executor that has no process and no tasks yet.
    pub(super) fn new(
        agent: usize,
        role: String,
        key: Arc<ExecutorKey>,
        dir: ExecutorDir,
        journal: Journal,
    ) -> Self {
        Self {
            agent,
            role,
            key,
            dir,
            journal,
            process: None,
            link: Link::Gone,
            has_subscribed: false,
            tasks: HashSet::new(),
            outgoing: Vec::new(),
            held: Vec::new(),
            idle_since: None,
            end: String::new(),
        }
    }

    /// Returns whether it may be handed tasks.
    pub(super) const fn takes_tasks(&self) -> bool {
        matches!(self.link, Link::Awaited { .. } | Link::Up(_))
    }

    /// Queues an event.
    pub(super) fn push(&mut self, event: Event) {
        self.outgoing.push(Outgoing {
            event,
            launch_of: None,
        });
    }

    /// Queues a launch.
    pub(super) fn push_launch(&mut self, task_id: Arc<str>, event: Event) {
        self.outgoing.push(Outgoing {
            event,
            launch_of: Some(task_id),
        });
    }
}
