//! Deletes the sandboxes of ended tasks, oldest first, when one of the limits asks for it.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aurora_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::config::SandboxRetention;
use super::machine::file_system;
use super::metrics::EmbeddedMetrics;
use super::tree::{remove_tree, tree_bytes};
use crate::clock::Clock;

// Between looks at the clock and at the free space, which a sweep takes its time for.
const BATCH: usize = 64;
const SWEEP_BUDGET: Duration = Duration::from_secs(2);
const PAUSE_BETWEEN_SWEEPS: Duration = Duration::from_millis(200);

/// What the sweeper is told.
#[derive(Debug)]
pub(super) enum SweepOrder {
    /// The task of this sandbox has ended.
    Ended(PathBuf),
    /// The task of this sandbox turned out to be alive.
    InUse(PathBuf),
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    ended: Timestamp,
    // Measured by the next sweep, if at all.
    bytes: Option<u64>,
}

/// Knows every sandbox of an ended task.
pub(super) struct Sweeper {
    retention: SandboxRetention,
    work_dir: PathBuf,
    clock: Arc<dyn Clock>,
    metrics: Arc<EmbeddedMetrics>,
    kept: VecDeque<Kept>,
    total_bytes: u64,
}

impl Sweeper {
    /// Makes a sweeper that knows no sandbox yet.
    pub(super) fn new(
        retention: SandboxRetention,
        work_dir: PathBuf,
        clock: Arc<dyn Clock>,
        metrics: Arc<EmbeddedMetrics>,
    ) -> Self {
        Self {
            retention,
            work_dir,
            clock,
            metrics,
            kept: VecDeque::new(),
            total_bytes: 0,
        }
    }

    /// Takes in what an agent has from before, except what `is_live` says is in use.
    pub(super) fn scan(
        &mut self,
        sandboxes: &Path,
        is_live: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(sandboxes)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_str().is_some_and(&is_live) {
                continue;
            }
            // The time of the last change of the inode: users cannot set it back.
            let changed = entry.metadata()?.ctime().saturating_mul(1000);
            found.push(Kept {
                path: entry.path(),
                ended: Timestamp(changed),
                bytes: None,
            });
        }

        self.kept.extend(found);
        self.kept.make_contiguous().sort_by_key(|kept| kept.ended);
        Ok(())
    }

    /// Keeps the limits until `stop`.
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::UnboundedReceiver<SweepOrder>,
        stop: CancellationToken,
    ) {
        let mut some = Vec::new();
        let mut pause = Duration::ZERO;
        loop {
            let next_sweep = tokio::time::sleep(pause);
            let mut next_sweep = std::pin::pin!(next_sweep);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut next_sweep => break,
                    _ = orders.recv_many(&mut some, 1024) => {
                        for order in some.drain(..) {
                            self.take(order);
                        }
                    }
                }
            }
            let until = stop.clone();
            let swept = tokio::task::spawn_blocking(move || {
                let finished = self.sweep(&until);
                (self, finished)
            });
            let finished = match swept.await {
                Ok((back, finished)) => {
                    self = back;
                    finished
                }
                Err(error) => {
                    tracing::error!(%error, "the collection of sandboxes has stopped");
                    return;
                }
            };
            self.metrics.kept_sandboxes.set(self.kept.len() as u64);
            let interval = self.retention.sweep_interval;
            pause = if finished {
                interval
            } else {
                PAUSE_BETWEEN_SWEEPS.min(interval)
            };
        }
    }

    fn take(&mut self, order: SweepOrder) {
        match order {
            SweepOrder::Ended(path) => {
                // For the next start, which goes by the time of the inode's last change.
                touch(&path);
                self.kept.push_back(Kept {
                    path,
                    ended: self.clock.now(),
                    bytes: None,
                });
            }
            SweepOrder::InUse(path) => self.kept.retain(|kept| kept.path != path),
        }
    }

    fn measure_new(&mut self) {
        if self.retention.max_total_bytes.is_none() {
            return;
        }
        for kept in self.kept.iter_mut().filter(|kept| kept.bytes.is_none()) {
            let bytes = tree_bytes(&kept.path);
            kept.bytes = Some(bytes);
            self.total_bytes = self.total_bytes.saturating_add(bytes);
        }
    }

    // Returns whether every limit holds; otherwise the time for one sweep is over.
    fn sweep(&mut self, stop: &CancellationToken) -> bool {
        let started = self.clock.now();
        self.measure_new();
        loop {
            let now = self.clock.now();
            if now.since(started) > SWEEP_BUDGET {
                return false;
            }
            let low_on_space = self.is_low_on_space();
            for _ in 0..BATCH {
                if stop.is_cancelled() {
                    return false;
                }
                let Some(oldest) = self.kept.front() else {
                    return true;
                };
                let due = now.since(oldest.ended) >= self.retention.max_age
                    || self.kept.len() > self.retention.max_count
                    || self
                        .retention
                        .max_total_bytes
                        .is_some_and(|max| self.total_bytes > max)
                    || low_on_space;
                if !due {
                    return true;
                }
                let Some(oldest) = self.kept.pop_front() else {
                    return true;
                };
                self.total_bytes = self.total_bytes.saturating_sub(oldest.bytes.unwrap_or(0));
                match remove_tree(&oldest.path) {
                    Ok(()) => self.metrics.deleted_sandboxes.add(1),
                    // Left to the next start of the scheduler, so that one cannot block the rest.
                    Err(error) => {
                        let path = oldest.path.display();
                        tracing::warn!(%path, %error, "failed to delete a sandbox");
                    }
                }
            }
        }
    }

    fn is_low_on_space(&self) -> bool {
        match file_system(&self.work_dir) {
            Ok(space) => {
                let available = fraction(space.available, space.total);
                available < self.retention.keep_free
            }
            Err(error) => {
                tracing::warn!(%error, "collecting sandboxes without regard to free space");
                false
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "compared with a fraction given by hand"
)]
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

fn touch(path: &Path) {
    let times = rustix::fs::Timestamps {
        last_access: now_timespec(),
        last_modification: now_timespec(),
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    if let Err(error) = rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags) {
        tracing::debug!(path = %path.display(), %error, "failed to touch a sandbox");
    }
}

const fn now_timespec() -> rustix::fs::Timespec {
    rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    }
}
