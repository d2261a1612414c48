//! Verbs that ask a scheduler, against one that follows a script.

use aurora_proto::v1::{self, TaskState};
use tonic::Status;

use crate::{
    command::{JOBS, Place, Run},
    fake_scheduler::FakeScheduler,
};

const HELLO: &str = "local/www-data/devel/hello";
const WEB: &str = "local/www-data/prod/web";

fn run(scheduler: &FakeScheduler, arguments: &[&str]) -> Run {
    let place = Place::new();
    place.write("jobs.rhai", JOBS);
    let mut arguments = arguments.to_vec();
    arguments.extend(["--scheduler-uri", &scheduler.uri]);
    place.run(&arguments)
}

#[test]
fn create_carries_who_and_why() {
    let scheduler = FakeScheduler::start(&[]);
    let arguments = [
        "job",
        "create",
        HELLO,
        "jobs.rhai",
        "-m",
        "first",
        "--request-id",
        "r-1",
        "--json",
    ];
    let document = run(&scheduler, &arguments).exits(0).json("job-create");
    assert_eq!(document["instances"], "0-1");
    let context = scheduler.state().contexts[0].clone();
    assert_eq!(
        (context.request_id.as_str(), context.message.as_str()),
        ("r-1", "first")
    );
    assert!(!context.user.is_empty());
    let again = run(&scheduler, &["job", "create", HELLO, "jobs.rhai"]).exits(10);
    again.says("refused to create the job: hello has instances");
}

#[test]
fn create_waits_until_running() {
    let life = [TaskState::Pending, TaskState::Assigned, TaskState::Running];
    let scheduler = FakeScheduler::start(&life);
    run(
        &scheduler,
        &[
            "job",
            "create",
            HELLO,
            "jobs.rhai",
            "--wait-until",
            "RUNNING",
        ],
    )
    .exits(0)
    .prints("created local/www-data/devel/hello/0-1\n");
}

#[test]
fn create_tells_that_an_instance_failed() {
    let scheduler = FakeScheduler::start(&[TaskState::Pending, TaskState::Failed]);
    for until in ["RUNNING", "finished"] {
        scheduler.state().jobs.clear();
        run(
            &scheduler,
            &["job", "create", HELLO, "jobs.rhai", "--wait-until", until],
        )
        .exits(4)
        .says("FAILED: as scripted");
    }
}

#[test]
fn create_gives_up_waiting() {
    let scheduler = FakeScheduler::start(&[TaskState::Pending]);
    let wait = ["--wait-until", "RUNNING", "--wait-timeout", "300ms"];
    let arguments = [&["job", "create", HELLO, "jobs.rhai"][..], &wait].concat();
    run(&scheduler, &arguments).exits(9).says("2 PENDING");
}

#[test]
fn service_cannot_be_waited_to_finish() {
    let scheduler = FakeScheduler::start(&[]);
    let arguments = [
        "job",
        "create",
        WEB,
        "jobs.rhai",
        "--wait-until",
        "FINISHED",
    ];
    run(&scheduler, &arguments).exits(6).says("never finishes");
    assert!(scheduler.state().jobs.is_empty());
}

