//! Snapshots of the whole state beside the store: now and then, and when asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::engine::{Engine, EngineError};
use crate::store::{SnapshotInfo, StoreError, prune_snapshots, verify_snapshot, write_snapshot};

/// When snapshots are taken, and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Between two of them; absent takes none by itself.
    pub interval: Option<Duration>,
    /// The newest so many are kept.
    pub keep: usize,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(15 * 60)),
            keep: 48,
        }
    }
}

/// Takes snapshots; clones share nothing but the directory.
#[derive(Clone)]
pub(crate) struct Snapshots {
    data_dir: PathBuf,
    policy: SnapshotPolicy,
    clock: Arc<dyn Clock>,
}

/// A snapshot that was written and read back.
pub(crate) struct Taken {
    pub(crate) path: PathBuf,
    pub(crate) info: SnapshotInfo,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the writer panicked")]
    Panicked,
}

impl Snapshots {
    pub(crate) fn new(data_dir: PathBuf, policy: SnapshotPolicy, clock: Arc<dyn Clock>) -> Self {
        Self {
            data_dir,
            policy,
            clock,
        }
    }

    /// Writes a snapshot, reads it back, and deletes those that are too many.
    pub(crate) async fn take(&self, engine: &Engine) -> Result<Taken, TakeError> {
        let listing = engine.listing().await?;
        let created_ms = self.clock.now().0;
        let (data_dir, keep) = (self.data_dir.clone(), self.policy.keep);
        let written = tokio::task::spawn_blocking(move || {
            let file = write_snapshot(&data_dir, listing, created_ms)?;
            let info = verify_snapshot(&file.path)?;
            prune_snapshots(&data_dir, keep.max(1))?;
            Ok::<_, StoreError>(Taken {
                path: file.path,
                info,
            })
        });
        Ok(written.await.map_err(|_| TakeError::Panicked)??)
    }

    /// Takes snapshots by the policy until `stopping`.
    pub(crate) async fn run(self, engine: Engine, stopping: CancellationToken) {
        let Some(interval) = self.policy.interval.filter(|interval| !interval.is_zero()) else {
            return;
        };
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once; the state was just loaded.
        ticks.tick().await;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.take(&engine).await {
                Ok(taken) => {
                    let path = taken.path.display();
                    tracing::info!(%path, records = taken.info.records, "snapshot taken");
                }
                Err(error) => tracing::error!("no snapshot could be taken: {error}"),
            }
        }
    }
}
