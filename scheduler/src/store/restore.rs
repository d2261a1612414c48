//! Makes a store from a snapshot.

use std::path::Path;

use aurora_core::store::{FORMAT, Table, Write};
use aurora_proto::storage::v1::Meta;
use prost::Message;

use super::data_dir::DataDir;
use super::{
    META_KEY, OpenOptions, Record, SledStore, SnapshotError, SnapshotInfo, Store, StoreError,
    read_snapshot,
};

/// The number of records that one commit of a restore takes.
const BATCH: usize = 1000;

/// What a restore brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: SnapshotInfo,
    /// The cluster that it came from.
    pub cluster_name: String,
    /// The epoch that it was made in.
    pub old_epoch: u32,
    /// The number of records of each table, in the order of [`Table::ALL`].
    pub records: Vec<(Table, u64)>,
}

/// Makes a store in a fresh directory from a snapshot that passes its check.
///
/// The new store's `Meta` gets `now_ms` as the time when it was made and `new_epoch` as its epoch:
/// what ran after the snapshot was taken is forgotten, so its task ids must not come again. The
/// store gets its name last, so that an interrupted restore leaves none and can be repeated.
///
/// # Errors
///
/// Fails if the directory is not fresh, the snapshot is not a good one or newer than this release,
/// or `new_epoch` is the snapshot's own.
pub fn restore(
    snapshot: &Path,
    fresh_data_dir: &Path,
    now_ms: i64,
    new_epoch: u32,
) -> Result<RestoreReport, StoreError> {
    let bad_meta = |what| StoreError::Snapshot {
        path: snapshot.to_owned(),
        source: SnapshotError::Meta(what),
    };
    let mut meta_bytes = None;
    let mut counts = Table::ALL.map(|table| (table, 0));
    let info = read_snapshot(snapshot, &mut |record| {
        if let Some((_, count)) = counts.iter_mut().find(|(table, _)| *table == record.table) {
            *count += 1;
        }
        if is_meta(record.table, &record.key) {
            meta_bytes = Some(record.value);
        }
    })?;
    let meta_bytes = meta_bytes.ok_or_else(|| bad_meta("is missing"))?;
    let old = Meta::decode(meta_bytes.as_slice()).map_err(|_| bad_meta("cannot be decoded"))?;
    if old.format > FORMAT {
        let path = snapshot.to_owned();
        return Err(StoreError::NewerFormat {
            path,
            found: old.format,
            supported: FORMAT,
        });
    }
    if old.epoch == new_epoch {
        return Err(StoreError::EpochReused { epoch: new_epoch });
    }
    let new = Meta {
        created_ms: now_ms,
        epoch: new_epoch,
        ..old.clone()
    };
    fill(snapshot, fresh_data_dir, &new.encode_to_vec())?;
    Ok(RestoreReport {
        snapshot: info,
        cluster_name: old.cluster_name,
        old_epoch: old.epoch,
        records: counts.to_vec(),
    })
}

fn is_meta(table: Table, key: &[u8]) -> bool {
    table == Table::Meta && key == META_KEY
}

/// Makes the store, with another `Meta` record than the snapshot's, and reads it back.
fn fill(snapshot: &Path, data_dir: &Path, meta: &[u8]) -> Result<(), StoreError> {
    let dir = DataDir::create(data_dir)?;
    let store = SledStore::create_with(dir, OpenOptions::default(), |filler| {
        let mut writes = Vec::with_capacity(BATCH);
        let mut result = Ok(());
        read_snapshot(snapshot, &mut |Record { table, key, value }| {
            let value = if is_meta(table, &key) {
                meta.to_vec()
            } else {
                value
            };
            writes.push(Write {
                table,
                key,
                value: Some(value),
            });
            if writes.len() == BATCH && result.is_ok() {
                result = filler.commit(&writes);
                writes.clear();
            }
        })?;
        result?;
        filler.commit(&writes)
    })?;
    store.load(&mut |_, _, _| Ok(()))?;
    Ok(())
}
