//! Owns the store: commits a group, then lets its effects and replies out.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use aurora_core::cluster::Effect;
use aurora_core::store::Write;
use tokio::sync::{oneshot, watch};

use crate::cluster::Cluster;
use crate::engine::Release;
use crate::store::{Listing, Store, StoreError};

/// What the store is asked for besides commits.
pub(super) enum Work {
    /// Every record, as of after this group.
    Listing(oneshot::Sender<Result<Listing, StoreError>>),
}

/// Writes that land together, and what waits for them.
pub(super) struct Group {
    pub(super) writes: Vec<Write>,
    pub(super) effects: Vec<Effect>,
    pub(super) releases: Vec<Release>,
    pub(super) work: Vec<Work>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.effects.is_empty()
            && self.releases.is_empty()
            && self.work.is_empty()
    }
}

/// The thread's state.
pub(super) struct Committer {
    store: Box<dyn Store>,
    cluster: Arc<dyn Cluster>,
    fatal: watch::Sender<Option<String>>,
}

impl Committer {
    pub(super) fn new(
        store: Box<dyn Store>,
        cluster: Arc<dyn Cluster>,
        fatal: watch::Sender<Option<String>>,
    ) -> Self {
        Self {
            store,
            cluster,
            fatal,
        }
    }

    /// Runs until the stepper is gone or a commit fails. After a failed commit nothing goes out
    /// any more, not even answers: callers see the connection end and ask again later.
    pub(super) fn run(mut self, groups: &Receiver<Group>) {
        while let Ok(group) = groups.recv() {
            if !group.writes.is_empty()
                && let Err(error) = self.store.commit(&group.writes)
            {
                let reason = format!("the state cannot be written any more: {error}");
                tracing::error!("{reason}");
                self.fatal.send_replace(Some(reason));
                return;
            }
            if !group.effects.is_empty() {
                self.cluster.perform(group.effects);
            }
            for release in group.releases {
                release();
            }
            for work in group.work {
                match work {
                    Work::Listing(answer) => {
                        // The caller may have gone.
                        let _gone = answer.send(self.store.listing());
                    }
                }
            }
        }
    }
}
