//! The directory that one scheduler owns: its layout, its lock, and what it takes to make file
//! names durable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::StoreError;

/// The database.
pub(super) const STATE: &str = "state";
/// Our own snapshots.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// Ends the names of files and directories in the making; the only ones that are ever deleted.
pub(super) const GENERATING: &str = ".generating";

const LOCK: &str = "lock";
const BALLAST: &str = "ballast";
const MARK: &str = "mark";

/// A data directory, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
}

impl DataDir {
    /// Locks an existing data directory.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(StoreError::NotADirectory {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Missing {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(StoreError::io("look at", path, error)),
        }
        // Messages name commands to run, so they need the whole path.
        let path = path
            .canonicalize()
            .map_err(|e| StoreError::io("look at", path, e))?;
        let lock = take_lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Makes the directory if need be, and locks it.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        if !path.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|e| StoreError::io("make the directory", path, e))?;
        }
        let dir = Self::open(path)?;
        let snapshots = dir.snapshots();
        if !snapshots.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(&snapshots)
                .map_err(|e| StoreError::io("make the directory", &snapshots, e))?;
        }
        sync_dir(&dir.path)?;
        if let Some(parent) = dir.path.parent() {
            sync_dir(parent)?;
        }
        Ok(dir)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn state(&self) -> PathBuf {
        self.path.join(STATE)
    }

    /// Where a new database is made before it gets its name.
    pub(super) fn new_state(&self) -> PathBuf {
        self.path.join(format!("{STATE}{GENERATING}"))
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.path.join(SNAPSHOTS)
    }

    pub(super) fn ballast(&self) -> PathBuf {
        self.path.join(BALLAST)
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.path.join(MARK)
    }

    /// Lets others pass through, to the sandboxes that belong to them, but not look around.
    pub(super) fn close_to_others(&self) -> Result<(), StoreError> {
        fs::set_permissions(&self.path, fs::Permissions::from_mode(0o711))
            .map_err(|e| StoreError::io("change the mode of", &self.path, e))
    }

    /// Makes the directory of a new database; what sled puts there takes the mode that the user's
    /// mask gives it, so that nobody else may come in here.
    pub(super) fn make_new_state(&self) -> Result<(), StoreError> {
        let path = self.new_state();
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|e| StoreError::io("make the directory", &path, e))
    }

    /// Fails unless a new store can be made here: only what an interrupted attempt leaves behind
    /// may be there.
    pub(super) fn check_fresh(&self) -> Result<(), StoreError> {
        for entry in entries(&self.path)? {
            let is_leftover = match entry.file_name().and_then(|name| name.to_str()) {
                // The last one is what every new ext4 begins with.
                Some(LOCK | BALLAST | "lost+found") => true,
                Some(SNAPSHOTS) => entries(&entry)?.is_empty(),
                Some(name) => name.ends_with(GENERATING),
                None => false,
            };
            if !is_leftover {
                return Err(StoreError::NotEmpty {
                    path: self.path.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Deletes what was left in the making in `dir`.
///
/// Sled takes its own half-written `snap.*.generating` for a whole snapshot and then refuses to
/// open (sled #1527).
pub(super) fn clean_generating(dir: &Path) -> Result<u32, StoreError> {
    let mut deleted = 0;
    for entry in entries(dir)? {
        if !entry.to_string_lossy().ends_with(GENERATING) {
            continue;
        }
        let result = if entry.is_dir() {
            fs::remove_dir_all(&entry)
        } else {
            fs::remove_file(&entry)
        };
        result.map_err(|e| StoreError::io("delete", &entry, e))?;
        deleted += 1;
    }
    if deleted > 0 {
        sync_dir(dir)?;
    }
    Ok(deleted)
}

/// Returns the paths of a directory's entries.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io("list", dir, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    Ok(paths)
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|handle| handle.sync_all())
        .map_err(|e| StoreError::io("sync the directory", dir, e))
}

/// Makes a file's content durable.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|handle| handle.sync_all())
        .map_err(|e| StoreError::io("sync", path, e))
}

/// Takes the lock and leaves our process id in it for the message of whoever comes second.
fn take_lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| StoreError::io("open", &path, e))?;
    match flock_patiently(&file) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // The lock is what counts; without a pid the message is only shorter.
            let pid = file
                .read_to_string(&mut text)
                .ok()
                .and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Locked {
                path: dir.to_owned(),
                pid,
            });
        }
        Err(error) => return Err(StoreError::io("lock", &path, error.into())),
    }
    // A full disk must not keep the scheduler from starting: the pid is a courtesy.
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "failed to write the pid to the lock");
    }
    Ok(file)
}

/// Takes the lock, or fails if it stays taken for a while.
///
/// A process that is about to start another one shares its open files with it for an instant; so a
/// lock that was let go of just now may still look taken.
fn flock_patiently(file: &File) -> rustix::io::Result<()> {
    const ATTEMPTS: u32 = 50;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 1..ATTEMPTS {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(PAUSE),
            result => return result,
        }
    }
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}
