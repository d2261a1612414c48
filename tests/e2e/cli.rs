//! The client: exit codes, messages, and documents for machines.

use aurora_tests::files::{idle, one_process};
use aurora_tests::scheduler::{ROLE, Scheduler, client, job_key, run, work_dir};

#[test]
fn failures_have_their_exit_code_and_name_the_way_out() {
    // Nobody listens on a port below those that are given out.
    let uri = "http://127.0.0.1:9";
    let cases: [(&[&str], i32, &str); 12] = [
        (
            &["job", "list", "--scheduler-uri", uri, "--timeout", "1s"],
            7,
            "no scheduler answers",
        ),
        (
            &["job", "status", "nowhere"],
            3,
            "unknown cluster `nowhere`",
        ),
        (&["job", "kill", "a/b"], 2, "four parts"),
        (&["job", "kill", "local/r/e/n/x"], 2, "no instance number"),
        (&["job", "kill", "local/r/e/n/5-2"], 2, "5-2"),
        (&["job", "kill", "local/r/e/n"], 6, "killall"),
        (
            &["job", "restart", "local/r/e/n", "--batch-size", "0"],
            2,
            "batch-size",
        ),
        (&["job", "nonsense"], 2, "nonsense"),
        (&["job", "list", "--nonsense"], 2, "--nonsense"),
        (&["config", "check"], 2, "FILES"),
        (
            &["task", "logs", "local/r/e/n/0", "--tail", "x"],
            2,
            "--tail",
        ),
        (&["scheduler", "--listen", "nonsense"], 2, "nonsense"),
    ];
    for (args, code, said) in cases {
        let ran = run(client(args)).expect_code(code).expect_error(said);
        assert_eq!(ran.stdout, "", "{args:?}: results only");
    }
}

#[test]
fn refusals_of_the_scheduler_have_their_exit_code() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("there", &idle("there", ""));
    let again = scheduler.create(ROLE, "there", &idle("there", ""), &[]);
    again
        .expect_code(10)
        .expect_error("exists")
        .expect_error("job add");
    let gone = job_key("gone");
    for args in [
        &["job", "status", &gone] as &[&str],
        &["job", "killall", &gone],
        &["job", "restart", &gone],
        &["job", "explain", &gone],
        &["job", "history", &gone],
        &["job", "list", &gone],
        &["task", "logs", &gone],
        &["job", "add", &format!("{gone}/0"), "1"],
    ] {
        let ran = scheduler.run(args).expect_code(6);
        assert!(ran.stderr.contains("devel/gone"), "{args:?}: {ran:?}");
    }
    let file = scheduler.write("other.rhai", &idle("there", ""));
    let path = file.to_str().unwrap();
    let ran = scheduler.run(&["job", "create", &gone, path]);
    ran.expect_code(3).expect_error("did you mean");
    let elsewhere = format!("elsewhere/{ROLE}/devel/there");
    scheduler.run(&["job", "status", &elsewhere]).expect_code(3);
    let late = idle("late", "").replace("cpu: 0.1", "cpu: 10000");
    let args = ["--wait-until", "RUNNING", "--wait-timeout", "1s"];
    let path = scheduler.write("late.rhai", &late);
    let key = job_key("late");
    let create = [
        &["job", "create", &key, path.to_str().unwrap()],
        args.as_slice(),
    ]
    .concat();
    scheduler.run(&create).expect_code(9).expect_error("late");
}

