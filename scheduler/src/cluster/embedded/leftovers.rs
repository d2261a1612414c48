//! Ends the processes that an executor left behind.
//!
//! Every process of a task has its id in its environment. One that took it out is still found as
//! a member of a session that a process of the task leads.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::process::{ProcessHandle, process_stat};

const TASK_VARIABLE: &[u8] = b"AURORA_TASK_ID=";
const EXECUTOR_VARIABLE: &[u8] = b"MESOS_EXECUTOR_ID=";
// New ones may be forked while others are being killed.
const MAX_PASSES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Kills every process of these tasks; returns once none is found any more.
///
/// Blocks while processes end, for a second at most.
pub(super) fn kill_leftovers(task_ids: &HashSet<Arc<str>>) {
    if task_ids.is_empty() {
        return;
    }
    for _ in 0..MAX_PASSES {
        let found = find_processes(task_ids);
        if found.is_empty() {
            return;
        }
        for process in &found {
            process.kill();
        }
        std::thread::sleep(PAUSE);
    }
    tracing::error!("processes of ended tasks do not end");
}

/// Returns the id of the process that was started as this executor.
pub(super) fn find_executor(executor_id: &str) -> Option<ProcessHandle> {
    let is_it = |pid: i32| {
        let value = variable(pid, EXECUTOR_VARIABLE);
        value.is_some_and(|value| value == executor_id.as_bytes())
    };
    // Its children may have inherited the variable; it was the first to have it.
    pids()
        .filter(|pid| is_it(*pid))
        .filter_map(|pid| ProcessHandle::open(pid).ok())
        .filter(|handle| is_it(handle.name.pid))
        .min_by_key(|handle| handle.name.start_time)
}

fn find_processes(task_ids: &HashSet<Arc<str>>) -> Vec<ProcessHandle> {
    let belongs = |pid: i32| {
        variable(pid, TASK_VARIABLE)
            .and_then(|value| String::from_utf8(value).ok())
            .is_some_and(|task_id| task_ids.contains(task_id.as_str()))
    };
    let all: Vec<i32> = pids().collect();
    let marked: HashSet<i32> = all.iter().copied().filter(|pid| belongs(*pid)).collect();
    all.into_iter()
        .filter_map(|pid| {
            // Pinned first and looked at again, so that a reused id is not taken for it.
            let is_ours = |pid: i32| {
                process_stat(pid).is_some_and(|stat| {
                    !stat.zombie && (belongs(pid) || marked.contains(&stat.session))
                })
            };
            if !is_ours(pid) {
                return None;
            }
            let handle = ProcessHandle::open(pid).ok()?;
            is_ours(pid).then_some(handle)
        })
        .collect()
}

fn pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn variable(pid: i32, prefix: &[u8]) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(prefix))
        .map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn marked_processes_end_and_others_do_not() {
        let spawn = |task: &str| {
            Command::new("sleep")
                .arg("60")
                .env("AURORA_TASK_ID", task)
                .spawn()
                .unwrap()
        };
        let mut ours = spawn("leftovers-test-ours");
        let mut other = spawn("leftovers-test-other");
        kill_leftovers(&HashSet::from(["leftovers-test-ours".into()]));
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_that_cleared_its_environment_ends_with_its_session() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let mut leader = Command::new("setsid")
            .args([
                "--wait",
                "sh",
                "-c",
                "env -i sleep 60 & echo $! > $0.new; mv $0.new $0; wait",
            ])
            .arg(&pid_file)
            .env("AURORA_TASK_ID", "leftovers-test-session")
            .spawn()
            .unwrap();
        let pid: i32 = loop {
            if let Ok(text) = fs::read_to_string(&pid_file) {
                break text.trim().parse().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        kill_leftovers(&HashSet::from(["leftovers-test-session".into()]));
        assert!(process_stat(pid).is_none_or(|stat| stat.zombie));
        leader.wait().unwrap();
    }
}
