//! A task's directory and the logs in it.
//!
//! The directory belongs to the task's user, who may put links wherever he can write, while the
//! executor may be root. So everything is opened relative to a directory that is already open, and
//! never through a link. The directory for logs stays the executor's: it is made and opened before
//! the sandbox is handed to the user, who can rename it but change nothing in it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use thiserror::Error;

use crate::users::User;

/// Runs of one process whose logs are kept.
pub const KEPT_RUNS: u64 = 100;

const LOGS: &str = ".logs";
const LOG_FILES: [&str; 2] = ["stdout", "stderr"];

/// A sandbox that cannot be used.
#[derive(Debug, Error)]
#[error("failed to {attempt} `{path}`")]
pub struct SandboxError {
    attempt: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// An open sandbox.
#[derive(Debug)]
pub struct Sandbox {
    path: PathBuf,
    logs: OwnedFd,
}

/// Where a run writes to.
#[derive(Debug)]
pub struct RunLogs {
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

impl Sandbox {
    /// Opens the directory at `path`, makes it if need be, and gives it to `owner`.
    ///
    /// # Errors
    ///
    /// Fails if the directory is none, is a link, or the system refuses.
    pub fn prepare(path: &Path, owner: Option<&User>) -> Result<Self, SandboxError> {
        let failed = |attempt| {
            let path = path.to_owned();
            move |errno: Errno| SandboxError {
                attempt,
                path,
                source: errno.into(),
            }
        };
        let directory = match open_directory(CWD, path) {
            Err(Errno::NOENT) => {
                make_directory(CWD, path, Mode::RWXU).map_err(failed("make the sandbox"))?;
                open_directory(CWD, path)
            }
            other => other,
        };
        let directory = directory.map_err(failed("open the sandbox"))?;
        make_directory(&directory, LOGS, Mode::from_raw_mode(0o755))
            .map_err(failed("make the log directory in"))?;
        let logs = open_directory(&directory, LOGS).map_err(failed("open the log directory in"))?;
        if let Some(user) = owner {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            rustix::fs::fchown(&directory, Some(uid), Some(gid))
                .map_err(failed("change the owner of the sandbox"))?;
        }
        Ok(Self {
            path: path.to_owned(),
            logs,
        })
    }

    /// Returns where the sandbox is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the logs of a run, and removes those of the run that falls out of the kept ones.
    ///
    /// # Errors
    ///
    /// Fails if the system refuses, or somebody has put something else in the way.
    pub fn open_logs(&self, process: &str, run: u64) -> io::Result<RunLogs> {
        let mode = Mode::from_raw_mode(0o755);
        make_directory(&self.logs, process, mode)?;
        let of_process = open_directory(&self.logs, process)?;
        let name = run.to_string();
        make_directory(&of_process, &*name, mode)?;
        let of_run = open_directory(&of_process, &*name)?;
        if let Some(old) = run.checked_sub(KEPT_RUNS) {
            remove_run(&of_process, old);
        }
        let [stdout, stderr] = LOG_FILES.map(|file| open_log(&of_run, file));
        Ok(RunLogs {
            stdout: stdout?,
            stderr: stderr?,
        })
    }
}

fn make_directory<P: rustix::path::Arg>(
    parent: impl std::os::fd::AsFd,
    name: P,
    mode: Mode,
) -> Result<(), Errno> {
    match rustix::fs::mkdirat(parent, name, mode) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn open_directory<P: rustix::path::Arg>(
    parent: impl std::os::fd::AsFd,
    name: P,
) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn open_log(parent: &OwnedFd, name: &str) -> io::Result<File> {
    // NONBLOCK: somebody may have put a pipe there.
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644))?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(File::from(file))
}

fn remove_run(of_process: &OwnedFd, run: u64) {
    let name = run.to_string();
    let removed = open_directory(of_process, &*name).and_then(|of_run| {
        for file in LOG_FILES {
            rustix::fs::unlinkat(&of_run, file, AtFlags::empty())?;
        }
        rustix::fs::unlinkat(of_process, &*name, AtFlags::REMOVEDIR)
    });
    if let Err(error) = removed {
        tracing::debug!(run, %error, "failed to remove old logs");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_the_newest_runs_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sandbox");
        let sandbox = Sandbox::prepare(&path, None).unwrap();
        for run in 0..KEPT_RUNS + 5 {
            writeln!(sandbox.open_logs("p", run).unwrap().stdout, "run {run}").unwrap();
        }
        let runs: Vec<_> = std::fs::read_dir(path.join(".logs/p")).unwrap().collect();
        assert_eq!(runs.len(), usize::try_from(KEPT_RUNS).unwrap());
        assert!(!path.join(".logs/p/4").exists());
        let last = path.join(".logs/p/104/stdout");
        assert_eq!(std::fs::read_to_string(last).unwrap(), "run 104\n");
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let link = directory.path().join("sandbox");
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(Sandbox::prepare(&link, None).is_err());

        let real = directory.path().join("real");
        let sandbox = Sandbox::prepare(&real, None).unwrap();
        std::os::unix::fs::symlink(&elsewhere, real.join(".logs/p")).unwrap();
        assert!(sandbox.open_logs("p", 0).is_err());
        sandbox.open_logs("q", 0).unwrap();
        // The directory for logs stays the one that was opened, whatever its name says now.
        std::fs::rename(real.join(".logs"), real.join("moved")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, real.join(".logs")).unwrap();
        sandbox.open_logs("q", 1).unwrap();
        assert!(real.join("moved/q/1/stdout").exists());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
