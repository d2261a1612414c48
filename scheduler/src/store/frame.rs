//! How a record lies in the database: the physical key and the frame round each value.
//!
//! A frame repeats the hash of its key, so that a value that turns up under a key not its own is
//! told from a good one, and a checksum of everything.

use aurora_core::store::Table;
use crc32c::{crc32c, crc32c_append};

/// The bytes before a frame's payload.
pub(super) const HEADER: usize = 16;

/// The most payload in one frame. A page of sled holds up to 20 frames and must stay below
/// 128 KiB, else sled moves it to a file of its own, which it never syncs.
pub(super) const MAX_PAYLOAD: usize = CHUNK as usize;

const CHUNK: u32 = 4096 - 16;

/// The key of the frame that describes all others; no table has the number 0.
pub(super) const HEAD_KEY: &[u8] = b"\0head";

const MAGIC: [u8; 2] = *b"AF";
const VERSION: u8 = 1;

/// Set in the first byte of the key of a chunk.
const CHUNK_BIT: u8 = 0x80;

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole value.
    Whole = 0,
    /// The length of a value that lies in chunks.
    Chunked = 1,
    /// One chunk of a value.
    Chunk = 2,
    /// The store's [`super::stage::Head`].
    Head = 3,
}

/// A frame that was found good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) payload: &'a [u8],
    /// The frame's part of the store's digest.
    pub(super) digest: u64,
}

/// Returns the physical key of a record.
pub(super) fn record_key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut physical = Vec::with_capacity(1 + key.len());
    physical.push(table as u8);
    physical.extend_from_slice(key);
    physical
}

/// Returns the physical key of one chunk of the record with that physical key.
pub(super) fn chunk_key(record_key: &[u8], index: u32) -> Vec<u8> {
    let mut physical = Vec::with_capacity(record_key.len() + 4);
    physical.extend_from_slice(record_key);
    if let Some(first) = physical.first_mut() {
        *first |= CHUNK_BIT;
    }
    physical.extend_from_slice(&index.to_be_bytes());
    physical
}

/// Returns the number of chunks of a value of that length.
pub(super) fn chunk_count(length: u32) -> u32 {
    length.div_ceil(CHUNK)
}

/// Returns the frame for `payload` under `key`, and its part of the store's digest.
pub(super) fn encode(kind: Kind, key: &[u8], payload: &[u8]) -> (Vec<u8>, u64) {
    debug_assert!(
        payload.len() <= MAX_PAYLOAD,
        "the caller cuts values into chunks"
    );
    let key_hash = crc32c(key);
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    frame.extend_from_slice(&MAGIC);
    frame.push(VERSION);
    frame.push(kind as u8);
    frame.extend_from_slice(&key_hash.to_le_bytes());
    frame.extend_from_slice(
        &u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    let checksum = crc32c_append(crc32c(&frame), payload);
    frame.extend_from_slice(&checksum.to_le_bytes());
    frame.extend_from_slice(payload);
    (frame, digest(key_hash, checksum))
}

/// Checks the frame found under `key`.
///
/// # Errors
///
/// Says what is wrong with it.
pub(super) fn decode<'a>(key: &[u8], bytes: &'a [u8]) -> Result<Frame<'a>, &'static str> {
    let Some((header, payload)) = bytes.split_first_chunk::<HEADER>() else {
        return Err("the value is too short");
    };
    let [
        m0,
        m1,
        version,
        kind,
        h0,
        h1,
        h2,
        h3,
        l0,
        l1,
        l2,
        l3,
        c0,
        c1,
        c2,
        c3,
    ] = *header;
    if [m0, m1] != MAGIC {
        return Err("the value has no frame");
    }
    let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
    let covered = header.get(..HEADER - 4).unwrap_or_default();
    if checksum != crc32c_append(crc32c(covered), payload) {
        return Err("the value's checksum does not match");
    }
    if version != VERSION {
        return Err("the value's frame has a version that this release does not know");
    }
    let key_hash = u32::from_le_bytes([h0, h1, h2, h3]);
    if key_hash != crc32c(key) {
        return Err("the value belongs to another key");
    }
    if u32::from_le_bytes([l0, l1, l2, l3]) as usize != payload.len() {
        return Err("the value's length does not match");
    }
    let kind = match kind {
        0 => Kind::Whole,
        1 => Kind::Chunked,
        2 => Kind::Chunk,
        3 => Kind::Head,
        _ => return Err("the value's frame has an unknown kind"),
    };
    Ok(Frame {
        kind,
        payload,
        digest: digest(key_hash, checksum),
    })
}

/// Tells, without checking it, whether a frame says that its value lies in chunks.
pub(super) fn may_be_chunked(bytes: &[u8]) -> bool {
    bytes.get(3) == Some(&(Kind::Chunked as u8))
}

/// Returns the length of a chunked value, from its frame's payload.
pub(super) fn chunked_length(payload: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(payload.try_into().ok()?))
}

/// Spreads both hashes over 64 bits (the finaliser of splitmix64), so that sums of many of them
/// differ if one differs.
fn digest(key_hash: u32, checksum: u32) -> u64 {
    let mut mixed = (u64::from(key_hash) << 32) | u64::from(checksum);
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_frame_is_noticed() {
        let key = record_key(Table::Tasks, b"key");
        let (good, _) = encode(Kind::Whole, &key, b"some value");
        assert_eq!(decode(&key, &good).unwrap().payload, b"some value");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&key, &bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(decode(&key, &good[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn value_under_another_key_is_refused() {
        let (frame, _) = encode(Kind::Whole, &record_key(Table::Jobs, b"a"), b"v");
        let error = decode(&record_key(Table::Jobs, b"b"), &frame).unwrap_err();
        assert_eq!(error, "the value belongs to another key");
    }

    #[test]
    fn chunk_keys_of_different_records_never_meet() {
        // A key that ends like a chunk number of a shorter one.
        let short = record_key(Table::Jobs, b"a");
        let long = record_key(Table::Jobs, b"a\0\0\0\x01");
        assert_ne!(chunk_key(&short, 1), long);
        assert_ne!(chunk_key(&long, 1), chunk_key(&short, 1));
    }
}
