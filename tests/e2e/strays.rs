//! What runs outlives its scheduler, is taken back, and never outlives its job.

use std::collections::BTreeMap;
use std::fs;

use aurora_tests::files::{idle, key, one_process};
use aurora_tests::scheduler::{ROLE, Scheduler, has_ended, ids, job_key};
use aurora_tests::{processes, wait};
use rustix::process::Signal;
use serde_json::json;

/// Processes by task, with what tells them from later ones of the same number.
fn living(scheduler: &Scheduler) -> BTreeMap<String, Vec<(i32, Option<u64>)>> {
    let mut living = BTreeMap::<_, Vec<_>>::new();
    for (pid, task_id) in processes::of_tasks(&scheduler.dir().join("data")) {
        living
            .entry(task_id)
            .or_default()
            .push((pid, processes::start_time(pid)));
    }
    living
}

#[test]
fn running_tasks_are_taken_back_with_their_processes() {
    let mut scheduler = Scheduler::start(&["--agents", "2"]);
    scheduler.create_running("kept", &idle("kept", "instances: 3,"));
    let tasks = scheduler.wait_running("kept", 3);
    let before = living(&scheduler);
    assert_eq!(before.keys().cloned().collect::<Vec<_>>(), {
        let mut ids = ids(&tasks);
        ids.sort();
        ids
    });
    for way in ["terminate", "kill"] {
        if way == "kill" {
            scheduler.kill();
        } else {
            assert_eq!(scheduler.terminate(), Some(0));
        }
        assert_eq!(
            living(&scheduler),
            before,
            "tasks go on while there is no scheduler: {way}"
        );
        scheduler.launch();
        scheduler.run(&["admin", "reconcile"]).expect_code(0);
        assert_eq!(
            ids(&scheduler.wait_running("kept", 3)),
            ids(&tasks),
            "{way}"
        );
        assert_eq!(living(&scheduler), before, "{way}");
    }
    // The link to them is whole again: they can be ended.
    scheduler
        .run(&["job", "killall", &job_key("kept"), "--no-batching"])
        .expect_code(0);
    wait::until("nothing to be left", || {
        living(&scheduler).is_empty().then_some(())
    });
}

#[test]
fn what_ends_while_the_scheduler_is_away_is_told_when_it_is_back() {
    let mut scheduler = Scheduler::start(&[]);
    for (name, code) in [("well", 0), ("badly", 3)] {
        let go = scheduler.scratch().join("go");
        let cmdline = format!(
            "until [ -e {} ]; do sleep 0.05; done; exit {code}",
            go.display()
        );
        scheduler.create_running(name, &one_process("job", ROLE, name, &cmdline, ""));
    }
    scheduler.kill();
    fs::write(scheduler.scratch().join("go"), "").unwrap();
    wait::until("the tasks to end", || {
        living(&scheduler).is_empty().then_some(())
    });
    scheduler.launch();
    for (name, state) in [("well", "FINISHED"), ("badly", "FAILED")] {
        wait::until_ok(|| {
            let tasks = scheduler.tasks_of(name);
            let done = tasks.len() == 1 && tasks[0]["state"] == state;
            if done {
                Ok(())
            } else {
                Err(format!("{state} wanted: {tasks:?}"))
            }
        });
    }
}

#[test]
fn tasks_of_a_killed_executor_end_and_services_come_back() {
    let scheduler = Scheduler::start(&["--initial-flapping-delay", "1s"]);
    scheduler.create_running("orphan", &idle("orphan", "instances: 2,"));
    let before = ids(&scheduler.wait_running("orphan", 2));
    let old = living(&scheduler);
    let executors = processes::executors(&scheduler.data_dir());
    assert_eq!(executors.len(), 1, "one role, one executor");
    processes::signal(executors[0], Signal::KILL);
    let after = wait::until_ok(|| {
        let active = scheduler.active("orphan");
        let new = active
            .iter()
            .all(|task| task["state"] == "RUNNING" && !before.contains(&ids(&active)[0]));
        if new && active.len() == 2 {
            Ok(active)
        } else {
            Err(format!("{active:?}"))
        }
    });
    assert!(
        ids(&after).iter().all(|task_id| !before.contains(task_id)),
        "{after:?}"
    );
    for task in scheduler
        .tasks_of("orphan")
        .iter()
        .filter(|task| has_ended(task))
    {
        let state = task["state"].as_str().unwrap();
        assert!(["FAILED", "LOST"].contains(&state), "{task}");
    }
    wait::until("no process of the old tasks to be left", || {
        let mut pids = old.values().flatten();
        let gone = pids.all(|(pid, start)| processes::start_time(*pid) != *start);
        gone.then_some(())
    });
}

