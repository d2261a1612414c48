//! The framing of event streams: a decimal length, a line feed, and that many bytes.
//!
//! Records know nothing of HTTP chunks: a record may span many of them and one may hold many
//! records. The decoder is fed bytes as they come and keeps its place.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

/// The largest record taken unless told otherwise.
pub const DEFAULT_MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

// As many digits as the largest 64-bit number has.
const MAX_HEADER_DIGITS: usize = 20;

/// A stream that is not RecordIO, or goes beyond the limits.
#[derive(Debug, Error)]
pub enum RecordIoError {
    /// The header holds something that is no digit.
    #[error("unexpected byte 0x{0:02x} in the length of a record")]
    NotADigit(u8),
    /// The header does not end where the largest number would.
    #[error("the length of a record has more than {MAX_HEADER_DIGITS} digits")]
    HeaderTooLong,
    /// The record is larger than allowed.
    #[error("a record of {0} bytes is over the limit of {1} bytes")]
    RecordTooLarge(u64, usize),
    /// The stream ended inside a record.
    #[error("the stream ended inside a record")]
    Truncated,
    /// The stream could not be read or written.
    #[error("failed to read or write records")]
    Io(#[from] std::io::Error),
}

/// Encodes and decodes records.
#[derive(Debug, Clone)]
pub struct RecordIo {
    max_record_bytes: usize,
    // The length of the record whose header has been read.
    pending: Option<usize>,
}

impl Default for RecordIo {
    fn default() -> Self {
        Self::with_max_record_bytes(DEFAULT_MAX_RECORD_BYTES)
    }
}

impl RecordIo {
    /// Makes a codec that refuses records larger than `max_record_bytes`.
    #[must_use]
    pub const fn with_max_record_bytes(max_record_bytes: usize) -> Self {
        Self {
            max_record_bytes,
            pending: None,
        }
    }

    fn decode_header(&self, src: &mut BytesMut) -> Result<Option<usize>, RecordIoError> {
        // Mesos' own pseudo-parser skips empty lines before a length.
        while src.first() == Some(&b'\n') {
            src.advance(1);
        }
        let digits = src
            .iter()
            .take(MAX_HEADER_DIGITS + 1)
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits > MAX_HEADER_DIGITS {
            return Err(RecordIoError::HeaderTooLong);
        }
        match src.get(digits) {
            None => return Ok(None),
            Some(b'\n') => {}
            Some(&other) => return Err(RecordIoError::NotADigit(other)),
        }
        let header = src.split_to(digits + 1);
        let length = header[..digits].iter().try_fold(0_u64, |length, digit| {
            length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        });
        // Twenty digits may still be more than 64 bits hold.
        let length = length.unwrap_or(u64::MAX);
        match usize::try_from(length) {
            Ok(fits) if fits <= self.max_record_bytes => Ok(Some(fits)),
            _ => Err(RecordIoError::RecordTooLarge(length, self.max_record_bytes)),
        }
    }
}

impl Decoder for RecordIo {
    type Item = Bytes;
    type Error = RecordIoError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, RecordIoError> {
        if self.pending.is_none() {
            self.pending = self.decode_header(src)?;
        }
        let Some(length) = self.pending else {
            return Ok(None);
        };
        if src.len() < length {
            // Nothing is reserved here: a peer must send bytes to make us hold them.
            return Ok(None);
        }
        self.pending = None;
        Ok(Some(src.split_to(length).freeze()))
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Bytes>, RecordIoError> {
        match self.decode(src)? {
            Some(record) => Ok(Some(record)),
            None if src.is_empty() && self.pending.is_none() => Ok(None),
            None => Err(RecordIoError::Truncated),
        }
    }
}

impl Encoder<Bytes> for RecordIo {
    type Error = RecordIoError;

    fn encode(&mut self, record: Bytes, dst: &mut BytesMut) -> Result<(), RecordIoError> {
        if record.len() > self.max_record_bytes {
            let length = u64::try_from(record.len()).unwrap_or(u64::MAX);
            return Err(RecordIoError::RecordTooLarge(length, self.max_record_bytes));
        }
        encode_record(&record, dst);
        Ok(())
    }
}

/// Appends `record` with its header to `dst`.
pub fn encode_record(record: &[u8], dst: &mut BytesMut) {
    let header = record.len().to_string();
    dst.reserve(header.len() + 1 + record.len());
    dst.put_slice(header.as_bytes());
    dst.put_u8(b'\n');
    dst.put_slice(record);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode_all(codec: &mut RecordIo, chunks: &[&[u8]]) -> Result<Vec<Bytes>, RecordIoError> {
        let mut buffer = BytesMut::new();
        let mut records = Vec::new();
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(record) = codec.decode(&mut buffer)? {
                records.push(record);
            }
        }
        while let Some(record) = codec.decode_eof(&mut buffer)? {
            records.push(record);
        }
        Ok(records)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_records(
            records in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..8),
            blank_lines in 0_usize..3,
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut wire = BytesMut::new();
            for record in &records {
                wire.put_bytes(b'\n', blank_lines);
                encode_record(record, &mut wire);
            }
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            ends.push(wire.len());
            ends.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for end in ends {
                chunks.push(&wire[start..end]);
                start = end;
            }
            let decoded = decode_all(&mut RecordIo::default(), &chunks).unwrap();
            prop_assert_eq!(decoded, records.into_iter().map(Bytes::from).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(decode_all(&mut RecordIo::with_max_record_bytes(64), &[&bytes]));
        }
    }

    #[test]
    fn hostile_lengths_are_refused() {
        for header in ["65\n", "18446744073709551615\n", "99999999999999999999\n"] {
            let result = decode_all(
                &mut RecordIo::with_max_record_bytes(64),
                &[header.as_bytes()],
            );
            assert!(
                matches!(result, Err(RecordIoError::RecordTooLarge(_, 64))),
                "{header}: {result:?}"
            );
        }
        let result = decode_all(&mut RecordIo::default(), &[&[b'1'; 21]]);
        assert!(
            matches!(result, Err(RecordIoError::HeaderTooLong)),
            "{result:?}"
        );
        for header in ["-1\n", "+1\n", "0x1\n", "1 \n", "1\r\n"] {
            let result = decode_all(&mut RecordIo::default(), &[header.as_bytes()]);
            assert!(
                matches!(result, Err(RecordIoError::NotADigit(_))),
                "{header:?}: {result:?}"
            );
        }
    }

    #[test]
    fn a_record_cut_short_is_an_error() {
        for wire in ["5\nabc", "5", "12"] {
            let result = decode_all(&mut RecordIo::default(), &[wire.as_bytes()]);
            assert!(
                matches!(result, Err(RecordIoError::Truncated)),
                "{wire}: {result:?}"
            );
        }
    }

    #[test]
    fn the_encoder_refuses_what_the_decoder_would() {
        let mut codec = RecordIo::with_max_record_bytes(3);
        assert!(
            codec
                .encode(Bytes::from_static(b"four"), &mut BytesMut::new())
                .is_err()
        );
    }
}
