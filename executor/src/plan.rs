//! Decides which processes may run: order, limits, restarts and gaps between runs.
//!
//! One plan holds the ordinary processes of a task, another its final ones. It knows no clock and
//! no process: moments and ends of runs are told to it.

use std::time::Duration;

use thiserror::Error;

use crate::clock::Moment;

/// What the plan has to know of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRules {
    /// Its name, unique within the task.
    pub name: String,
    /// Failed runs until it has failed for good; 0 means no limit.
    pub max_failures: u32,
    /// A run that succeeds is followed by another.
    pub daemon: bool,
    /// The task does not wait for it.
    pub ephemeral: bool,
    /// The least time from the end of a run to the start of the next.
    pub min_duration: Duration,
}

/// How a run ended, as far as the plan cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// With exit code 0.
    Succeeded,
    /// With another exit code, or by a signal that was not ours.
    Failed,
}

/// A plan that makes no sense.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PlanError {
    /// Two processes have one name.
    #[error("process `{0}` is declared twice")]
    Duplicate(String),
    /// An order names a process that is not there.
    #[error("the order names `{0}`, which is no process of its kind in this task")]
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    // May start at that moment, if its predecessors let it.
    Idle { not_before: Moment },
    Running,
    Finished,
    Failed,
}

#[derive(Debug, Clone)]
struct Entry {
    rules: ProcessRules,
    predecessors: Vec<usize>,
    progress: Progress,
    n_failures: u32,
    n_runs: u64,
}

/// The processes of one kind and how far they have come.
///
/// ```
/// use aurora_executor::plan::{Plan, ProcessRules, RunEnd};
/// use std::time::Duration;
///
/// let rules = |name: &str| ProcessRules {
///     name: name.to_owned(),
///     max_failures: 1,
///     daemon: false,
///     ephemeral: false,
///     min_duration: Duration::ZERO,
/// };
/// let order = [vec!["fetch".to_owned(), "serve".to_owned()]];
/// let mut plan = Plan::new(vec![rules("serve"), rules("fetch")], &order, 0).unwrap();
/// assert_eq!(plan.startable(Duration::ZERO), [1]);
/// plan.started(1);
/// plan.ended(1, RunEnd::Succeeded, Duration::ZERO);
/// assert_eq!(plan.startable(Duration::ZERO), [0]);
/// ```
#[derive(Debug, Clone)]
pub struct Plan {
    entries: Vec<Entry>,
    // 0 means no limit.
    max_concurrency: usize,
}

