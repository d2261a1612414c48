//! Bit rot: any byte of any file may change or be gone. Then the store says so, or holds exactly
//! what was put in; it never panics and never gives a wrong value.

use std::path::PathBuf;

use super::*;

/// The content of every file of a small store, by its path.
type Files = Vec<(PathBuf, Vec<u8>)>;

fn small_store() -> (Files, Content) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), SMALL).unwrap();
    store.commit(&[meta(FORMAT, 1)]).unwrap();
    for round in 0..30_usize {
        let writes: Vec<_> = (0..8_usize)
            .map(|key| {
                put(
                    Table::ALL[key % 7],
                    [b'k'; 9].split_at(key).0,
                    noise(round, 40 + key),
                )
            })
            .collect();
        store.commit(&writes).unwrap();
        if round % 10 == 3 {
            store
                .commit(&[put(Table::Configs, "big", noise(round, 9000))])
                .unwrap();
            // So that the files hold a snapshot of sled's page table, too.
            drop(store);
            store = SledStore::open(dir.path(), SMALL).unwrap();
        }
    }
    let expected = content(&store).unwrap().0;
    drop(store);
    let mut files = Files::new();
    for inner in ["", "state"] {
        for entry in fs::read_dir(dir.path().join(inner)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(dir.path()).unwrap().to_owned();
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    (files, expected)
}

fn lay_out(files: &Files) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("state/blobs")).unwrap();
    fs::create_dir_all(dir.path().join("snapshots")).unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    dir
}

/// Opens and loads; tells whether the damage was noticed.
fn is_noticed(files: &Files, expected: &Content, what: &str) -> bool {
    let dir = lay_out(files);
    let loaded = SledStore::open(dir.path(), SMALL).and_then(|store| content(&store));
    match loaded {
        Ok((found, _)) => {
            assert!(found == *expected, "{what}: a wrong content was served");
            false
        }
        Err(StoreError::Damaged(damage)) => {
            assert!(
                damage.to_string().contains("aurora-rs admin restore"),
                "{damage}"
            );
            true
        }
        Err(StoreError::Engine { .. } | StoreError::Io { .. }) => true,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// How many bytes of each file to try; all with `AURORA_FLIPS=all`.
fn sample(length: usize) -> impl Iterator<Item = usize> {
    let wanted = match std::env::var("AURORA_FLIPS").as_deref() {
        Ok("all") => length,
        Ok(number) => number.parse().unwrap(),
        Err(_) => 80,
    };
    // An odd step, so that it is not always the same field of a record.
    let step = (length / wanted.max(1)).max(1) | 1;
    (0..length).step_by(step)
}

#[test]
fn undamaged_copy_is_whole() {
    let (files, expected) = small_store();
    assert!(!is_noticed(&files, &expected, "nothing"));
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let (files, expected) = small_store();
    let mut noticed = 0;
    let mut tried = 0;
    for file in 0..files.len() {
        let used = files[file]
            .1
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        for at in sample(used) {
            let mut files = files.clone();
            files[file].1[at] ^= 1 << (at % 8);
            let what = format!("{} byte {at}", files[file].0.display());
            noticed += u32::from(is_noticed(&files, &expected, &what));
            tried += 1;
        }
    }
    println!("{noticed} of {tried} flipped bytes noticed, the others harmless");
    assert!(noticed > 0);
}

#[test]
fn every_truncated_file_is_noticed_or_harmless() {
    let (files, expected) = small_store();
    let mut noticed = 0;
    let mut tried = 0;
    for file in 0..files.len() {
        let length = files[file].1.len();
        for length in sample(length).step_by(4) {
            let mut files = files.clone();
            files[file].1.truncate(length);
            let what = format!("{} cut to {length}", files[file].0.display());
            noticed += u32::from(is_noticed(&files, &expected, &what));
            tried += 1;
        }
    }
    println!("{noticed} of {tried} truncations noticed, the others harmless");
    assert!(noticed > 0);
}

#[test]
fn record_that_vanished_or_went_back_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = SledStore::create(dir.path(), SMALL).unwrap();
    store
        .commit(&[put(Table::Jobs, "a", "1"), put(Table::Jobs, "b", "1")])
        .unwrap();
    drop(store);
    let tamper = |change: &dyn Fn(&sled::Db)| {
        let config = sled::Config::new().path(dir.path().join("state"));
        // The store's threads may take a moment to let go of the file.
        let db = loop {
            match config.open() {
                Ok(db) => break db,
                Err(sled::Error::Io(_)) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        change(&db);
        db.flush().unwrap();
    };
    let old = std::cell::RefCell::new(None);
    tamper(&|db| *old.borrow_mut() = db.get(b"\x02a").unwrap());
    let mut store = SledStore::open(dir.path(), SMALL).unwrap();
    store.commit(&[put(Table::Jobs, "a", "2")]).unwrap();
    drop(store);
    let (newer, older) = (std::cell::RefCell::new(None), old.take().unwrap());
    let load = || SledStore::open(dir.path(), SMALL).and_then(|store| content(&store));
    load().unwrap();

    // A good frame of the right key, but of yesterday.
    tamper(&|db| *newer.borrow_mut() = db.insert(b"\x02a", older.clone()).unwrap());
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains("records are missing or were put back: 2 frames of 2"),
        "{error}"
    );
    tamper(&|db| {
        db.insert(b"\x02a", newer.take().unwrap()).unwrap();
        db.remove(b"\x02b").unwrap();
    });
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains("records are missing or were put back: 1 frames of 2"),
        "{error}"
    );
}
