//! Snapshots, backups and what is made from them.

use super::super::{
    Decoder, Encoder, SnapshotError, list_snapshots, prune_snapshots, restore, verify_snapshot,
    write_snapshot,
};
use super::*;

fn source(dir: &Path) -> SledStore {
    let mut store = SledStore::create(dir, SMALL).unwrap();
    let jobs = (0..2500_u32).map(|number| put(Table::Jobs, number.to_be_bytes(), noise(1, 90)));
    let writes: Vec<_> = jobs
        .chain([
            meta(FORMAT, 7),
            put(Table::Configs, "big", noise(2, 100_000)),
        ])
        .collect();
    store.commit(&writes).unwrap();
    store
}

fn encode(store: &SledStore, piece_bytes: usize) -> Vec<Vec<u8>> {
    Encoder::new(store.listing().unwrap(), 42, piece_bytes)
        .map(Result::unwrap)
        .collect()
}

fn decode(pieces: &[impl AsRef<[u8]>]) -> Result<Content, SnapshotError> {
    let mut found = Content::new();
    let mut decoder = Decoder::new();
    for piece in pieces {
        decoder.push(piece.as_ref(), &mut |record| {
            found.insert((record.table, record.key), record.value);
        })?;
    }
    let info = decoder.finish()?;
    assert_eq!((info.created_ms, info.records), (42, found.len() as u64));
    Ok(found)
}

#[test]
fn backup_of_any_piece_size_decodes_to_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = source(dir.path());
    let expected = content(&store).unwrap().0;
    let whole = encode(&store, 1 << 30).concat();
    for piece_bytes in [1, 1000, 65_536] {
        let pieces = encode(&store, piece_bytes);
        assert!(pieces.len() > 3);
        assert_eq!(pieces.concat(), whole);
        assert_eq!(decode(&pieces).unwrap(), expected);
    }
    let single_bytes: Vec<_> = whole.chunks(1).collect();
    assert_eq!(decode(&single_bytes[..]).unwrap(), expected);
}

#[test]
fn listing_is_not_touched_by_later_commits() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = source(dir.path());
    let expected = content(&store).unwrap().0;
    let listing = store.listing().unwrap();
    for round in 0..20 {
        let writes: Vec<_> = (0..2500_u32)
            .map(|number| put(Table::Jobs, number.to_be_bytes(), noise(round, 80)))
            .chain([put(Table::Configs, "big", noise(round, 5000))])
            .collect();
        store.commit(&writes).unwrap();
    }
    let found: Content = listing
        .map(|record| {
            record
                .map(|record| ((record.table, record.key), record.value))
                .unwrap()
        })
        .collect();
    assert!(found == expected);
}

#[test]
fn every_flipped_or_missing_byte_of_a_snapshot_is_noticed() {
    let records = [("a", "1"), ("b", "22")].map(|(key, value)| {
        let write = put(Table::Jobs, key, value);
        Ok(super::super::Record {
            table: write.table,
            key: write.key,
            value: write.value.unwrap(),
        })
    });
    let good = Encoder::new(records.into_iter(), 42, 64)
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    let good = good.concat();
    assert_eq!(decode(&[&good]).unwrap().len(), 2);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        decode(&[&bad]).unwrap_err();
        let cut = decode(&[&good[..at]]).unwrap_err();
        assert_eq!(cut, SnapshotError::CutShort { at: at as u64 });
    }
    let mut long = good.clone();
    long.push(0);
    assert_eq!(
        decode(&[&long]).unwrap_err(),
        SnapshotError::TooLong {
            at: good.len() as u64
        }
    );
    let newer = [b"AURORASN".as_slice(), &[2, 0, 0, 0], &[0; 8]].concat();
    assert_eq!(
        decode(&[&newer]).unwrap_err(),
        SnapshotError::NewerVersion { found: 2 }
    );
    assert_eq!(
        decode(&["PK\x03\x04"]).unwrap_err(),
        SnapshotError::NotASnapshot
    );
}

