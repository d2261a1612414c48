//! Turns the writes of one commit into one batch of physical keys and frames.
//!
//! Every commit also rewrites the store's [`Head`]: the number of commits and a digest of all
//! frames. So a record that vanished is noticed as surely as one that changed.

use std::collections::HashMap;

use aurora_core::store::{Table, Write};

use super::frame::{self, Frame, Kind};
use super::{MAX_KEY, MAX_VALUE, StoreError};

/// What the store says of itself, under [`frame::HEAD_KEY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of commits in the store's life.
    pub(super) commits: u64,
    /// The number of frames but this one.
    pub(super) frames: u64,
    /// The wrapping sum of their digests.
    pub(super) digest: u64,
}

impl Head {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let fields = [self.commits, self.frames, self.digest];
        for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Decodes the payload of the head's frame.
    pub(super) fn from_payload(payload: &[u8]) -> Option<Self> {
        let bytes: [u8; 24] = payload.try_into().ok()?;
        let mut fields = bytes
            .chunks_exact(8)
            .filter_map(|field| Some(u64::from_le_bytes(field.try_into().ok()?)));
        Some(Self {
            commits: fields.next()?,
            frames: fields.next()?,
            digest: fields.next()?,
        })
    }

    /// Counts a frame in.
    pub(super) fn add(&mut self, digest: u64) {
        self.frames = self.frames.wrapping_add(1);
        self.digest = self.digest.wrapping_add(digest);
    }

    /// Counts a frame out.
    fn subtract(&mut self, digest: u64) {
        self.frames = self.frames.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(digest);
    }
}

/// Reads a frame of the store as it is before the commit.
pub(super) type Read<'a> = dyn Fn(&[u8]) -> Result<Option<sled::IVec>, StoreError> + 'a;

/// Says that a frame of the store is damaged.
pub(super) type Damaged<'a> = dyn Fn(Table, &[u8], &str) -> StoreError + 'a;

/// A commit in the making.
pub(super) struct Stage<'a> {
    head: Head,
    batch: sled::Batch,
    read: &'a Read<'a>,
    damaged: &'a Damaged<'a>,
}

impl<'a> Stage<'a> {
    /// Returns an empty commit on top of a store with that head.
    pub(super) fn new(head: Head, read: &'a Read<'a>, damaged: &'a Damaged<'a>) -> Self {
        Self {
            head,
            batch: sled::Batch::default(),
            read,
            damaged,
        }
    }

    /// Returns the batch that makes `writes` happen, and the head that it leaves behind.
    pub(super) fn finish(mut self, writes: &[Write]) -> Result<(sled::Batch, Head), StoreError> {
        for write in last_of_each_key(writes) {
            check(write)?;
            self.write(write)?;
        }
        self.head.commits += 1;
        let (frame, _) = frame::encode(Kind::Head, frame::HEAD_KEY, &self.head.to_bytes());
        self.batch.insert(frame::HEAD_KEY, frame);
        Ok((self.batch, self.head))
    }

    fn write(&mut self, write: &Write) -> Result<(), StoreError> {
        let key = frame::record_key(write.table, &write.key);
        let old_chunks = self.count_out(write, &key)?;
        let new_chunks = match &write.value {
            Some(value) => self.put_value(&key, value),
            None => {
                self.batch.remove(key.as_slice());
                0
            }
        };
        for index in new_chunks..old_chunks {
            self.batch.remove(frame::chunk_key(&key, index));
        }
        Ok(())
    }

    /// Takes the old value of a record out of the head; returns how many chunks it has.
    fn count_out(&mut self, write: &Write, key: &[u8]) -> Result<u32, StoreError> {
        let damaged = |what: &str| (self.damaged)(write.table, &write.key, what);
        let Some(bytes) = (self.read)(key)? else {
            return Ok(0);
        };
        let old = frame::decode(key, &bytes).map_err(damaged)?;
        self.head.subtract(old.digest);
        if old.kind != Kind::Chunked {
            return Ok(0);
        }
        let length = frame::chunked_length(old.payload)
            .ok_or_else(|| (self.damaged)(write.table, &write.key, "the length is damaged"))?;
        let chunks = frame::chunk_count(length);
        for index in 0..chunks {
            let chunk_key = frame::chunk_key(key, index);
            let damaged = |what: &str| (self.damaged)(write.table, &write.key, what);
            let chunk = (self.read)(&chunk_key)?.ok_or_else(|| damaged("a chunk is missing"))?;
            let digest = frame::decode(&chunk_key, &chunk).map_err(damaged)?.digest;
            self.head.subtract(digest);
        }
        Ok(chunks)
    }

