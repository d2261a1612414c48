//! The embedded cluster with real processes: short tasks a second, and the time from a call to its
//! process. Run it with `tests/bench/run`, which builds the release binary first.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark reads the machine's clock and prints figures for people"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aurora_tests::files;
use aurora_tests::http;
use aurora_tests::scheduler::Scheduler;
use aurora_tests::wait;
use serde_json::{Value, json};

/// Tasks of each run of short tasks.
const TASKS: u64 = 1_000;
/// Calls that are timed until their process runs.
const SAMPLES: usize = 200;
/// Processes that the machine itself starts, for comparison.
const SPAWNS: u32 = 1_000;

fn main() {
    // Two tasks of one core each run at a time.
    let scheduler = Scheduler::start(&["--agent-cpus", "2", "--log-level", "warn"]);
    println!(
        "machine: {} sh -c /bin/true a second, one at a time (posix_spawn)",
        spawn_rate()
    );
    one_job(&scheduler);
    println!("machine: {} sh -c /bin/true a second, again", spawn_rate());
    many_jobs(&scheduler);
    println!("machine: {} sh -c /bin/true a second, again", spawn_rate());
    submit_latency(&scheduler);
}

/// Starts and awaits shells one after the other; std uses posix_spawn for this.
fn spawn_rate() -> u64 {
    let begun = Instant::now();
    for _ in 0..SPAWNS {
        let status = Command::new("/bin/sh")
            .args(["-c", "/bin/true"])
            .stdin(Stdio::null())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the machine cannot run /bin/true"
        );
    }
    per_second(u64::from(SPAWNS), begun.elapsed())
}

fn per_second(n: u64, took: Duration) -> u64 {
    let rate = n as f64 / took.as_secs_f64();
    format!("{rate:.0}").parse().unwrap_or(0)
}

fn one_job(scheduler: &Scheduler) {
    let before = ended(scheduler);
    let begun = Instant::now();
    let request = json!({ "config": one_core("single", TASKS, "/bin/true") });
    scheduler.call_ok("SchedulerService/CreateJob", &request);
    wait_for_end(scheduler, before, TASKS);
    println!(
        "{TASKS} tasks of /bin/true as one job, 2 at a time: {}/s",
        per_second(TASKS, begun.elapsed())
    );
}

fn many_jobs(scheduler: &Scheduler) {
    let before = ended(scheduler);
    let begun = Instant::now();
    for i in 0..TASKS {
        let request = json!({ "config": one_core(&format!("many-{i}"), 1, "/bin/true") });
        scheduler.call_ok("SchedulerService/CreateJob", &request);
    }
    let submitted = begun.elapsed();
    wait_for_end(scheduler, before, TASKS);
    println!(
        "{TASKS} tasks of /bin/true as {TASKS} jobs, 2 at a time: {}/s; submitted at {}/s, one call after the other",
        per_second(TASKS, begun.elapsed()),
        per_second(TASKS, submitted)
    );
}

fn submit_latency(scheduler: &Scheduler) {
    let file = scheduler.scratch().join("started");
    let mut micros: Vec<u128> = (0..SAMPLES)
        .map(|i| {
            let _absent = std::fs::remove_file(&file);
            let cmdline = format!("echo $EPOCHREALTIME > {}", file.display());
            let request = json!({ "config": one_core(&format!("late-{i}"), 1, &cmdline) });
            let submitted = now_micros();
            scheduler.call_ok("SchedulerService/CreateJob", &request);
            let started = wait::until("the process to say when it started", || {
                let text = std::fs::read_to_string(&file).ok()?;
                text.trim()
                    .replace('.', "")
                    .parse::<u128>()
                    .ok()
                    .filter(|_| text.ends_with('\n'))
            });
            started.saturating_sub(submitted)
        })
        .collect();
    micros.sort_unstable();
    let at = |percent: usize| micros[(micros.len() - 1) * percent / 100] as f64 / 1000.0;
    println!(
        "from the call to the first line of bash, {SAMPLES} calls: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms",
        at(50),
        at(90),
        at(99)
    );
}

fn now_micros() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_micros()
}

fn one_core(name: &str, instances: u64, cmdline: &str) -> Value {
    let mut config = files::config(name, instances, cmdline);
    config["task"]["resources"]["cpu"] = json!(1.0);
    config["task"]["service"] = json!(false);
    config
}

/// Waits until so many more tasks have ended. Asks for one figure, since asking for all tasks again
/// and again would take the processor from what is measured.
fn wait_for_end(scheduler: &Scheduler, ended_before: u64, count: u64) {
    wait::within(Duration::from_secs(300), "every task to end", || {
        (ended(scheduler) >= ended_before + count).then_some(())
    });
}

/// How many tasks have ended since the scheduler has its state.
fn ended(scheduler: &Scheduler) -> u64 {
    let (status, metrics) = http::get(scheduler.address(), "/metrics");
    assert_eq!(status, 200, "{metrics}");
    ["FINISHED", "FAILED", "KILLED", "LOST"]
        .iter()
        .filter_map(|state| {
            let name = format!("aurora_task_store{{state=\"{state}\"}} ");
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(&name)?.trim().parse::<u64>().ok())
        })
        .sum()
}
