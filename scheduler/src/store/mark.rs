//! The high-water mark: the number of the newest durable commit, in a small file beside the
//! database.
//!
//! Sled takes a damaged end of its log for a torn write and cuts it off without a word. The mark
//! is written after the commit's sync and itself never waits for the disk: so it may be behind the
//! database, but a database behind its mark has lost acknowledged commits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crc32c::crc32c;

const MAGIC: [u8; 8] = *b"AURORAMK";
const SLOT: usize = 20;

/// Each slot has a sector of its own, so that a torn write leaves the other one whole.
const SLOT_DISTANCE: u64 = 4096;

/// The open file.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    /// The newest commit in the file when it was opened, if it holds one.
    pub(super) found: Option<u64>,
}

impl Mark {
    /// Opens or makes the file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let found = [0, SLOT_DISTANCE]
            .into_iter()
            .filter_map(|at| read_slot(&file, at))
            .max();
        Ok(Self { file, found })
    }

    /// Notes a commit that is durable.
    pub(super) fn note(&self, commits: u64) -> io::Result<()> {
        let mut slot = [0; SLOT];
        let (body, checksum) = slot.split_at_mut(SLOT - 4);
        let (magic, number) = body.split_at_mut(8);
        magic.copy_from_slice(&MAGIC);
        number.copy_from_slice(&commits.to_le_bytes());
        checksum.copy_from_slice(&crc32c(body).to_le_bytes());
        self.file.write_all_at(&slot, (commits % 2) * SLOT_DISTANCE)
    }

    /// Puts the mark itself on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn read_slot(file: &File, at: u64) -> Option<u64> {
    let mut slot = [0; SLOT];
    file.read_exact_at(&mut slot, at).ok()?;
    let (body, checksum) = slot.split_at(SLOT - 4);
    let number = body.strip_prefix(&MAGIC)?;
    let is_good = crc32c(body).to_le_bytes() == checksum;
    is_good.then(|| number.try_into().map(u64::from_le_bytes).ok())?
}