#[test]
fn executor_killed_while_the_scheduler_is_away_is_noticed() {
    let mut scheduler = Scheduler::start(&["--initial-flapping-delay", "1s"]);
    scheduler.create_running("both", &idle("both", ""));
    let before = ids(&scheduler.wait_running("both", 1));
    let old = living(&scheduler);
    scheduler.kill();
    for pid in processes::executors(&scheduler.data_dir()) {
        processes::signal(pid, Signal::KILL);
    }
    scheduler.launch();
    wait::until_ok(|| {
        let active = scheduler.active("both");
        let new = active.iter().all(|task| task["state"] == "RUNNING") && ids(&active) != before;
        if new && active.len() == 1 {
            Ok(())
        } else {
            Err(format!("{active:?}"))
        }
    });
    let pids: Vec<_> = old.values().flatten().collect();
    assert!(
        pids.iter()
            .all(|(pid, start)| processes::start_time(*pid) != *start),
        "{pids:?}"
    );
}

/// What a restored backup knows goes on; what came after it is a stray, and ended: the store does
/// not know it, and so nobody could ask for its end any more.
#[test]
fn restored_backup_takes_back_what_it_knows_and_ends_what_it_does_not() {
    let mut scheduler = Scheduler::start(&[]);
    scheduler.create_running("old", &idle("old", "instances: 2,"));
    let kept = ids(&scheduler.wait_running("old", 2));
    let backup = scheduler.scratch().join("backup");
    let backup = backup.to_str().unwrap();
    scheduler
        .run(&["admin", "backup", "--output", backup])
        .expect_code(0);
    scheduler.create_running("new", &idle("new", ""));
    let strays = ids(&scheduler.wait_running("new", 1));
    let before = living(&scheduler);
    assert_eq!(scheduler.terminate(), Some(0));

    let fresh = scheduler.dir().join("restored");
    let restore = [
        "admin",
        "restore",
        backup,
        "--data-dir",
        fresh.to_str().unwrap(),
    ];
    scheduler.run(&restore).expect_code(0);
    // The agents and their tasks stay where they are; only what the scheduler knows is older.
    let data = scheduler.data_dir();
    for name in ["state", "mark"] {
        fs::rename(data.join(name), data.join(format!("{name}.newer"))).unwrap();
        fs::rename(fresh.join(name), data.join(name)).unwrap();
    }
    scheduler.launch();
    assert_eq!(ids(&scheduler.wait_running("old", 2)), kept);
    assert!(scheduler.tasks_of("new").is_empty());
    wait::until("the stray to end", || {
        let living = living(&scheduler);
        strays
            .iter()
            .all(|task_id| !living.contains_key(task_id))
            .then_some(())
    });
    let mut expected = before;
    expected.retain(|task_id, _| kept.contains(task_id));
    assert_eq!(
        living(&scheduler),
        expected,
        "the others are the same processes"
    );

    // Numbers of tasks start anew and ids do not come twice.
    scheduler.create_running("newer", &idle("newer", ""));
    let fresh_id = &ids(&scheduler.wait_running("newer", 1))[0];
    let epoch = |task_id: &str| task_id.rsplit('-').nth(1).map(str::to_owned);
    assert_ne!(epoch(fresh_id), epoch(&strays[0]), "{fresh_id} {strays:?}");
    scheduler.call_ok("SchedulerService/KillTasks", &json!({ "key": key("old") }));
    wait::until("the job to end", || {
        scheduler.active("old").is_empty().then_some(())
    });
}

#[test]
fn sandboxes_of_ended_tasks_go_by_age_and_live_ones_stay() {
    let scheduler = Scheduler::start(&["--sandbox-max-age", "1s"]);
    scheduler.create_running("lives", &idle("lives", ""));
    let lives = ids(&scheduler.wait_running("lives", 1)).remove(0);
    let file = one_process("job", ROLE, "ends", "echo done > file", "");
    let ran = scheduler.create(ROLE, "ends", &file, &["--wait-until", "FINISHED"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ended = ids(&scheduler.tasks_of("ends")).remove(0);
    let sandboxes = scheduler.data_dir().join("agents/agent-0/sandboxes");
    wait::until("the sandbox of the ended task to be collected", || {
        (!sandboxes.join(&ended).exists()).then_some(())
    });
    assert!(sandboxes.join(&lives).is_dir());
    let logs = scheduler.run(&["task", "logs", &format!("{}/0", job_key("ends"))]);
    assert!(
        logs.code == 6 && !logs.stderr.is_empty(),
        "said, not made up: {logs:?}"
    );
}
