//! What opening a store does with all that may be wrong with a directory.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use super::super::Ballast;
use super::*;

fn filled(dir: &Path) -> Content {
    let mut store = SledStore::create(dir, SMALL).unwrap();
    store
        .commit(&[meta(FORMAT, 1), put(Table::Jobs, "a", "1")])
        .unwrap();
    store
        .commit(&[put(Table::Jobs, "b", noise(1, 20_000))])
        .unwrap();
    content(&store).unwrap().0
}

fn open(dir: &Path) -> Result<SledStore, StoreError> {
    SledStore::open(dir, SMALL)
}

#[test]
fn second_opening_is_refused_and_names_the_first() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let first = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(
        matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id())
    );
    assert!(
        error
            .to_string()
            .contains("in use by another scheduler (pid "),
        "{error}"
    );
    assert!(matches!(
        SledStore::open_or_create(dir.path(), SMALL).unwrap_err(),
        StoreError::Locked { .. }
    ));
    drop(first);
    open(dir.path()).unwrap();
}

#[test]
fn only_a_fresh_directory_becomes_a_store() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(
        open(&file).unwrap_err(),
        StoreError::NotADirectory { .. }
    ));
    assert!(matches!(
        open(&file.join("x")).unwrap_err(),
        StoreError::NotADirectory { .. }
    ));
    let create = |path: &Path| SledStore::create(path, SMALL);
    assert!(matches!(
        create(&file).unwrap_err(),
        StoreError::NotADirectory { .. }
    ));
    assert!(matches!(
        create(root.path()).unwrap_err(),
        StoreError::NotEmpty { .. }
    ));
    let data = root.path().join("deep/data");
    assert!(matches!(
        open(&data).unwrap_err(),
        StoreError::Missing { .. }
    ));
    assert!(create(&data).unwrap().report().is_new);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o711, "owners of sandboxes must get to them");
    assert_eq!(mode(&data.join("state")), 0o700);
    assert_eq!(mode(&data.join("snapshots")), 0o700);
    assert!(matches!(
        create(&data).unwrap_err(),
        StoreError::NotEmpty { .. }
    ));
    assert!(
        !SledStore::open_or_create(&data, SMALL)
            .unwrap()
            .report()
            .is_new
    );
}

#[test]
fn directory_of_somebody_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may open everything");
        return;
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(dir.path().join("lock"), fs::Permissions::from_mode(0o400)).unwrap();
    let error = open(dir.path()).unwrap_err();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(
        matches!(error, StoreError::PermissionDenied { .. }),
        "{error}"
    );
}

#[test]
fn newer_format_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    open(dir.path())
        .unwrap()
        .commit(&[meta(FORMAT + 1, 1)])
        .unwrap();
    let error = open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found, .. } if found == FORMAT + 1));
    assert!(
        error
            .to_string()
            .contains("start a release that knows format 2"),
        "{error}"
    );
    // A refusal changes nothing: the newer release finds its store again.
    assert!(matches!(
        open(dir.path()).unwrap_err(),
        StoreError::NewerFormat { .. }
    ));
    assert_eq!(expected.len(), 3);
}

#[test]
fn undecodable_meta_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    open(dir.path())
        .unwrap()
        .commit(&[put(Table::Meta, META_KEY, [0xff; 9])])
        .unwrap();
    let error = open(dir.path()).unwrap_err();
    let StoreError::Damaged(damage) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (damage.table, damage.key.as_deref()),
        (Some(Table::Meta), Some(META_KEY))
    );
}

#[test]
fn leftovers_in_the_making_are_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    // Sled takes this for its newest snapshot and refuses to open.
    let leftover = dir.path().join("state/snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&leftover, "half a snapshot").unwrap();
    let store = open(dir.path()).unwrap();
    assert!(!leftover.exists());
    assert_eq!(content(&store).unwrap().0, expected);

    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("state.generating/blobs")).unwrap();
    fs::write(dir.path().join("state.generating/conf"), "").unwrap();
    assert!(
        SledStore::open_or_create(dir.path(), SMALL)
            .unwrap()
            .report()
            .is_new
    );
    assert!(!dir.path().join("state.generating").exists());
}