    /// Writes a value; returns how many chunks it takes.
    fn put_value(&mut self, key: &[u8], value: &[u8]) -> u32 {
        if value.len() <= frame::MAX_PAYLOAD {
            self.put(Kind::Whole, key, value);
            return 0;
        }
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.put(Kind::Chunked, key, &length.to_le_bytes());
        for (index, chunk) in (0..).zip(value.chunks(frame::MAX_PAYLOAD)) {
            self.put(Kind::Chunk, &frame::chunk_key(key, index), chunk);
        }
        frame::chunk_count(length)
    }

    fn put(&mut self, kind: Kind, key: &[u8], payload: &[u8]) {
        let (frame, digest) = frame::encode(kind, key, payload);
        self.head.add(digest);
        self.batch.insert(key, frame);
    }
}

/// Returns the value of a record from its frame and, through `read`, its chunks.
///
/// # Errors
///
/// Fails with a damage of the record.
pub(super) fn value_of(
    table: Table,
    key: &[u8],
    frame: Frame<'_>,
    read: &Read<'_>,
    damaged: &Damaged<'_>,
    mut seen: impl FnMut(u64),
) -> Result<Vec<u8>, StoreError> {
    let damaged = |what: &str| damaged(table, key, what);
    seen(frame.digest);
    match frame.kind {
        Kind::Whole => return Ok(frame.payload.to_vec()),
        Kind::Chunked => {}
        Kind::Chunk | Kind::Head => return Err(damaged("the value's frame has the wrong kind")),
    }
    let length = frame::chunked_length(frame.payload)
        .filter(|length| *length as usize <= MAX_VALUE)
        .ok_or_else(|| damaged("the length is damaged"))?;
    let record_key = frame::record_key(table, key);
    let mut value = Vec::with_capacity(length as usize);
    for index in 0..frame::chunk_count(length) {
        let chunk_key = frame::chunk_key(&record_key, index);
        let bytes = read(&chunk_key)?.ok_or_else(|| damaged("a chunk is missing"))?;
        let chunk = frame::decode(&chunk_key, &bytes).map_err(&damaged)?;
        if chunk.kind != Kind::Chunk {
            return Err(damaged("a chunk's frame has the wrong kind"));
        }
        seen(chunk.digest);
        value.extend_from_slice(chunk.payload);
    }
    if value.len() != length as usize {
        return Err(damaged("the chunks do not make up the value's length"));
    }
    Ok(value)
}

/// Returns the writes that still count once all are applied in order.
fn last_of_each_key(writes: &[Write]) -> impl Iterator<Item = &Write> {
    let last: HashMap<(Table, &[u8]), usize> = writes
        .iter()
        .enumerate()
        .map(|(index, write)| ((write.table, write.key.as_slice()), index))
        .collect();
    writes.iter().enumerate().filter_map(move |(index, write)| {
        (last.get(&(write.table, write.key.as_slice())) == Some(&index)).then_some(write)
    })
}

/// Refuses what no store takes.
pub(super) fn check(write: &Write) -> Result<(), StoreError> {
    let invalid = |reason| {
        Err(StoreError::InvalidWrite {
            table: write.table,
            reason,
        })
    };
    if write.key.len() > MAX_KEY {
        return invalid(format!(
            "a key of {} bytes, at most {MAX_KEY} fit",
            write.key.len()
        ));
    }
    let length = write.value.as_ref().map_or(0, Vec::len);
    if length > MAX_VALUE {
        return invalid(format!(
            "a value of {length} bytes, at most {MAX_VALUE} fit"
        ));
    }
    Ok(())
}
