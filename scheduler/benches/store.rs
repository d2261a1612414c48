//! How fast the store commits, loads and lists: `cargo bench -p aurora-scheduler --bench store`.
//!
//! A plain program instead of a harness, for each figure is one long run on a fresh store. Takes a
//! directory as its argument, to measure another disk than that of the system's temporary files.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark stops at the first surprise, prints, and reads the clock"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aurora_core::store::{Table, Write};
use aurora_scheduler::store::{OpenOptions, SledStore, Store, write_snapshot};

const VALUE_BYTES: u64 = 150;
const LOADED: u64 = 1_000_000;

fn main() {
    let root = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let root = root.map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = tempfile::tempdir_in(root).unwrap();
    for (batch, records) in [
        (1, 10_000),
        (10, 100_000),
        (100, 300_000),
        (1000, 500_000),
        (2000, 500_000),
    ] {
        commits(&dir.path().join(format!("batch-{batch}")), batch, records);
    }
    overwrites(&dir.path().join("overwrites"));
    let big = dir.path().join("big");
    fill(&big, LOADED);
    loads(&big);
    snapshots(&big);
}

/// A record as small as most tasks' are; numbers in order, as task numbers come.
fn record(number: u64, version: u64) -> Write {
    let word = (number ^ version.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = (0..VALUE_BYTES)
        .map(|at| (word >> (at % 57)).to_le_bytes()[0])
        .collect();
    Write {
        table: Table::Tasks,
        key: number.to_be_bytes().to_vec(),
        value: Some(value),
    }
}

fn commits(dir: &Path, batch: u64, records: u64) {
    let mut store = SledStore::create(dir, OpenOptions::default()).unwrap();
    let mut times = Vec::new();
    for first in (0..records).step_by(usize::try_from(batch).unwrap()) {
        let writes: Vec<_> = (first..first + batch)
            .map(|number| record(number, 0))
            .collect();
        times.push(timed(|| store.commit(&writes).unwrap()).0);
    }
    report(&format!("insert, batches of {batch}"), records, times);
}

fn overwrites(dir: &Path) {
    const RECORDS: u64 = 100_000;
    let mut store = SledStore::create(dir, OpenOptions::default()).unwrap();
    let all: Vec<_> = (0..RECORDS).map(|number| record(number, 0)).collect();
    store.commit(&all).unwrap();
    let mut times = Vec::new();
    for version in 1..=300 {
        // A stride that shares no factor with the number of records scatters them.
        let writes: Vec<_> = (0..1000)
            .map(|at| record((version * 1000 + at) * 61_803 % RECORDS, version))
            .collect();
        times.push(timed(|| store.commit(&writes).unwrap()).0);
    }
    report("overwrite at random, batches of 1000", 300_000, times);
    drop(store);
    println!(
        "{:40} {} MiB",
        "  on disk after that (16 MB live)",
        size_of(dir) >> 20
    );
}

fn report(what: &str, records: u64, mut times: Vec<Duration>) {
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (commits, records) = (times.len() as f64, records as f64);
    println!(
        "{what:40} {:9.0} commits/s {:9.0} records/s  p50 {:7.3} ms  p99 {:7.3} ms",
        commits / total.as_secs_f64(),
        records / total.as_secs_f64(),
        at(50),
        at(99),
    );
}

fn fill(dir: &Path, records: u64) {
    let mut store = SledStore::create(dir, OpenOptions::default()).unwrap();
    for first in (0..records).step_by(1000) {
        let writes: Vec<_> = (first..first + 1000)
            .map(|number| record(number, 0))
            .collect();
        store.commit(&writes).unwrap();
    }
}

fn loads(dir: &Path) {
    for round in ["first", "second"] {
        let (open, store) = timed(|| SledStore::open(dir, OpenOptions::default()).unwrap());
        let (load, summary) = timed(|| store.load(&mut |_, _, _| Ok(())).unwrap());
        assert_eq!(summary.records, LOADED);
        println!(
            "{:40} open {open:.2?}, load {load:.2?}, on disk {} MiB",
            format!("restart with {LOADED} records, {round}"),
            size_of(dir) >> 20,
        );
    }
}

fn snapshots(dir: &Path) {
    let store = SledStore::open(dir, OpenOptions::default()).unwrap();
    store.load(&mut |_, _, _| Ok(())).unwrap();
    let (pause, listing) = timed(|| store.listing().unwrap());
    let (rest, file) = timed(|| write_snapshot(dir, listing, 1).unwrap());
    let bytes = std::fs::metadata(&file.path).unwrap().len();
    println!(
        "{:40} listing (the pause) {pause:.2?}, encoding and writing {rest:.2?}, {} MiB",
        format!("snapshot of {LOADED} records"),
        bytes >> 20,
    );
}

fn timed<T>(act: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = act();
    (start.elapsed(), result)
}

/// The bytes of the database's files.
fn size_of(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir.join("state")).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}
