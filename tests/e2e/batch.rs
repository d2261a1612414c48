//! Ad-hoc jobs: run to the end, retried, in order, with their output.

use std::fs;

use aurora_tests::background::Background;
use aurora_tests::files::one_process;
use aurora_tests::scheduler::{ROLE, Scheduler, job_key};
use aurora_tests::wait;

#[test]
fn two_hundred_instances_finish_once_each() {
    let scheduler = Scheduler::start(&["--agent-cpus", "4"]);
    let ran = scheduler.scratch().join("ran");
    let cmdline = format!("echo {{{{instance}}}} >> {}", ran.display());
    let file = one_process("job", ROLE, "many", &cmdline, "instances: 200,");
    let created = scheduler.create(ROLE, "many", &file, &["--wait-until", "FINISHED"]);
    assert_eq!(created.code, 0, "{created:?}");
    let tasks = scheduler.tasks_of("many");
    assert_eq!(tasks.len(), 200);
    assert!(
        tasks.iter().all(|task| task["state"] == "FINISHED"),
        "{tasks:?}"
    );
    let text = fs::read_to_string(ran).unwrap();
    let mut instances: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    instances.sort_unstable();
    assert_eq!(instances, (0..200).collect::<Vec<_>>(), "each once");
    let status = scheduler
        .run(&["job", "status", &job_key("many"), "--json"])
        .json();
    assert_eq!(
        status["jobs"][0]["summary"]["state"], "JOB_ENDED",
        "{status}"
    );
}

#[test]
fn instance_is_retried_until_max_task_failures() {
    let scheduler = Scheduler::start(&["--initial-flapping-delay", "100ms"]);
    let count = scheduler.scratch().join("count");
    let cmdline = format!("echo >> {0}; [ $(wc -l < {0}) -ge 3 ]", count.display());
    let file = one_process("job", ROLE, "third_time", &cmdline, "max_task_failures: 3,");
    let ran = scheduler.create(ROLE, "third_time", &file, &["--wait-until", "FINISHED"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let tasks = scheduler.tasks_of("third_time");
    let states: Vec<_> = tasks
        .iter()
        .map(|task| task["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["FINISHED", "FAILED", "FAILED"]);

    let file = one_process("job", ROLE, "hopeless", "exit 5", "max_task_failures: 2,");
    let ran = scheduler.create(ROLE, "hopeless", &file, &["--wait-until", "FINISHED"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("FAILED"), "{ran:?}");
    let tasks = scheduler.tasks_of("hopeless");
    assert_eq!(tasks.len(), 2, "{tasks:?}");
    assert!(
        tasks.iter().all(|task| task["state"] == "FAILED"),
        "{tasks:?}"
    );
}

/// A task of three processes in a row, and one that runs at the very end whatever happened.
fn pipeline(name: &str, middle: &str, trace: &str) -> String {
    format!(
        r#"
let trace = |word| `echo ${{word}} >> {trace}`;
let first = process(#{{ name: "first", cmdline: trace.call("first") }});
let middle = process(#{{ name: "middle", cmdline: trace.call("middle") + "; {middle}" }});
let last = process(#{{ name: "last", cmdline: trace.call("last") }});
let clean = process(#{{ name: "clean", cmdline: trace.call("clean"), final: true }});
job(#{{
    cluster: "local", role: "{ROLE}", environment: "devel", name: "{name}",
    task: task(#{{
        processes: [last, clean, middle, first],
        constraints: order(first, middle, last),
        resources: resources(#{{ cpu: 0.1, ram: 16 * MB, disk: 16 * MB }}),
    }}),
}});
"#
    )
}

#[test]
fn processes_run_in_order_and_final_ones_always() {
    let scheduler = Scheduler::start(&[]);
    for (name, middle, code, expected) in [
        ("good", "true", 0, "first\nmiddle\nlast\nclean\n"),
        ("bad", "exit 1", 4, "first\nmiddle\nclean\n"),
    ] {
        let trace = scheduler.scratch().join(format!("{name}.trace"));
        let file = pipeline(name, middle, &trace.to_string_lossy());
        let ran = scheduler.create(ROLE, name, &file, &["--wait-until", "FINISHED"]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert_eq!(fs::read_to_string(trace).unwrap(), expected, "{name}");
    }
}

#[test]
fn logs_are_kept_by_run_and_stream() {
    let scheduler = Scheduler::start(&[]);
    let cmdline = "echo >> runs; n=$(wc -l < runs); echo out $n; echo err $n >&2; [ $n -ge 3 ]";
    let file = one_process("job", ROLE, "noisy", cmdline, "").replace(
        "name: \"main\", cmdline",
        "name: \"main\", max_failures: 3, min_duration: 1, cmdline",
    );
    let ran = scheduler.create(ROLE, "noisy", &file, &["--wait-until", "FINISHED"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let key = format!("{}/0", job_key("noisy"));
    let logs = |more: &[&str]| {
        let args = [&["task", "logs", &key], more].concat();
        scheduler.run(&args).expect_code(0).stdout
    };
    assert_eq!(logs(&["--stdout"]), "out 3\n");
    assert_eq!(logs(&["--stdout", "--run", "0"]), "out 1\n");
    assert_eq!(logs(&["--stderr", "--run", "1"]), "err 2\n");
    assert_eq!(logs(&["--stdout", "--tail", "2"]), "3\n");
    let both = logs(&["--run", "2"]);
    assert!(
        both.contains("out 3\n") && both.contains("err 3\n"),
        "{both:?}"
    );
    let ran = scheduler.run(&["task", "logs", &key, "--run", "9"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{ran:?}");
    scheduler
        .run(&["task", "logs", "no-such-task"])
        .expect_code(6);
}

#[test]
fn following_logs_ends_with_the_task() {
    let scheduler = Scheduler::start(&[]);
    let go = scheduler.scratch().join("go");
    let cmdline = format!(
        "echo begin; until [ -e {} ]; do sleep 0.05; done; echo end",
        go.display()
    );
    let file = one_process("job", ROLE, "followed", &cmdline, "");
    scheduler.create_running("followed", &file);
    let key = format!("{}/0", job_key("followed"));
    let command = scheduler.client(&["task", "logs", &key, "-f"]);
    let mut follower = Background::start(&scheduler.scratch(), "follower", command).unwrap();
    follower.wait_for_stdout("begin\n");
    assert!(
        follower.is_running(),
        "the task goes on, and so do its logs"
    );
    fs::write(go, "").unwrap();
    assert_eq!(follower.wait(), 0, "{}", follower.stderr());
    assert_eq!(follower.stdout(), "begin\nend\n");
    wait::until("the job to end", || {
        scheduler.active("followed").is_empty().then_some(())
    });
}
