//! Decides what a task does next: run, clean up, finalize, end.
//!
//! ```text
//! Active -> Cleaning -> (Clearing) -> Finalizing -> (Clearing) -> Ended
//! ```
//!
//! Knows no process and no clock. Its driver asks for the next [`Step`], does it, and tells what
//! happened. Final processes start at most once each time the task ends, whoever ends it, and the
//! time to end is one budget: cleaning may use half of it if final processes wait.

use std::time::Duration;

use aurora_proto::v1::TaskConfig;

use crate::clock::Moment;
use crate::plan::{Plan, PlanError, ProcessRules, RunEnd};

// A process in uninterruptible sleep survives SIGKILL until its driver lets go.
const UNKILLABLE_AFTER: Duration = Duration::from_secs(10);

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, with success.
    Finished,
    /// By itself; the text says what failed.
    Failed(String),
    /// Because somebody wished so; the text says who.
    Killed(String),
}

/// What the driver has to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start a process, then tell [`TaskPlan::not_started`] if that failed.
    Start {
        /// Its index in the configuration.
        process: usize,
        /// The number of the run.
        run: u64,
    },
    /// Send SIGTERM to all that is left, then tell [`TaskPlan::strays`].
    Terminate,
    /// Send SIGKILL to all that is left, then tell [`TaskPlan::strays`].
    Kill,
    /// Nothing until an event or [`TaskPlan::wake_at`].
    Wait,
    /// The task is over and nothing of it is left.
    End(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Active,
    // SIGTERM is out. SIGKILL follows at the moment.
    Cleaning { until: Moment },
    // SIGKILL is out. At the moment what still lives is left alone.
    Clearing { give_up: Moment, then: Next },
    Finalizing,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Finalize,
    End,
}

/// One task on its way.
#[derive(Debug)]
pub struct TaskPlan {
    stage: Stage,
    regular: Plan,
    finals: Plan,
    // Where each process of the configuration is found: whether it is final, and its index there.
    places: Vec<Place>,
    max_failures: usize,
    finalization_wait: Duration,
    // The end of the budget, once ending has begun.
    deadline: Moment,
    outcome: Outcome,
    first_failure: Option<String>,
    n_strays: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    is_final: bool,
    index: usize,
}

