//! The data directory: one owner, never guessed at when damaged, and backed up while in use.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use aurora_tests::files::{config, idle};
use aurora_tests::scheduler::{Scheduler, run};
use serde_json::{Value, json};

/// Makes a scheduler that has some state and does not run.
fn stopped_with_state() -> Scheduler {
    let mut scheduler = Scheduler::start(&[]);
    scheduler.create_running("some", &idle("some", ""));
    scheduler
        .run(&["job", "killall", "local/www-data/devel/some"])
        .expect_code(0);
    assert_eq!(scheduler.terminate(), Some(0));
    scheduler
}

#[test]
fn second_scheduler_on_a_data_directory_is_refused() {
    let scheduler = Scheduler::start(&[]);
    let pid = scheduler.pid().unwrap();
    run(scheduler.command())
        .expect_code(4)
        .expect_error(&format!("(pid {pid})"));
    scheduler.create_running("unharmed", &idle("unharmed", ""));
}

#[test]
fn damaged_store_is_refused_with_the_way_back() {
    let mut scheduler = Scheduler::start(&[]);
    scheduler.create_running("some", &idle("some", ""));
    let snapshot = scheduler
        .run(&["admin", "snapshot", "--json"])
        .expect_code(0)
        .json();
    let snapshot = snapshot["path"].as_str().unwrap().to_owned();
    scheduler
        .run(&["job", "killall", "local/www-data/devel/some"])
        .expect_code(0);
    assert_eq!(scheduler.terminate(), Some(0));

    let db = scheduler.data_dir().join("state/db");
    let good = fs::read(&db).unwrap();
    let text = b"www-data";
    let place = good
        .windows(text.len())
        .position(|bytes| bytes == text)
        .unwrap();
    let mut bad = good;
    bad[place] ^= 1;
    fs::write(&db, &bad).unwrap();
    let refused = run(scheduler.command())
        .expect_code(4)
        .expect_error("is damaged");
    // What sled does to the file as it opens it is not ours to undo, but to warn of.
    assert!(refused.stderr.contains("Copy the directory"), "{refused:?}");
    assert!(!refused.stderr.contains("panicked"), "{refused:?}");
    run(scheduler.command())
        .expect_code(4)
        .expect_error("is damaged");

    // What it says to do is what has to be done, word for word.
    let said = refused
        .stderr
        .split('`')
        .find(|part| part.starts_with("aurora-rs admin restore"));
    let words: Vec<&str> = said.unwrap().split(' ').skip(1).collect();
    assert!(words.contains(&snapshot.as_str()), "{refused:?}");
    scheduler.run(&words).expect_code(0);
    scheduler.use_data_dir("data.restored");
    scheduler.launch();
    // As it was when the snapshot was taken, on agents that are new and so have lost the task.
    scheduler.wait_running("some", 1);
}

#[test]
fn cut_off_store_and_strange_directories_are_refused() {
    let mut scheduler = stopped_with_state();
    let db = scheduler.data_dir().join("state/db");
    let good = fs::read(&db).unwrap();
    fs::write(&db, &good[..good.len() / 1000]).unwrap();
    run(scheduler.command())
        .expect_code(4)
        .expect_error("damaged");
    fs::write(&db, &good).unwrap();
    scheduler.launch();
    assert_eq!(scheduler.tasks_of("some").len(), 1);
    assert_eq!(scheduler.terminate(), Some(0));

    let file = scheduler.write("a-file", "");
    scheduler.use_data_dir("scratch/a-file");
    run(scheduler.command())
        .expect_code(4)
        .expect_error("is not a directory");
    fs::remove_file(file).unwrap();
}

#[test]
fn bad_snapshots_are_refused_and_leave_nothing() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("some", &idle("some", ""));
    let path = scheduler.scratch().join("backup");
    let backup = path.to_str().unwrap();
    scheduler
        .run(&["admin", "backup", "--output", backup])
        .expect_code(0);
    scheduler
        .run(&["admin", "backup", "--output", backup])
        .expect_code(4);
    let good = fs::read(&path).unwrap();
    let fresh = scheduler.dir().join("fresh");
    let restore = [
        "admin",
        "restore",
        backup,
        "--data-dir",
        fresh.to_str().unwrap(),
    ];
    let mut flipped = good.clone();
    let middle = good.len() / 2;
    flipped[middle] ^= 0x10;
    for bad in [
        &good[..good.len() - 1],
        &good[..10],
        &flipped,
        b"",
        b"no snapshot at all",
    ] {
        fs::write(&path, bad).unwrap();
        let ran = scheduler.run(&restore).expect_code(4);
        assert!(!fresh.join("state").exists(), "{ran:?}");
    }
    fs::write(&path, &good).unwrap();
    scheduler.run(&restore).expect_code(0);
}

#[test]
fn backup_under_load_is_one_instant_and_restores_to_it() {
    let mut scheduler = Scheduler::start(&["--agent-cpus", "1000"]);
    let stop = AtomicBool::new(false);
    let backup = scheduler.scratch().join("backup");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let name = format!("load-{number}");
                let config = config(&name, 2, "exec sleep 100000");
                scheduler.call_ok("SchedulerService/CreateJob", &json!({ "config": config }));
                let kill = json!({ "key": config["key"] });
                scheduler.call_ok("SchedulerService/KillTasks", &kill);
                number += 1;
            }
        });
        for _ in 0..5 {
            let path = backup.to_str().unwrap();
            let args = ["admin", "backup", "--force", "--output", path];
            scheduler.run(&args).expect_code(0);
            scheduler.run(&["admin", "snapshot"]).expect_code(0);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let later: Vec<Value> = names(&scheduler);
    assert_eq!(scheduler.terminate(), Some(0));
    let fresh = scheduler.dir().join("restored");
    let path = backup.to_str().unwrap();
    let restore = [
        "admin",
        "restore",
        path,
        "--data-dir",
        fresh.to_str().unwrap(),
    ];
    scheduler.run(&restore).expect_code(0);
    scheduler.use_data_dir("restored");
    scheduler.launch();
    let restored = names(&scheduler);
    assert!(!restored.is_empty(), "there was load");
    // Jobs were made one after the other, so one instant has the first so many of them.
    let expected: Vec<_> = (0..restored.len())
        .map(|n| json!(format!("load-{n}")))
        .collect();
    let mut sorted = restored.clone();
    sorted.sort_by_key(|name| name.as_str().and_then(|name| name[5..].parse::<u32>().ok()));
    assert_eq!(sorted, expected);
    assert!(restored.iter().all(|name| later.contains(name)));
    let snapshots = fs::read_dir(scheduler.dir().join("data/snapshots"))
        .unwrap()
        .count();
    assert!(snapshots >= 5, "{snapshots}");
}

fn names(scheduler: &Scheduler) -> Vec<Value> {
    let all = json!({ "page_size": 10_000 });
    let answer = scheduler.call_ok("ReadService/ListJobs", &all);
    let jobs = answer["jobs"].as_array().cloned().unwrap_or_default();
    jobs.into_iter()
        .map(|job| job["key"]["name"].clone())
        .collect()
}
