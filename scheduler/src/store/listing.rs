//! All records of a store at one point in time.

use std::path::PathBuf;

use aurora_core::store::Table;

use super::StoreError;
use super::error::Damage;
use super::frame;
use super::stage;

/// One record, as [`Listing`] gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub table: Table,
    /// The record's key.
    pub key: Vec<u8>,
    /// The encoded record.
    pub value: Vec<u8>,
}

/// All records of a store at one point in time, tables in the order of [`Table::ALL`], keys
/// ascending. Checked and decoded as it is iterated; the store goes on meanwhile.
#[derive(Debug)]
pub struct Listing {
    items: std::vec::IntoIter<Item>,
    data_dir: PathBuf,
}

/// A record that may still lie in frames.
#[derive(Debug)]
pub(super) enum Item {
    Plain(Record),
    Framed {
        table: Table,
        physical_key: sled::IVec,
        frame: sled::IVec,
        chunks: Vec<sled::IVec>,
    },
}

impl Listing {
    pub(super) fn from_records(records: Vec<Record>) -> Self {
        Self {
            items: records
                .into_iter()
                .map(Item::Plain)
                .collect::<Vec<_>>()
                .into_iter(),
            data_dir: PathBuf::new(),
        }
    }

    pub(super) fn from_items(items: Vec<Item>, data_dir: PathBuf) -> Self {
        Self {
            items: items.into_iter(),
            data_dir,
        }
    }

    fn decode(&self, item: Item) -> Result<Record, StoreError> {
        let (table, physical_key, bytes, chunks) = match item {
            Item::Plain(record) => return Ok(record),
            Item::Framed {
                table,
                physical_key,
                frame,
                chunks,
            } => (table, physical_key, frame, chunks),
        };
        let key = physical_key.get(1..).unwrap_or_default();
        let damaged = |table, key: &[u8], what: &str| {
            StoreError::Damaged(Box::new(Damage::of_record(
                &self.data_dir,
                table,
                key,
                what,
            )))
        };
        let frame =
            frame::decode(&physical_key, &bytes).map_err(|what| damaged(table, key, what))?;
        let read_chunk = |chunk_key: &[u8]| {
            let index = chunk_key
                .last_chunk::<4>()
                .map_or(0, |index| u32::from_be_bytes(*index));
            Ok(chunks.get(index as usize).cloned())
        };
        let value = stage::value_of(table, key, frame, &read_chunk, &damaged, |_| {})?;
        Ok(Record {
            table,
            key: key.to_vec(),
            value,
        })
    }
}

impl Iterator for Listing {
    type Item = Result<Record, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.items.next()?;
        Some(self.decode(item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}

impl ExactSizeIterator for Listing {}
