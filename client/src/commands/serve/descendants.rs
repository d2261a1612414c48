//! What this process started, and what that started in turn: to end it when nobody is left to ask.

use std::{collections::HashMap, fs, time::Duration};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::time;

/// A process that forks all the time may outrun us; it is not waited for without end.
const ROUNDS: usize = 100;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

/// Kills all descendants of this process.
///
/// The children, which are executors, come last: while one lives, the orphans of what it started
/// become its own children and stay in reach.
pub(super) async fn kill() {
    for _ in 0..ROUNDS {
        let processes = running();
        let children = below(&processes, &[getpid()]);
        let mut others = Vec::new();
        let mut generation = below(&processes, &children);
        while !generation.is_empty() {
            others.extend_from_slice(&generation);
            generation = below(&processes, &generation);
        }
        if others.is_empty() {
            kill_all(&children);
            return;
        }
        kill_all(&others);
        time::sleep(BETWEEN_ROUNDS).await;
    }
    kill_all(&below(&running(), &[getpid()]));
}

fn kill_all(processes: &[Pid]) {
    for &process in processes {
        // Best effort: it may have ended, or be another user's.
        let _: Result<(), _> = kill_process(process, Signal::KILL);
    }
}

fn below(processes: &HashMap<Pid, Pid>, parents: &[Pid]) -> Vec<Pid> {
    let children = processes
        .iter()
        .filter(|(_, parent)| parents.contains(parent));
    children.map(|(process, _)| *process).collect()
}

/// Returns the processes that have not ended, with their parents.
fn running() -> HashMap<Pid, Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    let processes = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let process = Pid::from_raw(name.to_str()?.parse().ok()?)?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
        Some((process, parent(&stat)?))
    });
    processes.collect()
}

/// Returns the parent that a line of `/proc/PID/stat` names, unless the process is a zombie.
fn parent(stat: &str) -> Option<Pid> {
    // The name before may hold blanks and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    Pid::from_raw(fields.next()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_read_whatever_the_name() {
        let parent_of = |stat| parent(stat).map(|pid| pid.as_raw_pid());
        assert_eq!(parent_of("7 (a) b) S 5 7 7 0 -1"), Some(5));
        assert_eq!(parent_of("7 (sh) Z 5 7 7 0 -1"), None);
        assert_eq!(parent_of("1 (init) S 0 1 1"), None);
        assert_eq!(parent_of(""), None);
    }
}
