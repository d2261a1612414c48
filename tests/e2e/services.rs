//! Services live on, and stay dead when they were killed.

use std::fs;

use aurora_tests::files::{idle, key, one_process};
use aurora_tests::scheduler::{ROLE, Scheduler, has_ended, ids, job_key};
use aurora_tests::{processes, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Returns the processes of a task.
fn pids_of(scheduler: &Scheduler, task_id: &str) -> Vec<i32> {
    let all = processes::of_tasks(&scheduler.data_dir());
    all.into_iter()
        .filter(|(_, id)| id == task_id)
        .map(|(pid, _)| pid)
        .collect()
}

#[test]
fn service_whose_process_is_killed_comes_back() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("phoenix", &idle("phoenix", ""));
    let first = ids(&scheduler.wait_running("phoenix", 1));

    for pid in pids_of(&scheduler, &first[0]) {
        processes::signal(pid, Signal::KILL);
    }
    let second = wait::until("another attempt to run", || {
        let active = scheduler.active("phoenix");
        let task = active.into_iter().find(|task| task["state"] == "RUNNING")?;
        (task["task_id"] != first[0]).then_some(task)
    });
    assert_eq!(second["ancestor_id"], first[0]);
    assert!(!pids_of(&scheduler, second["task_id"].as_str().unwrap()).is_empty());
    let tasks = scheduler.tasks_of("phoenix");
    let ended = tasks
        .iter()
        .find(|task| task["task_id"] == first[0])
        .unwrap();
    assert_eq!(ended["state"], "FAILED", "{ended}");
    let said = ended["events"].as_array().unwrap().last().unwrap()["message"].to_string();
    assert!(said.contains("main"), "which process, and how: {said}");
}

/// Returns when a task came to a state.
fn reached(task: &Value, state: &str) -> Option<i64> {
    let events = task["events"].as_array()?;
    events.iter().find(|event| event["state"] == state)?["timestamp_ms"].as_i64()
}

#[test]
fn crash_loop_is_held_back_from_the_second_quick_failure_on() {
    let flags = [
        "--initial-flapping-delay",
        "1s",
        "--max-flapping-delay",
        "2s",
    ];
    let scheduler = Scheduler::start(&flags);
    let file = one_process("service", ROLE, "crash", "exit 3", "");
    scheduler.create(ROLE, "crash", &file, &[]).expect_code(0);
    let attempts = wait::until("five attempts", || {
        let mut tasks: Vec<_> = scheduler
            .tasks_of("crash")
            .into_iter()
            .filter(has_ended)
            .collect();
        tasks.sort_by_key(|task| reached(task, "FAILED"));
        (tasks.len() >= 5).then_some(tasks)
    });
    assert!(
        attempts.iter().all(|task| task["state"] == "FAILED"),
        "{attempts:?}"
    );
    let penalties: Vec<_> = attempts
        .iter()
        .map(|task| Some(reached(task, "PENDING")? - reached(task, "THROTTLED")?))
        .collect();
    // One second, doubled, and no longer than two; a busy machine may be late but never early.
    let least = [None, None, Some(1000), Some(2000), Some(2000)];
    for (penalty, least) in penalties.iter().zip(least) {
        assert_eq!(penalty.is_some(), least.is_some(), "{penalties:?}");
        let (Some(penalty), Some(least)) = (*penalty, least) else {
            continue;
        };
        assert!((least..least + 3000).contains(&penalty), "{penalties:?}");
    }
    let throttled = wait::until("a penalty", || {
        let ran = scheduler
            .run(&["job", "explain", &job_key("crash")])
            .expect_code(0);
        ran.stdout.contains("THROTTLED").then_some(ran.stdout)
    });
    assert!(throttled.contains("ended too soon"), "{throttled}");
    let history = scheduler
        .run(&["job", "history", &job_key("crash")])
        .expect_code(0)
        .stdout;
    assert!(
        history.contains("process `main` exited with 3"),
        "{history}"
    );
}

#[test]
fn restart_gives_new_tasks_and_ends_the_old_ones() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("again", &idle("again", "instances: 3,"));
    let before = ids(&scheduler.wait_running("again", 3));
    let key = format!("{}/0-1", job_key("again"));
    let args = [
        "job",
        "restart",
        &key,
        "--watch-secs",
        "0",
        "--batch-size",
        "2",
    ];
    scheduler.run(&args).expect_code(0);
    let after = scheduler.wait_running("again", 3);
    assert_eq!(
        after[2]["task_id"], before[2],
        "instance 2 was not asked for"
    );
    for instance in [0, 1] {
        assert_eq!(after[instance]["ancestor_id"], before[instance]);
        wait::until("the old process to be gone", || {
            pids_of(&scheduler, &before[instance])
                .is_empty()
                .then_some(())
        });
    }
    let tasks = scheduler.tasks_of("again");
    let old = tasks.iter().filter(|task| has_ended(task));
    assert!(
        old.clone().all(|task| task["state"] == "KILLED") && old.count() == 2,
        "{tasks:?}"
    );
}

