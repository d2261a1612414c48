//! The format of snapshots and backups, which owes nothing to the database below.
//!
//! ```text
//! "AURORASN"  version u32  created_ms i64
//! records:    1 u8  table u8  key length u32  value length u32  key  value
//! end:        0 u8  number of records u64  SHA-256 of all before it
//! ```
//!
//! Integers are little endian. Both directions work piece by piece, so that a backup of any size
//! goes over the wire without being held in memory.

use aurora_core::store::Table;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{MAX_KEY, MAX_VALUE, Record, StoreError};

const MAGIC: &[u8; 8] = b"AURORASN";
/// The newest version of the format that this release reads, and the one that it writes.
pub(super) const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 8;
const RECORD: u8 = 1;
const RECORD_HEADER: usize = 1 + 1 + 4 + 4;
const END: u8 = 0;
const TRAILER: usize = 1 + 8 + 32;

/// Why bytes are not a good snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// It does not begin like a snapshot.
    #[error("it is not a snapshot")]
    NotASnapshot,
    /// A newer release wrote it.
    #[error("it has version {found}, and this release knows versions up to {VERSION}")]
    NewerVersion {
        /// Its version.
        found: u32,
    },
    /// It ends too early.
    #[error("it is cut short at byte {at}")]
    CutShort {
        /// Its length.
        at: u64,
    },
    /// Something goes on after its end.
    #[error("something follows its end at byte {at}")]
    TooLong {
        /// Where it should end.
        at: u64,
    },
    /// A record makes no sense.
    #[error("{what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where the record begins.
        at: u64,
    },
    /// Some byte of it changed.
    #[error("its checksum does not match")]
    Checksum,
    /// It holds no `Meta` record, or one that cannot be read.
    #[error("its `meta` record {0}")]
    Meta(&'static str),
}

/// What a good snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// The number of records.
    pub records: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Encodes records as they come: an iterator of pieces that together are the snapshot.
#[derive(Debug)]
pub struct Encoder<I> {
    records: I,
    piece_bytes: usize,
    pending: Vec<u8>,
    sha: Sha256,
    count: u64,
    is_done: bool,
}

impl<I: Iterator<Item = Result<Record, StoreError>>> Encoder<I> {
    /// Returns an encoder whose pieces are about `piece_bytes` long.
    pub fn new(records: I, created_ms: i64, piece_bytes: usize) -> Self {
        let mut pending = Vec::with_capacity(piece_bytes.max(HEADER));
        pending.extend_from_slice(MAGIC);
        pending.extend_from_slice(&VERSION.to_le_bytes());
        pending.extend_from_slice(&created_ms.to_le_bytes());
        Self {
            records,
            piece_bytes,
            pending,
            sha: Sha256::new(),
            count: 0,
            is_done: false,
        }
    }

    fn put(&mut self, record: &Record) {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.pending
            .extend_from_slice(&[RECORD, record.table as u8]);
        self.pending.extend_from_slice(&length(&record.key));
        self.pending.extend_from_slice(&length(&record.value));
        self.pending.extend_from_slice(&record.key);
        self.pending.extend_from_slice(&record.value);
        self.count += 1;
    }

    fn take_piece(&mut self) -> Vec<u8> {
        self.sha.update(&self.pending);
        std::mem::replace(&mut self.pending, Vec::with_capacity(self.piece_bytes))
    }

    fn last_piece(&mut self) -> Vec<u8> {
        self.is_done = true;
        self.pending.push(END);
        self.pending.extend_from_slice(&self.count.to_le_bytes());
        let mut piece = self.take_piece();
        piece.extend_from_slice(&self.sha.finalize_reset());
        piece
    }
}

impl<I: Iterator<Item = Result<Record, StoreError>>> Iterator for Encoder<I> {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        while self.pending.len() < self.piece_bytes {
            match self.records.next() {
                Some(Ok(record)) => self.put(&record),
                Some(Err(error)) => {
                    self.is_done = true;
                    return Some(Err(error));
                }
                None => return Some(Ok(self.last_piece())),
            }
        }
        Some(Ok(self.take_piece()))
    }
}

/// Decodes a snapshot piece by piece.
///
/// Nothing that it gives out may be trusted before [`Decoder::finish`] has agreed.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    sha: Sha256,
    /// The bytes decoded so far.
    at: u64,
    info: SnapshotInfo,
    has_header: bool,
    is_done: bool,
}

