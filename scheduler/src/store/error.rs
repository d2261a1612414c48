//! What can go wrong with a store, in words that say what to do next.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use aurora_core::store::Table;
use thiserror::Error;

use super::data_dir;
use super::snapshot::SnapshotError;
use super::snapshot_file::newest_snapshot;

/// Why a store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store's content is not what was written.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// A newer release wrote the store.
    #[error(
        "the store `{}` has format {found}, and this release knows formats up to {supported}; \
         start a release that knows format {found}, or restore a snapshot taken before the upgrade",
        path.display()
    )]
    NewerFormat {
        /// The store or snapshot.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this release knows.
        supported: u32,
    },
    /// Another process holds the store.
    #[error(
        "the data directory `{}` is in use by another scheduler{}; stop that one first, or give \
         this one its own --data-dir",
        path.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The other process, if its lock file names it.
        pid: Option<u32>,
    },
    /// There is no store at the path.
    #[error("there is no store in `{}`", path.display())]
    Missing {
        /// The data directory.
        path: PathBuf,
    },
    /// The path is taken by something that a new store must not touch.
    #[error("`{}` is not empty, and a new store needs a fresh directory", path.display())]
    NotEmpty {
        /// The data directory.
        path: PathBuf,
    },
    /// The path is a file or the like.
    #[error("`{}` is not a directory; give a directory as --data-dir", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The system does not let this user in.
    #[error(
        "permission denied on `{}`; make the directory belong to the user that runs the scheduler \
         (mode 0700)",
        path.display()
    )]
    PermissionDenied {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk has no room left.
    #[error(
        "the disk of `{}` is full; free some space and start again: nothing that was acknowledged \
         is lost",
        path.display()
    )]
    DiskFull {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system failed to read or write.
    #[error("failed to {doing} `{}`", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The engine below gave up in a way that is neither damage nor input and output.
    #[error("failed to {doing} the store `{}`: {reason}", path.display())]
    Engine {
        /// What was attempted.
        doing: &'static str,
        /// The data directory.
        path: PathBuf,
        /// The engine's words.
        reason: String,
    },
    /// A write that no store takes.
    #[error("a write to table `{}` cannot be stored: {reason}", table.name())]
    InvalidWrite {
        /// The table.
        table: Table,
        /// What is wrong with it.
        reason: String,
    },
    /// An earlier call failed.
    #[error("the store stopped after an earlier error: {cause}")]
    Stopped {
        /// That error's text.
        cause: String,
    },
    /// A snapshot or backup cannot be used.
    #[error("the snapshot `{}` cannot be used", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SnapshotError,
    },
    /// A restore that would make task ids collide.
    #[error("epoch {epoch} was used by the store that the snapshot comes from; draw another one")]
    EpochReused {
        /// The epoch.
        epoch: u32,
    },
}

/// Where a store is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The data directory.
    pub data_dir: PathBuf,
    /// What is wrong.
    pub what: String,
    /// The record's table, if known.
    pub table: Option<Table>,
    /// The record's key, if known.
    pub key: Option<Vec<u8>>,
    /// The offset in the database file, if known.
    pub offset: Option<u64>,
    /// The newest snapshot that passes its checksum.
    pub newest_snapshot: Option<PathBuf>,
}

impl Damage {
    /// Returns damage of the store as a whole, with the snapshot to go back to.
    pub(super) fn new(data_dir: &Path, what: impl Into<String>) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            what: what.into(),
            table: None,
            key: None,
            offset: None,
            newest_snapshot: newest_snapshot(data_dir),
        }
    }

    /// Returns damage of one record.
    pub(super) fn of_record(
        data_dir: &Path,
        table: Table,
        key: &[u8],
        what: impl Into<String>,
    ) -> Self {
        Self {
            table: Some(table),
            key: Some(key.to_owned()),
            ..Self::new(data_dir, what)
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.data_dir.display();
        write!(f, "the store in `{dir}` is damaged: {}", self.what)?;
        if let Some(table) = self.table {
            write!(f, ", table `{}`", table.name())?;
        }
        if let Some(key) = &self.key {
            write!(f, ", key `{}`", key.escape_ascii())?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", at offset {offset} of `{dir}/{}/db`", data_dir::STATE)?;
        }
        write!(
            f,
            ". Nothing was repaired. Copy the directory before you try again: when sled opens a \
             store, it may cut off what follows the damage. "
        )?;
        match &self.newest_snapshot {
            Some(snapshot) => write!(
                f,
                "To go on from the newest good snapshot, run `aurora-rs admin restore {} \
                 --data-dir {dir}.restored` and start the scheduler on the new directory",
                snapshot.display()
            ),
            None => write!(
                f,
                "There is no good snapshot in `{dir}/{}`; with a backup file, run \
                 `aurora-rs admin restore <backup> --data-dir {dir}.restored` and start \
                 the scheduler on the new directory",
                data_dir::SNAPSHOTS
            ),
        }
    }
}

impl StoreError {
    /// Returns the error for a failed system call on `path`.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_disk_full(&source) {
            return Self::DiskFull { path, source };
        }
        if source.kind() == io::ErrorKind::PermissionDenied {
            return Self::PermissionDenied { path, source };
        }
        if source.kind() == io::ErrorKind::NotADirectory {
            return Self::NotADirectory { path };
        }
        Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Returns the error for what sled said while `doing` something to the store of `data_dir`.
    pub(super) fn sled(doing: &'static str, data_dir: &Path, error: sled::Error) -> Self {
        match error {
            sled::Error::Io(source) => Self::io(doing, &data_dir.join(data_dir::STATE), source),
            sled::Error::Corruption { at, .. } => Self::Damaged(Box::new(Damage {
                offset: at.map(|pointer| pointer.lid()),
                ..Damage::new(data_dir, "a checksum of the database file does not match")
            })),
            other @ (sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)) => Self::Engine {
                doing,
                path: data_dir.to_owned(),
                reason: other.to_string(),
            },
        }
    }

    /// Returns the error for a panic of sled, which is its answer to content that it did not
    /// expect.
    pub(super) fn panicked(doing: &str, data_dir: &Path, panic: &(dyn Any + Send)) -> Self {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        // Assertions print both sides over several lines.
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Self::Damaged(Box::new(Damage::new(
            data_dir,
            format!("the database engine gave up trying to {doing} it ({words})"),
        )))
    }

    /// Tells whether the cause is a full disk.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// Returns this error followed by what caused it, for a record that keeps only text.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// Tells whether the disk or the user's share of it is used up.
fn is_disk_full(error: &io::Error) -> bool {
    if matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) {
        return true;
    }
    // Sled keeps the kind of an error that a background thread met, but wraps the system's number.
    error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error())
}