impl Plan {
    /// Makes a plan in which nothing has run; each list of `orders` is serial.
    ///
    /// # Errors
    ///
    /// Fails for duplicate names and for orders over unknown names.
    pub fn new(
        processes: Vec<ProcessRules>,
        orders: &[Vec<String>],
        max_concurrency: u32,
    ) -> Result<Self, PlanError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(processes.len());
        for rules in processes {
            if entries.iter().any(|entry| entry.rules.name == rules.name) {
                return Err(PlanError::Duplicate(rules.name));
            }
            let progress = Progress::Idle {
                not_before: Moment::ZERO,
            };
            let predecessors = Vec::new();
            entries.push(Entry {
                rules,
                predecessors,
                progress,
                n_failures: 0,
                n_runs: 0,
            });
        }
        let index_of = |name: &String| {
            let position = entries.iter().position(|entry| entry.rules.name == *name);
            position.ok_or_else(|| PlanError::Unknown(name.clone()))
        };
        let mut edges = Vec::new();
        for order in orders {
            let indices = order.iter().map(index_of).collect::<Result<Vec<_>, _>>()?;
            edges.extend(indices.windows(2).map(|pair| (pair[0], pair[1])));
        }
        for (before, after) in edges {
            entries[after].predecessors.push(before);
        }
        let max_concurrency = usize::try_from(max_concurrency).unwrap_or(usize::MAX);
        Ok(Self {
            entries,
            max_concurrency,
        })
    }

    /// Returns the processes to start now, in the order of their declaration.
    #[must_use]
    pub fn startable(&self, now: Moment) -> Vec<usize> {
        let n_running = self.n_running();
        let free = match self.max_concurrency {
            0 => usize::MAX,
            limit => limit.saturating_sub(n_running),
        };
        let due = |&index: &usize| match self.entries[index].progress {
            Progress::Idle { not_before } => not_before <= now && self.is_unblocked(index),
            Progress::Running | Progress::Finished | Progress::Failed => false,
        };
        (0..self.entries.len()).filter(due).take(free).collect()
    }

    /// Returns when a process that only waits for its time may start, if any does.
    #[must_use]
    pub fn next_due(&self, now: Moment) -> Option<Moment> {
        let gate = |(index, entry): (usize, &Entry)| match entry.progress {
            Progress::Idle { not_before } if now < not_before && self.is_unblocked(index) => {
                Some(not_before)
            }
            Progress::Idle { .. } | Progress::Running | Progress::Finished | Progress::Failed => {
                None
            }
        };
        self.entries.iter().enumerate().filter_map(gate).min()
    }

    /// Notes that a run has begun; returns its number, from 0.
    pub fn started(&mut self, index: usize) -> u64 {
        let entry = &mut self.entries[index];
        entry.progress = Progress::Running;
        entry.n_runs += 1;
        entry.n_runs - 1
    }

    /// Notes that the run of a process has ended.
    pub fn ended(&mut self, index: usize, end: RunEnd, now: Moment) {
        let entry = &mut self.entries[index];
        let again = Progress::Idle {
            not_before: now + entry.rules.min_duration,
        };
        entry.progress = match end {
            RunEnd::Succeeded if entry.rules.daemon => again,
            RunEnd::Succeeded => Progress::Finished,
            RunEnd::Failed => {
                entry.n_failures = entry.n_failures.saturating_add(1);
                let limit = entry.rules.max_failures;
                if limit == 0 || entry.n_failures < limit {
                    again
                } else if entry.rules.ephemeral {
                    Progress::Finished
                } else {
                    Progress::Failed
                }
            }
        };
    }

    /// Whether nothing is left to wait for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.entries.iter().all(|entry| {
            entry.rules.ephemeral || matches!(entry.progress, Progress::Finished | Progress::Failed)
        })
    }

    /// Whether the plan is not complete and never can be.
    #[must_use]
    pub fn is_deadlocked(&self) -> bool {
        let can_move = |(index, entry): (usize, &Entry)| match entry.progress {
            Progress::Running => true,
            Progress::Idle { .. } => self.is_unblocked(index),
            Progress::Finished | Progress::Failed => false,
        };
        !self.is_complete() && !self.entries.iter().enumerate().any(can_move)
    }

    /// Returns a process that waits for ever, and the one that it waits for.
    #[must_use]
    pub fn blocked_pair(&self) -> Option<(&str, &str)> {
        self.entries.iter().find_map(|entry| {
            let idle = matches!(entry.progress, Progress::Idle { .. });
            let blocker = entry
                .predecessors
                .iter()
                .find(|&&before| !self.is_finished(before));
            let before = blocker.filter(|_| idle && !entry.rules.ephemeral)?;
            Some((
                entry.rules.name.as_str(),
                self.entries[*before].rules.name.as_str(),
            ))
        })
    }

    /// Returns how many processes have failed for good.
    #[must_use]
    pub fn n_failed(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.progress == Progress::Failed)
            .count()
    }

    /// Returns how many processes run.
    #[must_use]
    pub fn n_running(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.progress == Progress::Running)
            .count()
    }

    /// Whether the process has failed for good.
    #[must_use]
    pub fn has_failed(&self, index: usize) -> bool {
        self.entries[index].progress == Progress::Failed
    }

    /// Returns how many runs of the process have failed.
    #[must_use]
    pub fn n_failures(&self, index: usize) -> u32 {
        self.entries[index].n_failures
    }

    fn is_finished(&self, index: usize) -> bool {
        self.entries[index].progress == Progress::Finished
    }

    fn is_unblocked(&self, index: usize) -> bool {
        self.entries[index]
            .predecessors
            .iter()
            .all(|&before| self.is_finished(before))
    }
}

#[cfg(test)]
mod tests;
