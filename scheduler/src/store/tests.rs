//! What every store must do, and what the one on disk must do beyond that.

mod damage;
mod model;
mod opening;
mod snapshots;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use aurora_core::store::{FORMAT, Table, Write};
use aurora_proto::storage::v1::Meta;
use prost::Message;

use super::{LoadSummary, META_KEY, MemStore, OpenOptions, SledStore, Store, StoreError};

/// No ballast: most tests make many stores.
const SMALL: OpenOptions = OpenOptions {
    ballast_bytes: 0,
    cache_bytes: 8 << 20,
};

type Content = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write {
        table,
        key: key.as_ref().to_vec(),
        value: Some(value.as_ref().to_vec()),
    }
}

fn delete(table: Table, key: impl AsRef<[u8]>) -> Write {
    Write {
        table,
        key: key.as_ref().to_vec(),
        value: None,
    }
}

fn meta(format: u32, epoch: u32) -> Write {
    let meta = Meta {
        format,
        cluster_name: "test".to_owned(),
        created_ms: 1,
        epoch,
        ..Meta::default()
    };
    put(Table::Meta, META_KEY, meta.encode_to_vec())
}

fn content(store: &dyn Store) -> Result<(Content, LoadSummary), StoreError> {
    let mut content = Content::new();
    let summary = store.load(&mut |table, key, value| {
        content.insert((table, key.to_vec()), value.to_vec());
        Ok(())
    })?;
    Ok((content, summary))
}

/// The number of files that sled moved out of its log, where it never syncs them.
fn blobs(data_dir: &Path) -> usize {
    fs::read_dir(data_dir.join("state/blobs")).unwrap().count()
}

/// Bytes that no checksum is good or bad at by accident.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32).to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(length).collect()
}

fn loads_in_order_and_keeps_last_write(store: &mut dyn Store) {
    let writes = [
        put(Table::Tasks, "b", "1"),
        put(Table::Tasks, "a", "2"),
        put(Table::Configs, "z", "3"),
        meta(FORMAT, 1),
        put(Table::Tasks, "b", "4"),
        put(Table::Jobs, "gone", "5"),
        delete(Table::Jobs, "gone"),
        put(Table::Jobs, "", ""),
    ];
    store.commit(&writes).unwrap();
    store
        .commit(&[delete(Table::Tasks, "never there")])
        .unwrap();
    let mut seen = Vec::new();
    let summary = store
        .load(&mut |table, key, value| {
            let is_meta = table == Table::Meta;
            seen.push((
                table,
                key.to_vec(),
                if is_meta { Vec::new() } else { value.to_vec() },
            ));
            Ok(())
        })
        .unwrap();
    let expected: Vec<(Table, Vec<u8>, Vec<u8>)> = vec![
        (Table::Meta, b"meta".into(), b"".into()),
        (Table::Configs, b"z".into(), b"3".into()),
        (Table::Jobs, b"".into(), b"".into()),
        (Table::Tasks, b"a".into(), b"2".into()),
        (Table::Tasks, b"b".into(), b"4".into()),
    ];
    assert_eq!(seen, expected);
    assert_eq!((summary.records, summary.commits), (5, 2));
    let listed: Vec<_> = store.listing().unwrap().map(Result::unwrap).collect();
    assert_eq!(listed.len(), 5);
    assert!(
        listed
            .iter()
            .zip(&seen)
            .all(|(record, (table, key, _))| { (record.table, &record.key) == (*table, key) })
    );
}

#[test]
fn both_stores_load_in_order_and_keep_the_last_write() {
    loads_in_order_and_keeps_last_write(&mut MemStore::new());
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(&dir.path().join("data"), SMALL).unwrap();
    loads_in_order_and_keeps_last_write(&mut store);
}

#[test]
fn reason_of_the_visitor_names_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), SMALL).unwrap();
    store
        .commit(&[put(Table::Jobs, "www/prod/hello", "x")])
        .unwrap();
    let error = store
        .load(&mut |_, _, _| Err("bad tag".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no record: bad tag, table `jobs`, key `www/prod/hello`"),
        "{error}"
    );
    assert!(
        error.contains("aurora-rs admin restore <backup> --data-dir"),
        "{error}"
    );
}

#[test]
fn oversized_write_stops_the_store_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SledStore::create(dir.path(), SMALL).unwrap();
    let stores: [Box<dyn Store>; 2] = [Box::new(disk), Box::new(MemStore::new())];
    for mut store in stores {
        let writes = [
            put(Table::Jobs, "a", "1"),
            put(Table::Jobs, "k".repeat(1025), "2"),
        ];
        let error = store.commit(&writes).unwrap_err();
        assert!(matches!(error, StoreError::InvalidWrite { .. }), "{error}");
        let error = store.commit(&[put(Table::Jobs, "a", "1")]).unwrap_err();
        assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
        assert_eq!(content(store.as_ref()).unwrap().0, Content::new());
    }
}

#[test]
fn clones_of_a_store_in_memory_share_its_records() {
    let store = MemStore::new();
    store.clone().commit(&[put(Table::Jobs, "a", "1")]).unwrap();
    assert_eq!(store.get(Table::Jobs, b"a").unwrap(), b"1");
    store.fail_after(1);
    let mut again = store.clone();
    again.commit(&[put(Table::Jobs, "a", "2")]).unwrap();
    assert!(again.commit(&[put(Table::Jobs, "a", "3")]).is_err());
    assert!(store.clone().commit(&[]).is_err());
    assert_eq!(store.get(Table::Jobs, b"a").unwrap(), b"2");
}