#[test]
fn store_behind_its_mark_is_damaged_and_a_damaged_mark_is_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let expected = filled(dir.path());
    let old = tempfile::tempdir().unwrap();
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(dir.path().join("state")).arg(old.path());
    assert!(copy.status().unwrap().success());
    open(dir.path())
        .unwrap()
        .commit(&[put(Table::Jobs, "c", "3")])
        .unwrap();
    fs::rename(dir.path().join("state"), old.path().join("newer")).unwrap();
    fs::rename(old.path().join("state"), dir.path().join("state")).unwrap();
    let error = open(dir.path()).unwrap_err();
    let StoreError::Damaged(damage) = &error else {
        panic!("{error}")
    };
    assert_eq!(damage.what, "it holds 2 commits, but 3 were acknowledged");

    let mark = fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("mark"))
        .unwrap();
    mark.write_all_at(&[0; 4200], 0).unwrap();
    assert_eq!(content(&open(dir.path()).unwrap()).unwrap().0, expected);
}

/// A file system of `megabytes`, if this user may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(dir.path());
        if rustix::process::geteuid().is_root() && mount.status().is_ok_and(|done| done.success()) {
            return Some(Self(dir));
        }
        println!("skipped: needs the right to mount a small tmpfs");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status()
            .unwrap();
    }
}

#[test]
fn full_disk_stops_the_store_and_ballast_lets_it_open_again() {
    let Some(disk) = SmallDisk::mount(24) else {
        return;
    };
    let options = OpenOptions {
        ballast_bytes: 6 << 20,
        ..SMALL
    };
    let dir = disk.0.path().join("data");
    let mut store = SledStore::create(&dir, options).unwrap();
    assert_eq!(store.report().ballast, Ballast::Kept);
    assert_eq!(fs::metadata(dir.join("ballast")).unwrap().len(), 6 << 20);

    let mut expected = Content::new();
    let error = loop {
        let number = expected.len();
        let write = put(Table::Tasks, number.to_be_bytes(), noise(number, 30_000));
        match store.commit(std::slice::from_ref(&write)) {
            Ok(()) => expected.insert((Table::Tasks, write.key), write.value.unwrap()),
            Err(error) => break error,
        };
    };
    assert!(error.is_disk_full(), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");
    let error = store.commit(&[delete(Table::Tasks, "x")]).unwrap_err();
    assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
    drop(store);
    let filler = disk.0.path().join("filler");
    let mut whatever_is_left = fs::File::create(&filler).unwrap();
    std::io::copy(&mut std::io::repeat(7), &mut whatever_is_left).unwrap_err();

    let store = SledStore::open(&dir, options).unwrap();
    assert_eq!(store.report().ballast, Ballast::Freed);
    assert_holds(&store, &expected);
    assert_eq!(store.keep_ballast(), Ballast::Absent);
    drop(store);
    fs::remove_file(filler).unwrap();
    drop(whatever_is_left);
    Command::new("mount")
        .args(["-o", "remount,size=64m"])
        .arg(disk.0.path())
        .status()
        .unwrap();
    let mut store = SledStore::open(&dir, options).unwrap();
    assert_eq!(store.report().ballast, Ballast::Kept);
    assert_holds(&store, &expected);
    store.commit(&[put(Table::Jobs, "after", "all")]).unwrap();
}

/// Everything acknowledged is there, and at most the one write that was not.
fn assert_holds(store: &SledStore, expected: &Content) {
    let (found, _) = content(store).unwrap();
    assert!(
        found.len() <= expected.len() + 1,
        "{} of {}",
        found.len(),
        expected.len()
    );
    assert!(
        expected
            .iter()
            .all(|(key, value)| found.get(key) == Some(value))
    );
}
