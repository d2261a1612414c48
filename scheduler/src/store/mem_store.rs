//! A store in memory, for tests and for simulations that need no yesterday.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aurora_core::store::{Table, Write};

use super::{Listing, LoadSummary, Record, Store, StoreError, Visit, stage};

/// Keeps records in memory. Clones share them, as two openings of one disk would.
#[derive(Clone, Debug, Default)]
pub struct MemStore {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    records: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    commits: u64,
    commits_left: Option<u64>,
    stopped: bool,
}

impl MemStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every commit after the next `commits` fail, as a dying disk would.
    pub fn fail_after(&self, commits: u64) {
        self.with(|disk| disk.commits_left = Some(commits));
    }

    /// Returns the value of a record.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.with(|disk| disk.records.get(&table)?.get(key).cloned())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> T {
        act(&mut self.disk.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Disk {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if self.stopped || self.commits_left == Some(0) {
            self.stopped = true;
            return Err(StoreError::Stopped {
                cause: "asked to fail".to_owned(),
            });
        }
        for write in writes {
            stage::check(write).inspect_err(|_| self.stopped = true)?;
        }
        for write in writes {
            let records = self.records.entry(write.table).or_default();
            match &write.value {
                Some(value) => records.insert(write.key.clone(), value.clone()),
                None => records.remove(&write.key),
            };
        }
        self.commits += 1;
        self.commits_left = self.commits_left.map(|left| left - 1);
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        let tables = Table::ALL
            .into_iter()
            .filter_map(|table| self.records.get_key_value(&table));
        tables
            .flat_map(|(table, records)| {
                records.iter().map(|(key, value)| Record {
                    table: *table,
                    key: key.clone(),
                    value: value.clone(),
                })
            })
            .collect()
    }
}

impl Store for MemStore {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.with(|disk| disk.commit(writes))
    }

    fn load(&self, visit: &mut Visit<'_>) -> Result<LoadSummary, StoreError> {
        let (records, commits) = self.with(|disk| (disk.records(), disk.commits));
        let mut summary = LoadSummary {
            commits,
            ..LoadSummary::default()
        };
        for record in records {
            summary.records += 1;
            summary.bytes += (record.key.len() + record.value.len()) as u64;
            visit(record.table, &record.key, &record.value).map_err(|reason| {
                StoreError::InvalidWrite {
                    table: record.table,
                    reason,
                }
            })?;
        }
        Ok(summary)
    }

    fn listing(&self) -> Result<Listing, StoreError> {
        Ok(Listing::from_records(self.with(|disk| disk.records())))
    }
}