#[test]
fn killed_instance_stays_killed_and_add_fills_its_gap() {
    let mut scheduler = Scheduler::start(&[]);
    scheduler.create_running("gap", &idle("gap", "instances: 3,"));
    let before = ids(&scheduler.wait_running("gap", 3));
    let one = format!("{}/1", job_key("gap"));
    scheduler
        .run(&["job", "kill", &one, "-m", "one too many"])
        .expect_code(0);
    let others = scheduler.wait_running("gap", 2);
    assert_eq!(ids(&others), [before[0].clone(), before[2].clone()]);
    assert!(
        pids_of(&scheduler, &before[1]).is_empty(),
        "its process is gone"
    );

    // Neither a restart of the scheduler nor a look around brings it back.
    assert_eq!(scheduler.terminate(), Some(0));
    scheduler.launch();
    scheduler.run(&["admin", "reconcile"]).expect_code(0);
    assert_eq!(ids(&scheduler.wait_running("gap", 2)), ids(&others));

    let zero = format!("{}/0", job_key("gap"));
    let added = scheduler.run(&["job", "add", &zero, "2", "--wait-until", "RUNNING"]);
    assert_eq!(added.code, 0, "{added:?}");
    let tasks = scheduler.wait_running("gap", 4);
    let instances: Vec<_> = tasks
        .iter()
        .map(|task| task["instance"].as_u64().unwrap())
        .collect();
    assert_eq!(instances, [0, 1, 2, 3]);
    let history = scheduler
        .run(&["job", "history", &job_key("gap")])
        .expect_code(0)
        .stdout;
    assert!(
        history.contains("one too many") && history.contains("add"),
        "{history}"
    );

    scheduler
        .run(&["job", "killall", &job_key("gap"), "--no-batching"])
        .expect_code(0);
    wait::until("every process to be gone", || {
        processes::of_tasks(&scheduler.data_dir())
            .is_empty()
            .then_some(())
    });
    let job = scheduler.call_ok("ReadService/GetJob", &json!({ "key": key("gap") }));
    assert_eq!(job["summary"]["state"], "JOB_KILLED", "{job}");
    // The name is free again.
    scheduler.create_running("gap", &idle("gap", ""));
    scheduler.wait_running("gap", 1);
}

#[test]
fn edits_of_a_job_restart_nothing() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("edited", &idle("edited", "instances: 2,"));
    let before = scheduler.wait_running("edited", 2);
    let edit = json!({
        "key": key("edited"), "contact": "team@example.org", "priority": 7,
        "metadata": { "metadata": [{ "key": "a", "value": "b" }] },
        "context": { "user": "tester", "message": "who answers" },
    });
    scheduler.call_ok("SchedulerService/EditJob", &edit);
    let job = scheduler.call_ok("ReadService/GetJob", &json!({ "key": key("edited") }));
    assert_eq!(job["summary"]["contact"], "team@example.org");
    assert_eq!(job["config"]["priority"], 7);
    assert_eq!(job["config"]["metadata"][0]["value"], "b");
    assert_eq!(scheduler.active("edited"), before, "not even an event");
    let history = scheduler
        .run(&["job", "history", &job_key("edited"), "--json"])
        .json();
    let last = history["events"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["kind"], &last["user"]),
        (&json!("edit"), &json!("tester")),
        "{history}"
    );
}

#[test]
fn outputs_tell_what_is() {
    let scheduler = Scheduler::start(&[]);
    let file = idle("shown", "instances: 2, contact: \"me@example.org\",");
    scheduler.create_running("shown", &file);
    let path = scheduler.scratch().join("shown.rhai");
    let path = path.to_str().unwrap();
    let key = job_key("shown");
    let shows = |args: &[&str], wanted: &[&str]| {
        let ran = scheduler.run(args).expect_code(0);
        for text in wanted {
            assert!(
                ran.stdout.contains(text),
                "{args:?} shows no {text:?}: {ran:?}"
            );
        }
    };
    shows(&["job", "status", "local"], &[&key, "2 running", "RUNNING"]);
    shows(&["job", "list"], &[&key]);
    shows(
        &["job", "inspect", &key, path],
        &["instances: 2", "exec sleep", "me@example.org"],
    );
    shows(
        &["job", "diff", &key, path],
        &["leave unchanged: instances 0-1"],
    );
    shows(&["job", "history", &key], &["create", "2 instances"]);
    shows(
        &["admin", "query", "local", "--state", "RUNNING"],
        &["RUNNING"],
    );
    shows(&["admin", "hosts", "list"], &["reachable"]);
    let changed = fs::read_to_string(path).unwrap().replace("100000", "90000");
    fs::write(path, changed.replace("instances: 2", "instances: 3")).unwrap();
    shows(
        &["job", "diff", &key, path],
        &[
            "update: instances 0-1",
            "-    cmdline: exec sleep 100000",
            "90000",
        ],
    );
    let diff = scheduler.run(&["job", "diff", &key, path, "--json"]).json();
    assert_eq!(
        (&diff["update"], &diff["add"]),
        (&json!("0-1"), &json!("2")),
        "{diff}"
    );
}
