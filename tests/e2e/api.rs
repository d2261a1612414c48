//! The JSON API: what it answers, and that asking twice is asking once.

use aurora_tests::files::{config, idle, key};
use aurora_tests::http;
use aurora_tests::scheduler::{Scheduler, ids};
use serde_json::{Value, json};

const CREATE: &str = "SchedulerService/CreateJob";
const ADD: &str = "SchedulerService/AddInstances";
const RESTART: &str = "SchedulerService/RestartTasks";
const KILL: &str = "SchedulerService/KillTasks";

/// Calls about the job `there`, which has the instance 0, and about one that is not there.
#[rustfmt::skip]
fn refused_calls() -> Vec<(&'static str, Value, u16, &'static str)> {
    let key = key("there");
    let nobody = json!({ "key": { "role": "nobody", "environment": "devel", "name": "none" } });
    let there = json!({ "config": config("there", 1, "true") });
    let add = |template: u64, count: u64| {
        json!({ "key": key, "template_instance": template, "count": count })
    };
    let restart = |first: u64, last: u64| {
        json!({ "key": key, "instances": [{ "first": first, "last": last }] })
    };
    vec![
        (CREATE, there, 409, "exists"),
        (CREATE, json!({}), 400, "config"),
        (CREATE, json!({ "config": { "key": key, "instances": 1 } }), 400, "`task`"),
        (KILL, nobody.clone(), 404, "no job nobody/devel/none"),
        (KILL, json!({}), 400, "key"),
        (RESTART, json!({ "key": key }), 400, "instances"),
        (RESTART, restart(0, 1), 400, "not active"),
        (RESTART, restart(3, 1), 400, "3-1"),
        (RESTART, restart(0, u64::from(u32::MAX)), 400, "not active"),
        (ADD, add(0, 0), 400, "count"),
        (ADD, add(9, 1), 400, "instance 9"),
        (ADD, add(0, 4_000_000_000), 429, "10000"),
        ("SchedulerService/EditJob", nobody.clone(), 404, "no job"),
        ("ReadService/GetJob", nobody.clone(), 404, "no job"),
        ("ReadService/GetJobHistory", nobody.clone(), 404, "no job"),
        ("ReadService/ExplainPending", nobody, 404, "no job"),
        ("ReadService/ListTasks", json!({ "page_token": "garbage" }), 400, "page_token"),
    ]
}

#[test]
fn refusals_have_their_status_and_a_message() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("there", &idle("there", ""));
    let before = scheduler.state();
    for (method, request, expected, said) in refused_calls() {
        let (status, answer) = scheduler.call(method, &request);
        assert_eq!(status, expected, "{method} {request}: {answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(
            message.contains(said),
            "{method} {request}: no {said:?} in {answer}"
        );
        assert!(answer["code"].is_string(), "{answer}");
    }
    assert_eq!(
        scheduler.state(),
        before,
        "what was refused has changed nothing"
    );
}

#[test]
fn job_that_cannot_be_is_refused_by_field() {
    let scheduler = Scheduler::start(&[]);
    let before = scheduler.state();
    let long = "x".repeat(300);
    let change = |path: &str, value: Value| {
        let mut config = config("bad", 1, "true");
        *config.pointer_mut(path).unwrap_or(&mut Value::Null) = value;
        config
    };
    let unset = |path: &str| change(path, Value::Null);
    let cases = [
        (change("/key/role", json!("../x")), "role"),
        (change("/key/role", json!("")), "role"),
        (change("/key/role", json!(long)), "role"),
        (change("/key/name", json!("é")), "name"),
        (change("/key/name", json!("a b")), "name"),
        (change("/key/name", json!("a\u{0}b")), "name"),
        (change("/key/environment", json!("moon")), "environment"),
        (change("/cluster", json!("elsewhere")), "elsewhere"),
        (change("/instances", json!(0)), "instances"),
        (change("/instances", json!(4_000_000_000_u64)), "instances"),
        (change("/task/resources/cpu", json!(-1)), "cpu"),
        (change("/task/resources/cpu", json!("NaN")), "cpu"),
        (change("/task/resources/ram_bytes", json!(-1)), "ram"),
        (unset("/task/resources"), "resources"),
        (change("/task/processes", json!([])), "process"),
        (change("/task/processes/0/name", json!("../../etc")), "name"),
        (change("/task/processes/0/cmdline", json!("")), "cmdline"),
    ];
    for (config, said) in cases {
        let (status, answer) = scheduler.call(CREATE, &json!({ "config": config }));
        assert_eq!(status, 400, "{said}: {answer}");
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "no {said:?} in {answer}");
    }
    // What the release does not do is said so, and not left out.
    let mut cron = config("cron", 1, "true");
    cron["task"]["service"] = json!(false);
    cron["cron"] = json!({ "schedule": "* * * * *" });
    let (status, answer) = scheduler.call(CREATE, &json!({ "config": cron }));
    assert!(
        status == 501 && answer["message"].to_string().contains("cron"),
        "{status} {answer}"
    );
    assert_eq!(scheduler.state(), before);
}

