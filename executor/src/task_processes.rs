//! The processes of one task: those it started and the strays that they left.

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustix::process::{Pid, Signal};

use crate::assignment::ReadyProcess;
use crate::child::{PidEnd, RunningChild, Surroundings};
use crate::process_table::{ProcessTable, Stray, kill, kill_group};
use crate::sandbox::Sandbox;

/// The death of a process. One that was started here is still to be reaped.
pub(crate) enum Death {
    Process { process: usize, child: RunningChild },
    Stray(Pid),
}

type DeathFuture = Pin<Box<dyn Future<Output = Death> + Send>>;

/// What lives of one task.
pub(crate) struct TaskProcesses {
    task_id: Arc<str>,
    table: Arc<ProcessTable>,
    surroundings: Surroundings,
    sandbox: Sandbox,
    running: HashMap<usize, Pid>,
    deaths: FuturesUnordered<DeathFuture>,
    // Strays whose death is awaited.
    watched: HashSet<Pid>,
    // Groups that have had their SIGTERM: a second one makes some programs give up at once.
    terminated: HashSet<i32>,
}

impl TaskProcesses {
    pub(crate) fn new(
        task_id: Arc<str>,
        table: Arc<ProcessTable>,
        surroundings: Surroundings,
        sandbox: Sandbox,
    ) -> Self {
        Self {
            task_id,
            table,
            surroundings,
            sandbox,
            running: HashMap::new(),
            deaths: FuturesUnordered::new(),
            watched: HashSet::new(),
            terminated: HashSet::new(),
        }
    }

    /// Starts run number `run` of a process, which has number `index` in the task.
    pub(crate) fn start(
        &mut self,
        index: usize,
        process: &ReadyProcess,
        run: u64,
    ) -> io::Result<()> {
        let logs = self.sandbox.open_logs(&process.name, run)?;
        let child = RunningChild::start(
            &self.table,
            &self.task_id,
            &process.cmdline,
            &self.surroundings,
            &logs,
        )?;
        self.running.insert(index, child.pid());
        self.deaths.push(Box::pin(async move {
            child.dead().await;
            Death::Process {
                process: index,
                child,
            }
        }));
        Ok(())
    }

    /// Waits for the next death; for ever if nothing lives. Cancelling loses nothing.
    pub(crate) async fn next_death(&mut self) -> Death {
        if self.deaths.is_empty() {
            return std::future::pending().await;
        }
        match self.deaths.next().await {
            Some(death) => death,
            None => std::future::pending().await,
        }
    }

    /// Notes that a process of the task is dead and reaped.
    pub(crate) fn reaped(&mut self, index: usize) {
        self.running.remove(&index);
    }

    /// Notes that a stray is dead.
    pub(crate) fn stray_gone(&mut self, pid: Pid) {
        self.watched.remove(&pid);
    }

    /// Sends SIGTERM to everything once; returns the number of strays.
    pub(crate) fn terminate(&mut self) -> usize {
        for leader in self.running.values() {
            if self.terminated.insert(leader.as_raw_nonzero().get()) {
                kill_group(*leader, Signal::TERM);
            }
        }
        let strays = self.strays();
        for stray in &strays {
            if self.terminated.insert(stray.group) {
                signal(stray, Signal::TERM);
            }
        }
        strays.len()
    }

    /// Sends SIGKILL to everything; returns the number of strays.
    pub(crate) fn kill(&mut self) -> usize {
        for leader in self.running.values() {
            kill_group(*leader, Signal::KILL);
        }
        let strays = self.strays();
        for stray in &strays {
            signal(stray, Signal::KILL);
        }
        strays.len()
    }

    // Finds the strays and sees to it that their deaths are heard of.
    fn strays(&mut self) -> Vec<Stray> {
        let strays = self.table.strays(&self.task_id);
        for stray in &strays {
            if self.watched.contains(&stray.pid) {
                continue;
            }
            let pid = stray.pid;
            match PidEnd::watch(pid) {
                Ok(end) => {
                    self.watched.insert(pid);
                    self.deaths.push(Box::pin(async move {
                        end.wait().await;
                        Death::Stray(pid)
                    }));
                }
                Err(error) => tracing::warn!(%error, "failed to watch a leftover process"),
            }
        }
        strays
    }
}

fn signal(stray: &Stray, with: Signal) {
    // The leader of a group has not been reaped, so that the group is its own.
    if stray.group == stray.pid.as_raw_nonzero().get() {
        kill_group(stray.pid, with);
    } else {
        kill(stray.pid, with);
    }
}
