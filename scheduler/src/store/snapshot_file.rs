//! Snapshots as files: written so that a name never stands for half a snapshot.

use std::cmp::Reverse;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::data_dir::{self, GENERATING, entries, sync_dir};
use super::{Decoder, Encoder, Record, SnapshotError, SnapshotInfo, StoreError};

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".aurora";
const PIECE: usize = 256 << 10;

/// A snapshot in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The file.
    pub path: PathBuf,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
}

/// Writes a snapshot into a data directory; returns when it would survive a power cut.
///
/// # Errors
///
/// Fails if a record cannot be read or the file not be written.
pub fn write_snapshot(
    data_dir: &Path,
    records: impl Iterator<Item = Result<Record, StoreError>>,
    created_ms: i64,
) -> Result<SnapshotFile, StoreError> {
    let dir = data_dir.join(data_dir::SNAPSHOTS);
    let path = dir.join(format!("{PREFIX}{created_ms:020}{SUFFIX}"));
    let mut temporary = path.clone().into_os_string();
    temporary.push(GENERATING);
    let temporary = PathBuf::from(temporary);
    let result = write_file(&temporary, Encoder::new(records, created_ms, PIECE));
    if let Err(error) = result {
        // The disk may be full: half a snapshot must not take what is left.
        if let Err(error) = fs::remove_file(&temporary) {
            tracing::debug!(path = %temporary.display(), %error, "failed to delete");
        }
        return Err(error);
    }
    fs::rename(&temporary, &path).map_err(|e| StoreError::io("rename", &temporary, e))?;
    sync_dir(&dir)?;
    Ok(SnapshotFile { path, created_ms })
}

fn write_file(
    path: &Path,
    pieces: impl Iterator<Item = Result<Vec<u8>, StoreError>>,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("write", path, error);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    for piece in pieces {
        file.write_all(&piece?).map_err(failed)?;
    }
    file.sync_all().map_err(failed)
}

/// Returns the snapshots of a data directory, newest first, unchecked.
///
/// # Errors
///
/// Fails if the directory cannot be read.
pub fn list_snapshots(data_dir: &Path) -> Result<Vec<SnapshotFile>, StoreError> {
    let dir = data_dir.join(data_dir::SNAPSHOTS);
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found: Vec<_> = entries(&dir)?.into_iter().filter_map(parse_name).collect();
    found.sort_by_key(|snapshot| Reverse(snapshot.created_ms));
    Ok(found)
}

/// Deletes all but the newest `keep` snapshots of a data directory; returns how many.
///
/// # Errors
///
/// Fails if a file cannot be deleted.
pub fn prune_snapshots(data_dir: &Path, keep: usize) -> Result<usize, StoreError> {
    let mut all = list_snapshots(data_dir)?;
    let old = all.split_off(keep.min(all.len()));
    for snapshot in &old {
        fs::remove_file(&snapshot.path).map_err(|e| StoreError::io("delete", &snapshot.path, e))?;
    }
    Ok(old.len())
}

/// Reads a snapshot and gives its records to `visit`, which must not act on them before this
/// function has returned without an error.
///
/// # Errors
///
/// Fails if the file cannot be read or is not a good snapshot.
pub fn read_snapshot(
    path: &Path,
    visit: &mut dyn FnMut(Record),
) -> Result<SnapshotInfo, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let bad = |source: SnapshotError| StoreError::Snapshot {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut decoder = Decoder::new();
    let mut piece = vec![0; PIECE];
    loop {
        let length = match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        decoder
            .push(piece.get(..length).unwrap_or_default(), visit)
            .map_err(bad)?;
    }
    decoder.finish().map_err(bad)
}

/// Checks every byte of a snapshot.
///
/// # Errors
///
/// Fails if the file cannot be read or is not a good snapshot.
pub fn verify_snapshot(path: &Path) -> Result<SnapshotInfo, StoreError> {
    read_snapshot(path, &mut |_| {})
}

/// Returns the newest snapshot of a data directory that passes its check.
pub(super) fn newest_snapshot(data_dir: &Path) -> Option<PathBuf> {
    let found = list_snapshots(data_dir).ok()?;
    found
        .into_iter()
        .map(|snapshot| snapshot.path)
        .find(|path| verify_snapshot(path).is_ok())
}

fn parse_name(path: PathBuf) -> Option<SnapshotFile> {
    let name = path.file_name()?.to_str()?;
    let created_ms = name
        .strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()?;
    Some(SnapshotFile { path, created_ms })
}
