//! Kills the store's process, cuts its power and breaks its disk; no acknowledged commit may be
//! missing afterwards, and none may be there in part.
//!
//! - `AURORA_KILL_ROUNDS`, `AURORA_POWERCUT_ROUNDS`, `AURORA_EXT4_ROUNDS`: how often;
//! - `AURORA_SEED`: repeats a run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

#[path = "power_cut/disk.rs"]
mod disk;
#[path = "power_cut/ext4.rs"]
mod ext4;
#[path = "power_cut/journal.rs"]
mod journal;
#[path = "power_cut/simulator.rs"]
mod simulator;
#[path = "power_cut/workload.rs"]
mod workload;
#[path = "power_cut/writer.rs"]
mod writer;

use std::thread;
use std::time::Duration;

use self::simulator::{Bug, Shim};
use self::workload::{Model, Random, seed};
use self::writer::Writer;

fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Not a test of its own: the others start this binary again with only this one.
#[test]
fn writer_child() {
    writer::run();
}

#[test]
fn kill_9_at_any_time_loses_nothing_acknowledged() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut model = Model::new(seed);
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let mut acked = 0;
    // Twice each: while it writes, and while it opens what that left behind.
    for round in 0..rounds("AURORA_KILL_ROUNDS", 60) / 2 {
        let mut writer = Writer::spawn(Writer::command(&dir, seed, 1_000_000));
        writer.wait_for("opened");
        for _ in 0..random.below(120) {
            writer.wait_for("ack");
        }
        thread::sleep(Duration::from_micros(random.next() % 3000));
        acked = acked.max(writer.kill());

        let mut writer = Writer::spawn(Writer::command(&dir, seed, 1_000_000));
        writer.wait_for("opening");
        thread::sleep(Duration::from_micros(random.next() % 12_000));
        acked = acked.max(writer.kill());

        match model.check(&dir, acked) {
            Ok(found) => acked = found,
            Err(error) => panic!("round {round}: {error}"),
        }
    }
    println!("{acked} commits survived");
    assert!(acked > 0);
}

#[test]
fn power_cut_at_any_time_loses_nothing_acknowledged() {
    let Some(shim) = Shim::build() else { return };
    let seed = seed();
    let tally = simulator::run(
        &shim,
        seed,
        rounds("AURORA_POWERCUT_ROUNDS", 200),
        Bug::None,
    );
    println!("{tally:?}");
    if let Some(failure) = tally.failures.first() {
        panic!("{} of {} cuts: {failure}", tally.failures.len(), tally.cuts);
    }
    assert!(
        tally.with_acks > tally.cuts / 2,
        "cuts before the first commit prove little"
    );
}

/// A test that cannot fail proves nothing.
#[test]
fn power_cut_test_notices_a_store_that_does_not_sync() {
    let Some(shim) = Shim::build() else { return };
    let tally = simulator::run(&shim, seed(), 40, Bug::NoFdatasync);
    println!(
        "{} of {} cuts were noticed",
        tally.failures.len(),
        tally.cuts
    );
    assert!(tally.failures.len() > 5, "{tally:?}");
}

#[test]
fn failed_system_call_is_never_acknowledged_and_loses_nothing() {
    let Some(shim) = Shim::build() else { return };
    let seed = seed();
    let mut random = Random::new(seed);
    const EIO: i32 = 5;
    const ENOSPC: i32 = 28;
    // All of the first 60 calls of fdatasync belong to commits, save the one that makes the store.
    let calls = [
        ("fdatasync", 50),
        ("pwrite", 300),
        ("fsync", 8),
        ("write", 20),
    ];
    for (call, number) in calls {
        for errno in [EIO, ENOSPC, EIO] {
            let number = 2 + random.below(number);
            let failure = simulator::fail(&shim, seed, &format!("{call}:{number}:{errno}"));
            println!("{call} {number} with error {errno}: {failure:?}");
            assert!(
                failure.is_some() || call != "fdatasync",
                "the error was passed over"
            );
        }
    }
}

#[test]
fn power_cut_of_a_real_file_system_loses_nothing_acknowledged() {
    let Some(disk) = ext4::LoopDisk::make() else {
        return;
    };
    let seed = seed();
    let mut random = Random::new(seed);
    let mut model = Model::new(seed);
    let dir = disk.path().join("data");
    let mut acked = 0;
    for round in 0..rounds("AURORA_EXT4_ROUNDS", 10) {
        disk.mount();
        let mut writer = Writer::spawn(Writer::command(&dir, seed, 1_000_000));
        if round % 2 == 1 {
            writer.wait_for("opening");
            thread::sleep(Duration::from_micros(random.next() % 12_000));
        } else {
            writer.wait_for("opened");
            for _ in 0..random.below(120) {
                writer.wait_for("ack");
            }
        }
        disk.cut_power();
        acked = acked.max(writer.kill());
        disk.unmount();
        disk.mount();
        match model.check(&dir, acked) {
            Ok(found) => acked = found,
            Err(error) => panic!("round {round}: {error}"),
        }
        disk.unmount();
    }
    println!("{acked} commits survived");
    assert!(acked > 0);
}
