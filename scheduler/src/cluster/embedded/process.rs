//! Processes named so that no other can be mistaken for them.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::io::unix::AsyncFd;

/// A process by its id and the time of its start, which no later process with that id shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessName {
    /// The id.
    pub(super) pid: i32,
    /// In clock ticks since the machine's start.
    pub(super) start_time: u64,
}

/// A handle on a process that outlives the process.
#[derive(Clone, Debug)]
pub(super) struct ProcessHandle {
    /// Its name.
    pub(super) name: ProcessName,
    fd: Arc<OwnedFd>,
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessStat {
    /// Whether it has ended and only waits to be reaped.
    pub(super) zombie: bool,
    /// The session that it belongs to.
    pub(super) session: i32,
    /// In clock ticks since the machine's start.
    pub(super) start_time: u64,
}

/// Reads what the system says of a process; `None` once it is gone.
pub(super) fn process_stat(pid: i32) -> Option<ProcessStat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<ProcessStat> {
    // The program's name stands in parentheses and may hold anything, parentheses included.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(ProcessStat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

impl ProcessHandle {
    /// Takes hold of the process with this id, whoever it is now.
    pub(super) fn open(pid: i32) -> io::Result<Self> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let fd = pidfd_open(Pid::from_raw(pid).ok_or_else(gone)?, PidfdFlags::empty())?;
        // Read through the id after it was pinned: a process that took the id over in between
        // would be pinned itself.
        let stat = process_stat(pid).ok_or_else(gone)?;
        Ok(Self {
            name: ProcessName {
                pid,
                start_time: stat.start_time,
            },
            fd: Arc::new(fd),
        })
    }

    /// Takes hold of a process by its name; `None` if it has ended.
    pub(super) fn find(name: ProcessName) -> Option<Self> {
        let handle = Self::open(name.pid).ok()?;
        let alive = process_stat(name.pid).is_some_and(|stat| !stat.zombie);
        (handle.name == name && alive).then_some(handle)
    }

    /// Kills the process; nothing happens if it is gone.
    pub(super) fn kill(&self) {
        if let Err(error) = pidfd_send_signal(&*self.fd, Signal::KILL) {
            tracing::debug!(pid = self.name.pid, %error, "a process was gone before its kill");
        }
    }

    /// Waits until the process has ended, and reaps it if it is our child.
    pub(super) async fn ended(self, child: Option<Child>) -> Option<ExitStatus> {
        if let Err(error) = wait_readable(self.fd).await {
            tracing::error!(pid = self.name.pid, %error, "failed to wait for a process");
        }
        child?.try_wait().ok().flatten()
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe because a descriptor might change; one behind an Arc cannot"
)]
async fn wait_readable(fd: Arc<OwnedFd>) -> io::Result<()> {
    AsyncFd::new(fd)?.readable().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_hostile_name_is_read() {
        let fields = "S 1 7 9 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1";
        let stat = parse_stat(&format!("12 (a) Z (b) {fields}")).unwrap();
        assert_eq!(
            stat,
            ProcessStat {
                zombie: false,
                session: 9,
                start_time: 4242
            }
        );
        assert!(parse_stat("12 (a").is_none());
    }

    #[tokio::test]
    async fn the_end_of_a_child_is_seen_and_its_name_is_never_found_again() {
        let child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let handle = ProcessHandle::open(pid).unwrap();
        let name = handle.name;
        assert!(ProcessHandle::find(name).is_some());
        assert!(
            ProcessHandle::find(ProcessName {
                start_time: 1,
                ..name
            })
            .is_none()
        );
        handle.kill();
        let status = handle.ended(Some(child)).await.unwrap();
        assert!(!status.success());
        assert!(ProcessHandle::find(name).is_none());
    }
}