#[test]
fn what_this_release_does_not_run_is_refused_plainly() {
    let scheduler = Scheduler::start(&[]);
    let before = scheduler.state();
    for (name, extra, said) in [
        ("cron", "cron_schedule: \"* * * * *\",", "cron"),
        ("hooks", "enable_hooks: true,", "enable_hooks"),
    ] {
        let kind = if name == "cron" { "cron_job" } else { "job" };
        let file = one_process(kind, ROLE, name, "true", extra);
        let ran = scheduler.create(ROLE, name, &file, &[]);
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(
            ran.stderr.contains(said) && ran.stderr.contains("this release"),
            "{ran:?}"
        );
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    assert_eq!(scheduler.state(), before);
}

#[test]
fn documents_for_machines_parse_and_name_their_schema() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("shown", &idle("shown", "instances: 2,"));
    let path = scheduler.scratch().join("shown.rhai");
    let path = path.to_str().unwrap();
    let key = job_key("shown");
    let one = format!("{key}/0");
    let cases: [(&str, &[&str]); 16] = [
        ("job-status", &["job", "status", "local"]),
        ("job-list", &["job", "list"]),
        ("job-history", &["job", "history", &key]),
        ("job-explain", &["job", "explain", &key]),
        ("job-inspect", &["job", "inspect", &key, path]),
        ("job-diff", &["job", "diff", &key, path]),
        ("config-check", &["config", "check", path]),
        ("config-list", &["config", "list", path]),
        ("admin-query", &["admin", "query", "local"]),
        ("admin-hosts-list", &["admin", "hosts", "list"]),
        ("admin-snapshot", &["admin", "snapshot"]),
        ("admin-reconcile", &["admin", "reconcile"]),
        ("job-add", &["job", "add", &one, "1"]),
        (
            "job-restart",
            &["job", "restart", &one, "--watch-secs", "0"],
        ),
        ("job-kill", &["job", "kill", &one]),
        ("job-killall", &["job", "killall", &key]),
    ];
    for (verb, args) in cases {
        let args = [args, &["--json"]].concat();
        let document = scheduler.run(&args).expect_code(0).json();
        assert_eq!(
            document["schema"],
            format!("aurora-rs/{verb}/v1"),
            "{args:?}"
        );
    }
}

#[test]
fn globs_and_ranges_choose() {
    let scheduler = Scheduler::start(&["--agent-cpus", "100"]);
    for name in ["web-a", "web-b", "db"] {
        scheduler.create_running(name, &idle(name, "instances: 5,"));
    }
    let list = |glob: &str| scheduler.run(&["job", "list", glob]).expect_code(0).stdout;
    let lines = |names: &[&str]| -> String {
        names
            .iter()
            .map(|name| format!("{}\n", job_key(name)))
            .collect()
    };
    assert_eq!(list("*"), lines(&["db", "web-a", "web-b"]));
    assert_eq!(list("local/*/devel/web-?"), lines(&["web-a", "web-b"]));
    assert_eq!(list("local/www-*"), lines(&["db", "web-a", "web-b"]));
    assert_eq!(list("local/*/prod"), "");
    let some = format!("{}/0-1,3", job_key("web-a"));
    scheduler
        .run(&["job", "kill", &some, "--batch-size", "3"])
        .expect_code(0);
    let left: Vec<_> = scheduler.wait_running("web-a", 2);
    let left: Vec<_> = left
        .iter()
        .map(|task| task["instance"].as_u64().unwrap())
        .collect();
    assert_eq!(left, [2, 4]);
    scheduler.wait_running("web-b", 5);
    let strict = ["job", "kill", &some, "--strict"];
    scheduler.run(&strict).expect_code(6).expect_error("0-1,3");
}

#[test]
fn clusters_come_from_a_file() {
    let dir = work_dir();
    let write = |content: &str| {
        std::fs::write(dir.path().join("clusters.json"), content).unwrap();
        let mut command = client(&["job", "list", "west", "--timeout", "1s"]);
        command.env("AURORA_CONFIG_ROOT", dir.path());
        run(command)
    };
    let good = r#"[{"name": "west", "scheduler_uri": "http://127.0.0.1:9"}]"#;
    write(good).expect_code(7).expect_error("127.0.0.1:9");
    write("[{").expect_code(3).expect_error("clusters.json");
    write("[]")
        .expect_code(3)
        .expect_error("unknown cluster `west`");
}