impl Decoder {
    /// Returns a decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece and gives the records that it completes to `visit`.
    ///
    /// # Errors
    ///
    /// Fails if the snapshot is not a good one.
    pub fn push(
        &mut self,
        piece: &[u8],
        visit: &mut dyn FnMut(Record),
    ) -> Result<(), SnapshotError> {
        self.pending.extend_from_slice(piece);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(used) = self.step(rest, visit)? {
            self.at += used as u64;
            rest = rest.get(used..).unwrap_or_default();
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// Decodes one element from the front; returns its length, or nothing if more is needed.
    fn step(
        &mut self,
        rest: &[u8],
        visit: &mut dyn FnMut(Record),
    ) -> Result<Option<usize>, SnapshotError> {
        if self.is_done {
            let is_end = rest.is_empty();
            return if is_end {
                Ok(None)
            } else {
                Err(SnapshotError::TooLong { at: self.at })
            };
        }
        if !self.has_header {
            return self.header(rest);
        }
        match rest.first() {
            None => Ok(None),
            Some(&RECORD) => self.record(rest, visit),
            Some(&END) => self.trailer(rest),
            Some(_) => Err(SnapshotError::Malformed {
                what: "no record begins",
                at: self.at,
            }),
        }
    }

    fn header(&mut self, rest: &[u8]) -> Result<Option<usize>, SnapshotError> {
        let seen = rest.len().min(MAGIC.len());
        if rest.get(..seen) != MAGIC.get(..seen) {
            return Err(SnapshotError::NotASnapshot);
        }
        let Some(header) = rest.get(..HEADER) else {
            return Ok(None);
        };
        let found = u32_at(header, 8);
        if found > VERSION {
            return Err(SnapshotError::NewerVersion { found });
        }
        self.info.created_ms = u64_at(header, 12).cast_signed();
        self.sha.update(header);
        self.has_header = true;
        Ok(Some(HEADER))
    }

    fn record(
        &mut self,
        rest: &[u8],
        visit: &mut dyn FnMut(Record),
    ) -> Result<Option<usize>, SnapshotError> {
        let malformed = |what| SnapshotError::Malformed { what, at: self.at };
        let Some(header) = rest.get(..RECORD_HEADER) else {
            return Ok(None);
        };
        let table = header.get(1).copied().and_then(Table::from_number);
        let table = table.ok_or_else(|| malformed("a record of an unknown table"))?;
        let key_end = RECORD_HEADER + u32_at(header, 2) as usize;
        let end = key_end + u32_at(header, 6) as usize;
        // A damaged length must not make us wait for, and hold, gigabytes.
        if key_end > RECORD_HEADER + MAX_KEY || end > key_end + MAX_VALUE {
            return Err(malformed("a record that is too long"));
        }
        let Some(bytes) = rest.get(..end) else {
            return Ok(None);
        };
        self.sha.update(bytes);
        self.info.records += 1;
        visit(Record {
            table,
            key: bytes
                .get(RECORD_HEADER..key_end)
                .unwrap_or_default()
                .to_vec(),
            value: bytes.get(key_end..).unwrap_or_default().to_vec(),
        });
        Ok(Some(end))
    }

    fn trailer(&mut self, rest: &[u8]) -> Result<Option<usize>, SnapshotError> {
        let Some((counted, checksum)) = rest
            .get(..TRAILER)
            .and_then(|trailer| trailer.split_at_checked(TRAILER - 32))
        else {
            return Ok(None);
        };
        self.sha.update(counted);
        if self.sha.finalize_reset().as_slice() != checksum
            || u64_at(counted, 1) != self.info.records
        {
            return Err(SnapshotError::Checksum);
        }
        self.info.bytes = self.at + TRAILER as u64;
        self.is_done = true;
        Ok(Some(TRAILER))
    }

    /// Tells what the snapshot held, once all of it was pushed.
    ///
    /// # Errors
    ///
    /// Fails if it has no end.
    pub fn finish(self) -> Result<SnapshotInfo, SnapshotError> {
        if self.is_done {
            return Ok(self.info);
        }
        Err(SnapshotError::CutShort {
            at: self.at + self.pending.len() as u64,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    field.map_or(0, |field| u64::from_le_bytes(*field))
}
