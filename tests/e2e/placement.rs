//! Where instances go, and what is said of those that cannot go anywhere.

use std::collections::BTreeSet;

use aurora_tests::files::{idle, one_process};
use aurora_tests::scheduler::{ROLE, Scheduler, job_key};
use aurora_tests::wait;
use serde_json::{Value, json};

/// Returns the one reason why instances of a job wait, once it is known.
fn reason(scheduler: &Scheduler, name: &str) -> Value {
    wait::until("a reason", || {
        let ran = scheduler
            .run(&["job", "explain", &job_key(name), "--json"])
            .expect_code(0);
        let document = ran.json();
        assert_eq!(document["schema"], "aurora-rs/job-explain/v1");
        let reason = document["reasons"].get(0)?.clone();
        reason["vetoes"].get(0).is_some().then_some(reason)
    })
}

#[test]
fn what_fits_nowhere_waits_and_is_explained() {
    let scheduler = Scheduler::start(&["--agents", "3", "--agent-cpus", "2"]);
    let file = idle("huge", "instances: 2,").replace("cpu: 0.1", "cpu: 1000");
    scheduler.create(ROLE, "huge", &file, &[]).expect_code(0);
    let reason = reason(&scheduler, "huge");
    assert_eq!(reason["instances"], json!([{ "first": 0, "last": 1 }]));
    assert_eq!(
        (&reason["state"], &reason["hosts_fit"]),
        (&json!("PENDING"), &json!(0))
    );
    let veto = &reason["vetoes"][0];
    assert_eq!(veto["kind"], "INSUFFICIENT_RESOURCES", "{reason}");
    assert_eq!(
        (&veto["subject"], &veto["hosts"]),
        (&json!("cpu"), &json!(3)),
        "{reason}"
    );
    assert!(
        veto["detail"].as_str().unwrap().contains("998"),
        "1000 wanted, 2 there: {reason}"
    );
    let text = scheduler
        .run(&["job", "explain", &job_key("huge")])
        .expect_code(0)
        .stdout;
    assert!(
        text.contains("3 hosts") && text.contains("0 of 3"),
        "{text}"
    );

    // It keeps nobody else from running, and can be killed while it waits.
    scheduler.create_running("small", &idle("small", "instances: 3,"));
    scheduler
        .run(&["job", "killall", &job_key("huge"), "--no-batching"])
        .expect_code(0);
    assert!(scheduler.active("huge").is_empty());
    let tasks = scheduler.tasks_of("huge");
    assert!(
        tasks.iter().all(|task| task["state"] == "KILLED") && tasks.len() == 2,
        "{tasks:?}"
    );
}

#[test]
fn limit_spreads_instances_over_hosts() {
    let scheduler = Scheduler::start(&["--agents", "3"]);
    let file = idle(
        "spread",
        "instances: 4, constraints: #{ host: \"limit:1\" },",
    );
    scheduler.create(ROLE, "spread", &file, &[]).expect_code(0);
    let running = wait::until("three to run", || {
        let active = scheduler.active("spread");
        let running: Vec<_> = active
            .into_iter()
            .filter(|task| task["state"] == "RUNNING")
            .collect();
        (running.len() == 3).then_some(running)
    });
    let hosts: BTreeSet<_> = running
        .iter()
        .map(|task| task["host"].to_string())
        .collect();
    assert_eq!(hosts.len(), 3, "{running:?}");
    let reason = reason(&scheduler, "spread");
    assert_eq!(
        reason["vetoes"][0]["kind"], "LIMIT_NOT_SATISFIED",
        "{reason}"
    );
    assert_eq!(reason["vetoes"][0]["hosts"], 3, "{reason}");

    // A place that becomes free is taken.
    let waiting = scheduler
        .active("spread")
        .into_iter()
        .find(|task| task["state"] == "PENDING");
    let waiting = waiting.unwrap()["instance"].clone();
    let other = running[0]["instance"].to_string();
    let key = format!("{}/{other}", job_key("spread"));
    scheduler.run(&["job", "kill", &key]).expect_code(0);
    let tasks = scheduler.wait_running("spread", 3);
    let moved = tasks
        .iter()
        .find(|task| task["instance"] == waiting)
        .unwrap();
    assert_eq!(moved["host"], running[0]["host"]);
}

#[test]
fn attributes_of_hosts_decide() {
    let scheduler = Scheduler::start(&[
        "--agents",
        "2",
        "--agent-attribute",
        "rack=a",
        "--agent-cpus",
        "4",
    ]);
    scheduler.create_running("in_a", &idle("in_a", "constraints: #{ rack: \"a,b\" },"));
    scheduler.create_running("not_b", &idle("not_b", "constraints: #{ rack: \"!b\" },"));
    for (name, constraint) in [("in_b", "b"), ("not_a", "!a"), ("no_disk", "ssd")] {
        let extra = if name == "no_disk" {
            format!("constraints: #{{ storage: \"{constraint}\" }},")
        } else {
            format!("constraints: #{{ rack: \"{constraint}\" }},")
        };
        scheduler
            .create(ROLE, name, &idle(name, &extra), &[])
            .expect_code(0);
        let reason = reason(&scheduler, name);
        assert_eq!(
            reason["vetoes"][0]["kind"], "CONSTRAINT_MISMATCH",
            "{name}: {reason}"
        );
    }
    let file = idle("two", "instances: 3, constraints: #{ rack: \"limit:2\" },");
    scheduler.create(ROLE, "two", &file, &[]).expect_code(0);
    let reason = reason(&scheduler, "two");
    assert_eq!(
        reason["vetoes"][0]["kind"], "LIMIT_NOT_SATISFIED",
        "{reason}"
    );
    wait::until("two of three to run", || {
        let tasks = scheduler.active("two");
        let n_running = tasks
            .iter()
            .filter(|task| task["state"] == "RUNNING")
            .count();
        (n_running == 2).then_some(())
    });
}

#[test]
fn instances_get_ports_of_their_own() {
    let scheduler = Scheduler::start(&["--port-range", "21000-21009"]);
    let cmdline = "echo {{ports.http}} $AURORA_PORT_HTTP {{ports.admin}} $AURORA_PORT_ADMIN \
                   > {{instance}}.ports; exec sleep 100000";
    let file = one_process("service", ROLE, "ports", cmdline, "instances: 2,");
    scheduler.create_running("ports", &file);
    let mut seen = BTreeSet::new();
    for task in scheduler.wait_running("ports", 2) {
        let (http, admin) = (&task["ports"]["http"], &task["ports"]["admin"]);
        for port in [http, admin] {
            let port = port.as_u64().unwrap();
            assert!((21_000..=21_009).contains(&port), "{task}");
            assert!(seen.insert(port), "{port} was given out twice");
        }
        let sandbox = scheduler.data_dir().join("agents/agent-0/sandboxes");
        let file = sandbox
            .join(task["task_id"].as_str().unwrap())
            .join(format!("{}.ports", task["instance"]));
        let text = wait::until("the process to write", || {
            std::fs::read_to_string(&file)
                .ok()
                .filter(|text| text.ends_with('\n'))
        });
        assert_eq!(text, format!("{http} {http} {admin} {admin}\n"));
    }
    // Ten ports, four taken, two for each: three more fit and the fourth waits.
    let file = file
        .replace("\"ports\"", "\"more\"")
        .replace("instances: 2", "instances: 4");
    scheduler.create(ROLE, "more", &file, &[]).expect_code(0);
    let reason = reason(&scheduler, "more");
    assert_eq!(reason["vetoes"][0]["subject"], "ports", "{reason}");
}
