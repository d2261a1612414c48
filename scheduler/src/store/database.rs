//! Sled with its edges filed off: syncs that reach the disk, and errors instead of panics.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::StoreError;
use super::data_dir::{clean_generating, sync_dir, sync_file};

/// A physical key and its frame.
pub(super) type Pair = (sled::IVec, sled::IVec);

/// An open database; one per process and directory.
#[derive(Debug)]
pub(super) struct Database {
    db: sled::Db,
    /// A handle of our own on sled's file, for the sync that sled leaves out.
    file: File,
    data_dir: PathBuf,
}

impl Database {
    /// Opens the database in `state`, or makes an empty one; `data_dir` is for messages.
    pub(super) fn open(
        state: &Path,
        data_dir: &Path,
        cache_bytes: u64,
    ) -> Result<Self, StoreError> {
        if state.exists() {
            clean_generating(state)?;
        }
        let config = sled::Config::new()
            .path(state)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(cache_bytes)
            // Commits flush for themselves.
            .flush_every_ms(None)
            .use_compression(false);
        let db = open_patiently(&config, data_dir)?;
        // Sled has just written a new snapshot of its page table and removed the old one. From the
        // first commit on it reuses segments that the old one points to.
        sync_dir(state)?;
        let path = state.join("db");
        let file = File::open(&path).map_err(|e| StoreError::io("open", &path, e))?;
        Ok(Self {
            db,
            file,
            data_dir: data_dir.to_owned(),
        })
    }

    /// Puts on the disk what sled writes once and never syncs.
    pub(super) fn sync_new(&self, state: &Path) -> Result<(), StoreError> {
        self.sync("make")?;
        sync_file(&state.join("conf"))?;
        sync_dir(&state.join("blobs"))?;
        sync_dir(state)
    }

    /// Applies a batch as one and returns when it would survive a power cut.
    pub(super) fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.guarded("write to", || self.db.apply_batch(batch))?;
        self.sync("write to")
    }

    fn sync(&self, doing: &'static str) -> Result<(), StoreError> {
        self.guarded(doing, || self.db.flush())?;
        // Sled only calls sync_file_range (sled #1452), which leaves the file's size and the
        // drive's cache behind.
        self.file
            .sync_data()
            .map_err(|e| StoreError::io("sync the database of", &self.data_dir, e))
    }

    /// Returns the frame under a physical key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.guarded("read", || self.db.get(key))
    }

    /// Tells whether there is nothing at all.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.scan(&[]).next().transpose()?.is_none())
    }

    /// Iterates over all pairs whose physical keys begin with `prefix`.
    pub(super) fn scan(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Pair, StoreError>> {
        let mut pairs = self.db.scan_prefix(prefix);
        let mut is_broken = false;
        std::iter::from_fn(move || {
            if is_broken {
                return None;
            }
            let pair = self
                .guarded("read", || pairs.next().transpose())
                .transpose();
            is_broken = matches!(pair, Some(Err(_)));
            pair
        })
    }

    fn guarded<T>(
        &self,
        doing: &'static str,
        act: impl FnOnce() -> sled::Result<T>,
    ) -> Result<T, StoreError> {
        guarded(doing, &self.data_dir, act)
    }
}

/// Opens sled, waiting for threads of an earlier opening by this process to let go of the file.
fn open_patiently(config: &sled::Config, data_dir: &Path) -> Result<sled::Db, StoreError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const PAUSE: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        let result = guarded("open", data_dir, || match config.open() {
            Err(error) if is_locked(&error) => Ok(None),
            other => other.map(Some),
        });
        match result {
            Ok(Some(db)) => return Ok(db),
            Ok(None) if waited >= PATIENCE => {
                return Err(StoreError::Locked {
                    path: data_dir.to_owned(),
                    pid: None,
                });
            }
            Ok(None) => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
        waited += PAUSE;
    }
}

/// Tells whether sled found its file locked, which it says only in words.
fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.kind() == io::ErrorKind::Other
        && io.to_string().starts_with("could not acquire lock"))
}

/// Calls sled, which answers unexpected content with a panic as often as with an error.
fn guarded<T>(
    doing: &'static str,
    data_dir: &Path,
    act: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StoreError> {
    // Whatever a panic leaves behind is not used again: the store stops.
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => result.map_err(|error| StoreError::sled(doing, data_dir, error)),
        Err(panic) => Err(StoreError::panicked(doing, data_dir, &*panic)),
    }
}