#[test]
fn change_is_sent_again_with_the_same_id() {
    let scheduler = FakeScheduler::start(&[]);
    scheduler
        .state()
        .failures
        .extend([Status::unavailable("busy"), Status::unavailable("busy")]);
    run(&scheduler, &["job", "create", HELLO, "jobs.rhai"]).exits(0);
    let ids = scheduler.state().request_ids.clone();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn retries_end_with_advice() {
    let scheduler = FakeScheduler::start(&[]);
    scheduler
        .state()
        .failures
        .extend(vec![Status::unavailable("busy"); 100]);
    let arguments = [
        "job",
        "create",
        HELLO,
        "jobs.rhai",
        "--timeout",
        "1s",
        "--request-id",
        "r-2",
    ];
    run(&scheduler, &arguments)
        .exits(7)
        .says("--request-id r-2");
}

#[test]
fn answers_of_the_scheduler_have_their_exit_codes() {
    let scheduler = FakeScheduler::start(&[]);
    for (status, code) in [
        (Status::invalid_argument("x"), 10),
        (Status::resource_exhausted("x"), 10),
        (Status::permission_denied("x"), 30),
        (Status::internal("x"), 20),
        (Status::deadline_exceeded("x"), 9),
    ] {
        scheduler.state().failures.push_back(status);
        run(&scheduler, &["job", "create", HELLO, "jobs.rhai"]).exits(code);
    }
    run(&scheduler, &["admin", "hosts", "list"])
        .exits(30)
        .says("not you");
    run(&scheduler, &["job", "history", WEB])
        .exits(10)
        .says("cannot read the job's history");
}

#[test]
fn scheduler_of_another_cluster_is_refused() {
    let scheduler = FakeScheduler::start(&[]);
    let run = run(&scheduler, &["job", "killall", "prod/www-data/prod/web"]);
    run.exits(3).says("serves cluster `local`, not `prod`");
}

#[test]
fn kill_goes_in_batches() {
    let scheduler = FakeScheduler::start(&[]).with_job("web", 5);
    let key = format!("{WEB}/0-2,4,9");
    run(
        &scheduler,
        &[
            "job",
            "kill",
            &key,
            "--batch-size",
            "2",
            "--request-id",
            "k",
        ],
    )
    .exits(0)
    .prints(&format!("killed {WEB}/0-2,4\n"));
    let ids = scheduler.state().request_ids.clone();
    assert_eq!(ids.len(), 2);
    assert!(ids[0] != ids[1] && ids[0].starts_with("k-"), "{ids:?}");
    let left = run(&scheduler, &["job", "status", WEB, "--json"]).exits(0);
    let document = left.json("job-status");
    assert_eq!(document["jobs"][0]["active"].as_array().unwrap().len(), 1);
    assert_eq!(document["jobs"][0]["inactive"].as_array().unwrap().len(), 4);
}

#[test]
fn kill_of_what_is_not_there_changes_nothing() {
    let scheduler = FakeScheduler::start(&[]).with_job("web", 2);
    run(&scheduler, &["job", "kill", WEB])
        .exits(6)
        .says("job killall");
    run(&scheduler, &["job", "kill", "local/www-data/prod/none/0"])
        .exits(6)
        .says("no job none");
    run(&scheduler, &["job", "killall", "local/www-data/prod/none"]).exits(6);
    run(&scheduler, &["job", "kill", &format!("{WEB}/7")])
        .exits(6)
        .says("no active instance");
    let strict = format!("{WEB}/0,7");
    run(&scheduler, &["job", "kill", &strict, "--strict"])
        .exits(6)
        .says("no active instance 7");
    assert!(scheduler.state().request_ids.is_empty());
}

#[test]
fn kill_gives_up_on_what_does_not_end() {
    let scheduler = FakeScheduler::start(&[]).with_job("web", 3);
    scheduler.state().deaf = true;
    let wait = ["--wait-timeout", "200ms"];
    let all = [&["job", "killall", WEB][..], &wait].concat();
    run(&scheduler, &all)
        .exits(4)
        .says("did not end within 200ms");
    let at_once = [&all[..], &["--no-batching"]].concat();
    run(&scheduler, &at_once)
        .exits(9)
        .says("did not end within 200ms");
    let tolerant = [&all[..], &["--max-total-failures", "3"]].concat();
    let document = run(&scheduler, &[&tolerant[..], &["--json"]].concat())
        .exits(0)
        .json("job-killall");
    assert_eq!(document["failed"], "0-2");
}

#[test]
fn restart_replaces_and_watches() {
    let life = [TaskState::Pending, TaskState::Starting, TaskState::Running];
    let scheduler = FakeScheduler::start(&life).with_job("web", 3);
    run(
        &scheduler,
        &[
            "job",
            "restart",
            WEB,
            "--watch-secs",
            "0",
            "--batch-size",
            "2",
        ],
    )
    .exits(0)
    .prints(&format!("restarted {WEB}/0-2\n"));
    assert_eq!(scheduler.state().request_ids.len(), 2);
}

#[test]
fn restart_that_fails_exits_with_4() {
    let scheduler = FakeScheduler::start(&[TaskState::Pending, TaskState::Failed]);
    let scheduler = scheduler.with_job("web", 2);
    let arguments = ["job", "restart", WEB, "--watch-secs", "0"];
    run(&scheduler, &arguments)
        .exits(4)
        .says("FAILED: as scripted");
    // The second batch was left alone.
    assert_eq!(scheduler.state().request_ids.len(), 1);
}

#[test]
fn restart_does_not_wait_for_ever() {
    let scheduler = FakeScheduler::start(&[TaskState::Pending]).with_job("web", 1);
    let arguments = [
        "job",
        "restart",
        WEB,
        "--watch-secs",
        "0",
        "--wait-timeout",
        "300ms",
    ];
    run(&scheduler, &arguments)
        .exits(4)
        .says("was not up within 300ms");
}

#[test]
fn add_names_the_new_instances() {
    let scheduler = FakeScheduler::start(&[TaskState::Pending, TaskState::Running]);
    let scheduler = scheduler.with_job("web", 2);
    let key = format!("{WEB}/0");
    run(
        &scheduler,
        &["job", "add", &key, "2", "--wait-until", "RUNNING"],
    )
    .exits(0)
    .prints(&format!("added {WEB}/2-3\n"));
}

#[test]
fn list_and_status_tell_what_matches() {
    let scheduler = FakeScheduler::start(&[])
        .with_job("web", 1)
        .with_job("db", 1);
    run(&scheduler, &["job", "list", "local"])
        .exits(0)
        .prints("local/www-data/prod/db\nlocal/www-data/prod/web\n");
    run(&scheduler, &["job", "list", "local/nobody"])
        .exits(0)
        .prints("");
    run(&scheduler, &["job", "list", "local/www-data/prod/none"]).exits(6);
    run(&scheduler, &["job", "status", "local/nobody"])
        .exits(6)
        .says("no job matches");
    let text = run(&scheduler, &["job", "status", "local"]).exits(0).stdout;
    assert!(
        text.contains("RUNNING") && text.contains("node-1"),
        "{text}"
    );
}

#[test]
fn diff_shows_what_an_update_would_do() {
    let scheduler = FakeScheduler::start(&[]).with_job("web", 2);
    let text = run(&scheduler, &["job", "diff", WEB, "jobs.rhai"])
        .exits(0)
        .stdout;
    assert!(text.contains("remove: instances 1"), "{text}");
    assert!(text.contains("update: instances 0"), "{text}");
    assert!(text.contains("+    cmdline: echo hello world"), "{text}");
    let new = run(&scheduler, &["job", "diff", HELLO, "jobs.rhai", "--json"]).exits(0);
    assert_eq!(new.json("job-diff")["add"], "0-1");
    let from = [
        "job",
        "diff",
        HELLO,
        "jobs.rhai",
        "--from",
        "local/www-data/prod/none",
    ];
    run(&scheduler, &from).exits(6);
}

#[test]
fn logs_come_line_by_line() {
    let scheduler = FakeScheduler::start(&[]).with_job("web", 2);
    let chunk = |offset: u64, data: &str| v1::ReadTaskLogResponse {
        process: "serve".to_owned(),
        stream: v1::LogStream::Stdout.into(),
        offset,
        data: data.as_bytes().to_vec(),
        ..v1::ReadTaskLogResponse::default()
    };
    scheduler.state().log = vec![chunk(0, "one\ntw"), chunk(6, "o\n")];
    let one = format!("{WEB}/0");
    run(&scheduler, &["task", "logs", &one])
        .exits(0)
        .prints("one\ntwo\n");
    let mut lines: Vec<String> = run(&scheduler, &["task", "logs", WEB, "-f"])
        .exits(0)
        .stdout
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    let expected = [
        "0 serve | one",
        "0 serve | two",
        "1 serve | one",
        "1 serve | two",
    ];
    assert_eq!(lines, expected);
    let nobody = format!("{WEB}/9");
    run(&scheduler, &["task", "logs", &nobody])
        .exits(6)
        .says("has no task for instances 9");
}
