//! Processes as `/proc` shows them.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// Returns every process that is no zombie.
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| is_alive(*pid))
        .collect()
}

/// Whether there is such a process, and no zombie.
pub fn is_alive(pid: i32) -> bool {
    start_time(pid).is_some()
}

/// When the process started, in ticks since the machine did: with the pid, it names a process.
/// None of a zombie, which runs no more.
pub fn start_time(pid: i32) -> Option<u64> {
    let (state, start) = state_and_start(pid)?;
    (state != 'Z' && state != 'X').then_some(start)
}

fn state_and_start(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Sends a signal; that the process is gone is fine.
pub fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _gone = kill_process(pid, signal);
    }
}

/// Returns the value of a variable in the environment that a process was started with.
pub fn variable(pid: i32, name: &str) -> Option<String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// Returns the processes that work under `dir` or were told of it in their environment.
pub fn under(dir: &Path) -> Vec<i32> {
    let needle = dir.to_string_lossy().into_owned();
    let own = std::process::id();
    all()
        .into_iter()
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter(|pid| {
            let in_cwd =
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            in_cwd
                || fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(&needle))
        })
        .collect()
}

/// Returns the processes of tasks under `dir`, with the ids of their tasks.
pub fn of_tasks(dir: &Path) -> Vec<(i32, String)> {
    let with_task = |pid| variable(pid, "AURORA_TASK_ID").map(|task_id| (pid, task_id));
    under(dir).into_iter().filter_map(with_task).collect()
}

/// Returns the executors that were started under `dir`.
pub fn executors(dir: &Path) -> Vec<i32> {
    let is_one = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            line.split(|byte| *byte == 0)
                .any(|word| word == b"executor")
        }) && variable(*pid, "AURORA_TASK_ID").is_none()
    };
    under(dir).into_iter().filter(is_one).collect()
}

/// Ends every process that works under `dir`, however often new ones are forked.
pub fn end_all_under(dir: &Path) {
    for _ in 0..100 {
        let pids = under(dir);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The most memory that a process ever had, in KiB.
pub fn peak_memory_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