#[test]
fn only_the_newest_snapshots_are_kept_and_damage_names_the_newest_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = source(dir.path());
    for created_ms in [5, 900, 70] {
        write_snapshot(dir.path(), store.listing().unwrap(), created_ms).unwrap();
    }
    let created = |dir: &Path| -> Vec<i64> {
        list_snapshots(dir)
            .unwrap()
            .iter()
            .map(|snapshot| snapshot.created_ms)
            .collect()
    };
    assert_eq!(created(dir.path()), [900, 70, 5]);
    assert_eq!(prune_snapshots(dir.path(), 2).unwrap(), 1);
    assert_eq!(prune_snapshots(dir.path(), 2).unwrap(), 0);
    assert_eq!(created(dir.path()), [900, 70]);

    let newest = list_snapshots(dir.path()).unwrap().remove(0).path;
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 1]).unwrap();
    store.commit(&[put(Table::Meta, META_KEY, [0xff])]).unwrap();
    drop(store);
    let message = SledStore::open(dir.path(), SMALL).unwrap_err().to_string();
    let expected = format!(
        "run `aurora-rs admin restore {0}/snapshots/snapshot-00000000000000000070.aurora \
         --data-dir {0}.restored`",
        dir.path().canonicalize().unwrap().display()
    );
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn restored_store_equals_the_source_but_for_its_epoch() {
    let root = tempfile::tempdir().unwrap();
    let store = source(&root.path().join("old"));
    let snapshot = write_snapshot(store.data_dir(), store.listing().unwrap(), 42)
        .unwrap()
        .path;
    assert_eq!(verify_snapshot(&snapshot).unwrap().records, 2502);
    let fresh = root.path().join("new");
    assert!(matches!(
        restore(&snapshot, &fresh, 99, 7).unwrap_err(),
        StoreError::EpochReused { epoch: 7 }
    ));
    let report = restore(&snapshot, &fresh, 99, 8).unwrap();
    assert_eq!(
        (report.old_epoch, report.cluster_name.as_str()),
        (7, "test")
    );
    assert_eq!(
        report.records.iter().map(|(_, count)| count).sum::<u64>(),
        2502
    );

    let mut expected = content(&store).unwrap().0;
    let restored = SledStore::open(&fresh, SMALL).unwrap();
    let mut found = content(&restored).unwrap().0;
    let meta_key = (Table::Meta, META_KEY.to_vec());
    let old = Meta::decode(expected.remove(&meta_key).unwrap().as_slice()).unwrap();
    let new = Meta::decode(found.remove(&meta_key).unwrap().as_slice()).unwrap();
    assert!(found == expected);
    assert_eq!(
        new,
        Meta {
            epoch: 8,
            created_ms: 99,
            ..old
        }
    );
    drop(restored);

    assert!(matches!(
        restore(&snapshot, &fresh, 99, 9).unwrap_err(),
        StoreError::NotEmpty { .. }
    ));
}

#[test]
fn bad_snapshot_makes_no_store() {
    let root = tempfile::tempdir().unwrap();
    let mut store = source(&root.path().join("old"));
    let snapshot = write_snapshot(store.data_dir(), store.listing().unwrap(), 1)
        .unwrap()
        .path;
    let mut bytes = fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&snapshot, bytes).unwrap();
    let fresh = root.path().join("new");
    let error = restore(&snapshot, &fresh, 2, 9).unwrap_err();
    assert!(matches!(error, StoreError::Snapshot { .. }), "{error}");
    assert!(!fresh.exists());

    store.commit(&[meta(FORMAT + 1, 7)]).unwrap();
    let newer = write_snapshot(store.data_dir(), store.listing().unwrap(), 2)
        .unwrap()
        .path;
    let error = restore(&newer, &fresh, 2, 9).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { .. }), "{error}");
    store.commit(&[delete(Table::Meta, META_KEY)]).unwrap();
    let without = write_snapshot(store.data_dir(), store.listing().unwrap(), 3)
        .unwrap()
        .path;
    let error = restore(&without, &fresh, 2, 9).unwrap_err();
    assert!(matches!(error, StoreError::Snapshot { .. }), "{error}");
    assert!(!fresh.exists());
}
