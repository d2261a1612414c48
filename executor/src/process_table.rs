//! Knows which children of this process are whose: those that it started, and strays.
//!
//! The executor is a subreaper: a descendant whose parents have died becomes its child. Such a
//! stray belongs to the task that its environment names, or else to the one whose mark it bears; see
//! [`crate::task_mark`]. One table serves the whole process, as children belong to the process.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::proc_fs::{self, Stat};
use crate::task_mark::{self, Mark};

/// The children of this process.
#[derive(Debug, Default)]
pub struct ProcessTable {
    inner: Mutex<Inner>,
}

// Each with its mark.
type LiveTasks = HashMap<String, Mark>;

#[derive(Debug, Default)]
struct Inner {
    // Each with its task.
    started: HashMap<Pid, Arc<str>>,
    live_tasks: LiveTasks,
    marks: HashMap<Mark, String>,
    next_mark: Mark,
}

/// A descendant of a task that the executor did not start itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stray {
    pub(crate) pid: Pid,
    pub(crate) group: i32,
}

impl ProcessTable {
    /// Makes an empty table, and makes this process the parent of its orphaned descendants.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses.
    pub fn new() -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self::default())
    }

    pub(crate) fn task_began(&self, task_id: &str) {
        let mut inner = self.lock();
        let mark = inner.next_mark;
        inner.next_mark = mark.next();
        inner.live_tasks.insert(task_id.to_owned(), mark);
        inner.marks.insert(mark, task_id.to_owned());
    }

    pub(crate) fn task_ended(&self, task_id: &str) {
        self.lock().remove_task(task_id);
    }

    /// Starts a child of a task; `start` returns it with its pid.
    pub(crate) fn start<T>(
        &self,
        task_id: &Arc<str>,
        start: impl FnOnce() -> io::Result<(Pid, T)>,
    ) -> io::Result<T> {
        // Locked throughout, so that nobody takes the new child for a stray.
        let mut inner = self.lock();
        if let Some(mark) = inner.live_tasks.get(&**task_id) {
            task_mark::pass_on(*mark);
        }
        let (pid, child) = start()?;
        inner.started.insert(pid, Arc::clone(task_id));
        Ok(child)
    }

    /// Reaps a child that was started here.
    pub(crate) fn reap<T>(&self, pid: Pid, reap: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.lock();
        inner.started.remove(&pid);
        reap()
    }

    /// Returns the strays of a task, once the dead ones are reaped.
    ///
    /// Strays of tasks that are over are killed on the way.
    pub(crate) fn strays(&self, task_id: &str) -> Vec<Stray> {
        self.scan(|owner, is_exiting, live| match owner {
            Some(owner) if owner == task_id => Verdict::Keep,
            // What it leaves behind when it is gone may be ours.
            None if is_exiting => Verdict::Keep,
            Some(owner) if live.contains_key(owner) => Verdict::Ignore,
            Some(_) => Verdict::Kill,
            None if live.len() <= 1 && live.contains_key(task_id) => Verdict::Keep,
            None => Verdict::Ignore,
        })
    }

    /// Kills all that belongs to no live task; what names no task, only if no task lives.
    ///
    /// Returns how many are still there.
    pub(crate) fn kill_unowned(&self) -> usize {
        let unowned = self.scan(|owner, _, live| match owner {
            Some(owner) if live.contains_key(owner) => Verdict::Ignore,
            None if !live.is_empty() => Verdict::Ignore,
            Some(_) | None => Verdict::Keep,
        });
        for stray in &unowned {
            kill(stray.pid, Signal::KILL);
        }
        unowned.len()
    }

    /// Kills what a task has started, which nobody else will reap.
    pub(crate) fn abandon(&self, task_id: &str) {
        let mut inner = self.lock();
        inner.remove_task(task_id);
        // From now on its processes count as strays.
        for (leader, _) in inner.started.extract_if(|_, owner| **owner == *task_id) {
            kill_group(leader, Signal::KILL);
        }
    }

    fn scan(&self, judge: impl Fn(Option<&str>, bool, &LiveTasks) -> Verdict) -> Vec<Stray> {
        let inner = self.lock();
        let children = proc_fs::children().unwrap_or_else(|error| {
            tracing::warn!(%error, "failed to list children");
            Vec::new()
        });
        let mut strays = Vec::new();
        for pid in children {
            if inner.started.contains_key(&pid) {
                continue;
            }
            let Some(Stat {
                is_zombie,
                is_exiting,
                group,
                ..
            }) = proc_fs::stat(pid)
            else {
                continue;
            };
            if is_zombie {
                reap_stray(pid);
                continue;
            }
            let owner = proc_fs::task_of(pid).or_else(|| inner.marked_owner(pid));
            match judge(owner.as_deref(), is_exiting, &inner.live_tasks) {
                Verdict::Keep => strays.push(Stray { pid, group }),
                Verdict::Kill => kill(pid, Signal::KILL),
                Verdict::Ignore => {}
            }
        }
        strays
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remove_task(&mut self, task_id: &str) {
        if let Some(mark) = self.live_tasks.remove(task_id) {
            self.marks.remove(&mark);
        }
    }

    // Of a mark that is no longer known, the task is over, whichever it was.
    fn marked_owner(&self, pid: Pid) -> Option<String> {
        let mark = task_mark::of(pid)?;
        Some(self.marks.get(&mark).cloned().unwrap_or_default())
    }
}

enum Verdict {
    Keep,
    Kill,
    Ignore,
}

/// Sends a signal to a child that has not been reaped, so that the pid is its own.
pub(crate) fn kill(pid: Pid, signal: Signal) {
    if let Err(error) = rustix::process::kill_process(pid, signal) {
        tracing::debug!(pid = pid.as_raw_nonzero(), ?signal, %error, "failed to signal a process");
    }
}

/// Sends a signal to the group of a leader that has not been reaped, so that the group is its own.
pub(crate) fn kill_group(leader: Pid, signal: Signal) {
    if let Err(error) = rustix::process::kill_process_group(leader, signal) {
        tracing::debug!(pid = leader.as_raw_nonzero(), ?signal, %error, "failed to signal a group");
    }
}

/// Reaps an adopted child if it is dead.
pub(crate) fn reap_stray(pid: Pid) {
    if let Err(error) = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
        tracing::debug!(pid = pid.as_raw_nonzero(), %error, "failed to reap a process");
    }
}
