//! Reads what /proc says of this process's children.

use std::fs;
use std::io::{self, ErrorKind};

use rustix::process::Pid;

/// The variable that tells which task a process belongs to, whatever became of its parents.
pub(crate) const TASK_ID_VARIABLE: &str = "AURORA_TASK_ID";

// From the kernel's sched.h: the process is on its way out.
const PF_EXITING: u64 = 0x4;

/// What the kernel says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) is_zombie: bool,
    pub(crate) is_exiting: bool,
    pub(crate) parent: i32,
    pub(crate) group: i32,
}

/// Returns the children of all threads of this process, dead ones included.
pub(crate) fn children() -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let path = thread?.path().join("children");
        match fs::read_to_string(&path) {
            Ok(text) => pids.extend(text.split_ascii_whitespace().filter_map(parse_pid)),
            // Either the thread is gone, or the kernel has no such file.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if path.parent().is_some_and(std::path::Path::exists) {
                    return children_by_scan();
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pids)
}

// For kernels without CONFIG_PROC_CHILDREN.
fn children_by_scan() -> io::Result<Vec<Pid>> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(parse_pid) else {
            continue;
        };
        if stat(pid).is_some_and(|stat| stat.parent == own) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// Returns what the kernel says of `pid`; `None` if it is gone.
pub(crate) fn stat(pid: Pid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
}

/// Returns the task that `pid` says in its environment to belong to.
pub(crate) fn task_of(pid: Pid) -> Option<String> {
    let environ = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    task_in_environ(&environ)
}

fn task_in_environ(environ: &[u8]) -> Option<String> {
    let value = environ.split(|byte| *byte == 0).find_map(|variable| {
        variable
            .strip_prefix(TASK_ID_VARIABLE.as_bytes())?
            .strip_prefix(b"=")
    })?;
    String::from_utf8(value.to_vec()).ok()
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold anything, parentheses and blanks too.
    let after_name = &text[text.rfind(')')? + 1..];
    let fields: Vec<&str> = after_name.split_ascii_whitespace().take(7).collect();
    let [state, parent, group, _session, _tty, _tpgid, flags] = fields[..] else {
        return None;
    };
    Some(Stat {
        is_zombie: state == "Z",
        is_exiting: flags.parse::<u64>().ok()? & PF_EXITING != 0,
        parent: parent.parse().ok()?,
        group: group.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_any_name() {
        let text = "42 (a) b) Z 7 40 40 0 -1 4228108 0";
        let expected = Stat {
            is_zombie: true,
            is_exiting: true,
            parent: 7,
            group: 40,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn the_task_is_found_in_an_environment() {
        assert_eq!(
            task_in_environ(b"A=1\0AURORA_TASK_ID=t-1\0B=2\0"),
            Some("t-1".to_owned())
        );
        assert_eq!(
            task_in_environ(b"XAURORA_TASK_ID=t-1\0AURORA_TASK_ID2=x"),
            None
        );
        assert_eq!(task_in_environ(b""), None);
    }
}