impl TaskPlan {
    /// Makes the plan of a task that has not begun.
    ///
    /// # Errors
    ///
    /// Fails if names are not unique, or an order names what is not there or mixes final and
    /// ordinary processes.
    pub fn new(config: &TaskConfig) -> Result<Self, PlanError> {
        let mut places = Vec::with_capacity(config.processes.len());
        let (mut regular, mut finals) = (Vec::new(), Vec::new());
        for process in &config.processes {
            let list = if process.r#final {
                &mut finals
            } else {
                &mut regular
            };
            places.push(Place {
                is_final: process.r#final,
                index: list.len(),
            });
            list.push(ProcessRules {
                name: process.name.clone(),
                max_failures: process.max_failures,
                daemon: process.daemon,
                ephemeral: process.ephemeral,
                min_duration: Duration::from_secs(process.min_duration_secs.into()),
            });
        }
        let (mut regular_orders, mut final_orders) = (Vec::new(), Vec::new());
        for order in &config.order {
            let first = order.processes.first();
            let is_final = finals.iter().any(|rules| Some(&rules.name) == first);
            let orders = if is_final {
                &mut final_orders
            } else {
                &mut regular_orders
            };
            orders.push(order.processes.clone());
        }
        Ok(Self {
            stage: Stage::Active,
            regular: Plan::new(regular, &regular_orders, config.max_concurrency)?,
            finals: Plan::new(finals, &final_orders, config.max_concurrency)?,
            places,
            max_failures: usize::try_from(config.max_failures).unwrap_or(usize::MAX),
            finalization_wait: Duration::from_secs(config.finalization_wait_secs.into()),
            deadline: Moment::MAX,
            outcome: Outcome::Finished,
            first_failure: None,
            n_strays: 0,
        })
    }

    /// Returns what to do at `now`; to be asked again until the answer is `Wait` or `End`.
    pub fn next_step(&mut self, now: Moment) -> Step {
        loop {
            let step = match self.stage {
                Stage::Active => self.step_active(now),
                Stage::Cleaning { until } => self.step_cleaning(until, now),
                Stage::Clearing { give_up, then } => self.step_clearing(give_up, then, now),
                Stage::Finalizing => self.step_finalizing(now),
                Stage::Ended => Some(Step::End(self.outcome.clone())),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// Returns when to ask for the next step at the latest; `None` if only events matter.
    #[must_use]
    pub fn wake_at(&self, now: Moment) -> Option<Moment> {
        match self.stage {
            Stage::Active => self.regular.next_due(now),
            Stage::Cleaning { until } => Some(until),
            Stage::Clearing { give_up, .. } => Some(give_up),
            Stage::Finalizing => {
                let due = self.finals.next_due(now).unwrap_or(Moment::MAX);
                Some(due.min(self.deadline))
            }
            Stage::Ended => None,
        }
    }

    /// Notes that a run ended; `description` says how, for the task's message.
    pub fn ended(&mut self, process: usize, end: RunEnd, description: &str, now: Moment) {
        let Place { is_final, index } = self.places[process];
        if is_final {
            self.finals.ended(index, end, now);
            return;
        }
        self.regular.ended(index, end, now);
        let counts = self.stage == Stage::Active && self.regular.has_failed(index);
        if counts && self.first_failure.is_none() {
            let n_failures = self.regular.n_failures(index);
            let times = if n_failures > 1 {
                format!(" (failed {n_failures} times)")
            } else {
                String::new()
            };
            self.first_failure = Some(format!("{description}{times}"));
        }
    }

    /// Notes that a process could not be started, which counts as a failed run.
    pub fn not_started(&mut self, process: usize, description: &str, now: Moment) {
        self.ended(process, RunEnd::Failed, description, now);
    }

    /// Notes how many processes are left that the task did not start itself.
    pub const fn strays(&mut self, n_strays: usize) {
        self.n_strays = n_strays;
    }

    /// Whether the driver has to count strays after each end of a process.
    #[must_use]
    pub const fn counts_strays(&self) -> bool {
        matches!(self.stage, Stage::Cleaning { .. } | Stage::Clearing { .. })
    }

    /// Whether a run that ends takes its background processes with it.
    ///
    /// Not while cleaning: a shell that dies of SIGTERM at once must not cost its children their
    /// time to end.
    #[must_use]
    pub const fn kills_group_at_run_end(&self) -> bool {
        !matches!(self.stage, Stage::Cleaning { .. })
    }

    /// Wishes the task to end within `grace`. A later wish may shorten the time, never lengthen it.
    pub fn kill(&mut self, reason: &str, grace: Duration, now: Moment) {
        if self.stage == Stage::Ended {
            return;
        }
        if !matches!(self.outcome, Outcome::Killed(_)) {
            self.outcome = Outcome::Killed(reason.to_owned());
        }
        self.deadline = self.deadline.min(now.saturating_add(grace));
        if let Stage::Cleaning { until } = self.stage {
            self.stage = Stage::Cleaning {
                until: until.min(self.end_of_cleaning(now)),
            };
        }
    }

    /// Returns the budget to end that the task itself asks for.
    #[must_use]
    pub const fn finalization_wait(&self) -> Duration {
        self.finalization_wait
    }

    fn step_active(&mut self, now: Moment) -> Option<Step> {
        let is_killed = matches!(self.outcome, Outcome::Killed(_));
        let failure = self.failure();
        if !is_killed && failure.is_none() && !self.regular.is_complete() {
            let next = self.regular.startable(now).first().copied();
            return Some(next.map_or(Step::Wait, |index| self.start(false, index)));
        }
        if !is_killed {
            self.deadline = now.saturating_add(self.finalization_wait);
            self.outcome = failure.map_or(Outcome::Finished, Outcome::Failed);
        }
        self.stage = Stage::Cleaning {
            until: self.end_of_cleaning(now),
        };
        Some(Step::Terminate)
    }

    fn step_cleaning(&mut self, until: Moment, now: Moment) -> Option<Step> {
        if self.is_all_gone() {
            self.after_cleaning(now);
            return None;
        }
        if now < until {
            return Some(Step::Wait);
        }
        let then = if self.has_finals_to_run(now) {
            Next::Finalize
        } else {
            Next::End
        };
        Some(self.clear(then, now))
    }

    fn step_clearing(&mut self, give_up: Moment, then: Next, now: Moment) -> Option<Step> {
        if !self.is_all_gone() && now < give_up {
            return Some(Step::Wait);
        }
        match then {
            Next::Finalize => self.after_cleaning(now),
            Next::End => self.stage = Stage::Ended,
        }
        None
    }

    fn step_finalizing(&mut self, now: Moment) -> Option<Step> {
        let is_over = self.finals.is_complete() || self.finals.is_deadlocked();
        if is_over || self.deadline <= now {
            return Some(self.clear(Next::End, now));
        }
        let next = self.finals.startable(now).first().copied();
        Some(next.map_or(Step::Wait, |index| self.start(true, index)))
    }

    fn after_cleaning(&mut self, now: Moment) {
        self.stage = if self.has_finals_to_run(now) {
            Stage::Finalizing
        } else {
            Stage::Ended
        };
    }

    fn clear(&mut self, then: Next, now: Moment) -> Step {
        self.stage = Stage::Clearing {
            give_up: now.saturating_add(UNKILLABLE_AFTER),
            then,
        };
        Step::Kill
    }

    fn start(&mut self, is_final: bool, index: usize) -> Step {
        let plan = if is_final {
            &mut self.finals
        } else {
            &mut self.regular
        };
        let run = plan.started(index);
        let is_it = |place: &Place| place.is_final == is_final && place.index == index;
        let process = self.places.iter().position(is_it).unwrap_or_default();
        Step::Start { process, run }
    }

    fn has_finals_to_run(&self, now: Moment) -> bool {
        now < self.deadline && !self.finals.is_complete()
    }

    fn is_all_gone(&self) -> bool {
        self.n_strays == 0 && self.regular.n_running() == 0 && self.finals.n_running() == 0
    }

    fn end_of_cleaning(&self, now: Moment) -> Moment {
        if self.finals.is_complete() {
            return self.deadline;
        }
        now + self.deadline.saturating_sub(now) / 2
    }

    fn failure(&self) -> Option<String> {
        let n_failed = self.regular.n_failed();
        if self.max_failures != 0 && n_failed >= self.max_failures {
            let first = self.first_failure.clone().unwrap_or_default();
            return Some(match n_failed {
                0 | 1 => first,
                _ => format!("{first}; {n_failed} processes failed in all"),
            });
        }
        if !self.regular.is_deadlocked() {
            return None;
        }
        let blocked = self.regular.blocked_pair().map_or_else(
            || "no process can run any more".to_owned(),
            |(waiting, before)| format!("process `{waiting}` waits in vain for process `{before}`"),
        );
        Some(match &self.first_failure {
            Some(first) => format!("{first}; {blocked}"),
            None => blocked,
        })
    }
}

#[cfg(test)]
mod tests;
