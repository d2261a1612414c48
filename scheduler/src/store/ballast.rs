//! Space kept back for the day when the disk is full: sled cannot even be opened then.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// What has become of the ballast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ballast {
    /// In place.
    Kept,
    /// Given up, so that the store could be opened: the disk is full and somebody has to act.
    Freed,
    /// Not there: switched off, or the disk has no room for it.
    #[default]
    Absent,
}

/// The file that takes the space.
#[derive(Debug)]
pub(super) struct BallastFile {
    path: PathBuf,
    bytes: u64,
}

impl BallastFile {
    pub(super) fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Frees the space; tells whether there was any.
    pub(super) fn free(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Tells whether the disk has so little room that sled would fail to open.
    pub(super) fn is_needed(&self) -> io::Result<bool> {
        // Opening writes up to one segment of 512 KiB and a snapshot of the page table.
        const ENOUGH_TO_OPEN: u64 = 8 << 20;
        Ok(self.path.exists() && available(&self.path)? < ENOUGH_TO_OPEN.min(self.bytes))
    }

    /// Takes the space if it is not taken yet and the disk has at least as much again.
    pub(super) fn keep(&self) -> io::Result<Ballast> {
        if self.bytes == 0 {
            return Ok(Ballast::Absent);
        }
        let taken = fs::metadata(&self.path).map_or(0, |found| found.len());
        if taken >= self.bytes {
            return Ok(Ballast::Kept);
        }
        let parent = self.path.parent().unwrap_or(&self.path);
        if available(parent)? / 2 < self.bytes - taken {
            return Ok(Ballast::Absent);
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(Ballast::Kept),
            // A file of the right length that takes no space would only pretend.
            Err(error) => {
                self.free()?;
                Err(error.into())
            }
        }
    }
}

/// Returns the bytes that this user may still write to the disk of `path`.
fn available(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