fn with_id(id: &str, mut request: Value) -> Value {
    request["context"] = json!({ "request_id": id });
    request
}

#[test]
fn request_id_makes_one_effect_of_two_requests() {
    let mut scheduler = Scheduler::start(&[]);
    let create = json!({ "config": config("once", 2, "exec sleep 100000") });
    let create = with_id("create-1", create);
    let created = scheduler.call_ok(CREATE, &create);
    assert_eq!(scheduler.call_ok(CREATE, &create), created);
    scheduler.wait_running("once", 2);
    let add = json!({ "key": key("once"), "template_instance": 0, "count": 1 });
    let add = with_id("add-1", add);
    let added = scheduler.call_ok(ADD, &add);
    assert_eq!(scheduler.call_ok(ADD, &add), added);
    let tasks = ids(&scheduler.wait_running("once", 3));
    let restart = json!({ "key": key("once"), "instances": [{ "first": 0, "last": 0 }] });
    let restart = with_id("restart-1", restart);
    let restarted = scheduler.call_ok(RESTART, &restart);
    assert_eq!(scheduler.call_ok(RESTART, &restart), restarted);
    let after = ids(&scheduler.wait_running("once", 3));
    assert_ne!(after[0], tasks[0]);

    scheduler.kill();
    scheduler.launch();
    assert_eq!(
        scheduler.call_ok(CREATE, &create),
        created,
        "also after a crash"
    );
    assert_eq!(scheduler.call_ok(ADD, &add), added);
    assert_eq!(scheduler.call_ok(RESTART, &restart), restarted);
    assert_eq!(
        ids(&scheduler.wait_running("once", 3)),
        after,
        "nothing was done again"
    );
}

#[test]
fn request_id_belongs_to_one_content() {
    let scheduler = Scheduler::start(&[]);
    let create = json!({ "config": config("once", 2, "exec sleep 100000") });
    let mut create = with_id("create-1", create);
    scheduler.call_ok(CREATE, &create);
    scheduler.wait_running("once", 2);
    let before = scheduler.state();
    create["config"]["instances"] = json!(3);
    let long = with_id(&"x".repeat(129), json!({ "key": key("once") }));
    for (method, request, said) in [(CREATE, create, "create-1"), (KILL, long, "request_id")] {
        let (status, answer) = scheduler.call(method, &request);
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(said), "{status} {answer}");
    }
    assert_eq!(scheduler.state(), before);
}

#[test]
fn lists_come_in_pages() {
    let scheduler = Scheduler::start(&["--agent-cpus", "100"]);
    scheduler.create_running("paged", &idle("paged", "instances: 7,"));
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let request = json!({ "page_size": 3, "page_token": token, "filter": { "name": "pa?ed" } });
        let answer = scheduler.call_ok("ReadService/ListTasks", &request);
        let tasks = answer["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 3);
        seen.extend(tasks.iter().map(|task| task["instance"].as_u64().unwrap()));
        token = answer["next_page_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..7).collect::<Vec<_>>());
}

#[test]
fn metrics_are_openmetrics_with_the_names_that_are_documented() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("counted", &idle("counted", "instances: 2,"));
    assert_eq!(
        http::get(scheduler.address(), "/health"),
        (200, "OK\n".to_owned())
    );
    assert_eq!(http::get(scheduler.address(), "/leaderhealth").0, 200);
    let (status, text) = http::get(scheduler.address(), "/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut family = String::new();
    let mut names = Vec::new();
    for line in text.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            if let Some(typed) = meta.strip_prefix("TYPE ") {
                let (name, kind) = typed.split_once(' ').unwrap();
                assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
                assert!(!names.contains(&name.to_owned()), "{name} comes twice");
                name.clone_into(&mut family);
                names.push(name.to_owned());
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            name.starts_with(&family),
            "{line} is not of the family {family}"
        );
    }
    for name in [
        "aurora_task_store",
        "aurora_jobs",
        "aurora_outstanding_offers",
        "aurora_agents",
        "aurora_scheduler_uptime_seconds",
        "aurora_scheduler_leading",
        "aurora_placements",
        "aurora_tasks_throttled",
        "aurora_calls",
        "aurora_status_updates",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} is missing");
    }
    assert!(
        text.contains("aurora_task_store{state=\"RUNNING\"} 2\n"),
        "{text}"
    );
    assert!(text.contains("aurora_jobs 1\n"), "{text}");
}
