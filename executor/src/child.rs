//! Starts one process and waits for its end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::command_line::plain_words;
use crate::identity::Identity;
use crate::process_table::{ProcessTable, kill_group};
use crate::sandbox::RunLogs;
use crate::shim;
use crate::users::User;

const SHELL: &str = "/bin/bash";

/// What the processes of one task have in common.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) identity: Identity,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) directory: PathBuf,
    /// The program that changes identity where the standard library cannot.
    pub(crate) shim: shim::Shim,
}

/// A process that was started here, the leader of its own group.
#[derive(Debug)]
pub(crate) struct RunningChild {
    child: Child,
    pid: Pid,
    end: PidEnd,
}

impl RunningChild {
    /// Starts `cmdline`.
    pub(crate) fn start(
        table: &ProcessTable,
        task_id: &Arc<str>,
        cmdline: &str,
        surroundings: &Surroundings,
        logs: &RunLogs,
    ) -> io::Result<Self> {
        let words = plain_words(cmdline).filter(|_| surroundings.shimmed_user().is_none());
        let started = match words {
            None => None,
            // Whatever is wrong with the program, the shell words it as users know it.
            Some(words) => surroundings.start(table, task_id, &words, logs).ok(),
        };
        let mut child = match started {
            Some(child) => child,
            None => surroundings.start(table, task_id, &[SHELL, "-c", cmdline], logs)?,
        };
        let pid = pid_of(&child)?;
        match PidEnd::watch(pid) {
            Ok(end) => Ok(Self { child, pid, end }),
            Err(error) => {
                // Without a handle nobody would ever reap it.
                kill_group(pid, Signal::KILL);
                table.reap(pid, || child.wait())?;
                Err(error)
            }
        }
    }

    pub(crate) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until the process is dead. It is still to be reaped, and until then keeps its number.
    pub(crate) async fn dead(&self) {
        self.end.wait().await;
    }

    /// Reaps the dead process.
    pub(crate) fn reap(mut self, table: &ProcessTable) -> io::Result<ExitStatus> {
        table.reap(self.pid, || self.child.wait())
    }
}

/// Sees the end of a child, without reaping it.
#[derive(Debug)]
pub(crate) struct PidEnd(AsyncFd<OwnedFd>);

impl PidEnd {
    /// Watches a child that has not been reaped.
    #[expect(
        deprecated,
        reason = "its replacement is unsafe, for types that change their descriptor; `OwnedFd` does not"
    )]
    pub(crate) fn watch(pid: Pid) -> io::Result<Self> {
        let descriptor = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        let watched = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        Ok(Self(watched))
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) {
        if let Err(error) = self.0.readable().await {
            // Only when the runtime shuts down.
            tracing::debug!(%error, "failed to wait for a process");
        }
    }
}

impl Surroundings {
    fn start(
        &self,
        table: &ProcessTable,
        task_id: &Arc<str>,
        words: &[&str],
        logs: &RunLogs,
    ) -> io::Result<Child> {
        let mut command = self.command(words);
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(File::open("/dev/null")?)
            .stdout(logs.stdout.try_clone()?)
            .stderr(logs.stderr.try_clone()?)
            .process_group(0);
        table.start(task_id, || {
            let child = command.spawn()?;
            Ok((pid_of(&child)?, child))
        })
    }

    // The standard library empties the list of groups when it changes the user.
    fn shimmed_user(&self) -> Option<&User> {
        self.identity.other().filter(|user| user.groups.len() > 1)
    }

    fn command(&self, words: &[&str]) -> Command {
        if let Some(user) = self.shimmed_user() {
            return self.shim.command(user, words);
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        // Without another identity the standard library takes its fast path, posix_spawn.
        if let Some(user) = self.identity.other() {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("a child without a usable pid"))
}
