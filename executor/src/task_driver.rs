//! Runs one task: does what its plan says and tells it what happened.

use std::sync::Arc;
use std::time::Duration;

use aurora_mesos::v1::TaskState;
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::assignment::Assignment;
use crate::child::Surroundings;
use crate::clock::Clock;
use crate::environment::task_environment;
use crate::plan::RunEnd;
use crate::process_table::{ProcessTable, kill_group};
use crate::run_end;
use crate::sandbox::Sandbox;
use crate::shim::Shim;
use crate::status::Report;
use crate::task_plan::{Outcome, Step, TaskPlan};
use crate::task_processes::{Death, TaskProcesses};

/// A wish that the task ends.
#[derive(Debug, Clone)]
pub(crate) struct KillWish {
    pub(crate) reason: String,
    /// Absent, the task's own time holds.
    pub(crate) grace: Option<Duration>,
}

/// What all tasks of an executor share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) table: Arc<ProcessTable>,
    pub(crate) shim: Shim,
    pub(crate) reports: mpsc::UnboundedSender<Report>,
}

impl Shared {
    pub(crate) fn report(&self, report: Report) {
        if self.reports.send(report).is_err() {
            tracing::error!("nobody takes reports of tasks any more");
        }
    }
}

/// Runs `assignment` to its end and reports what becomes of it.
pub(crate) async fn run_task(
    assignment: Assignment,
    shared: Shared,
    wishes: mpsc::UnboundedReceiver<KillWish>,
) {
    let task_id = assignment.task.task_id.clone();
    shared.table.task_began(&task_id);
    let outcome = match Driver::prepare(assignment, shared.clone(), wishes) {
        Ok(driver) => driver.drive().await,
        Err(message) => Outcome::Failed(message),
    };
    shared.table.task_ended(&task_id);
    // Not for every log: an executor lives through any number of tasks.
    tracing::debug!(task_id, ?outcome, "task ended");
    shared.report(Report::of_outcome(&task_id, outcome));
}

struct Driver {
    task_id: Arc<str>,
    shared: Shared,
    wishes: mpsc::UnboundedReceiver<KillWish>,
    own_grace: Duration,
    ready: Vec<crate::assignment::ReadyProcess>,
    plan: TaskPlan,
    processes: TaskProcesses,
    is_running: bool,
}

impl Driver {
    fn prepare(
        assignment: Assignment,
        shared: Shared,
        wishes: mpsc::UnboundedReceiver<KillWish>,
    ) -> Result<Self, String> {
        let Assignment {
            task,
            processes: ready,
            plan,
            identity,
            sandbox,
            kill_grace,
        } = assignment;
        let sandbox = Sandbox::prepare(&sandbox, identity.other()).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("{error}: {}", cause.unwrap_or_default())
        })?;
        let surroundings = Surroundings {
            environment: task_environment(&task, identity.name(), sandbox.path()),
            directory: sandbox.path().to_owned(),
            identity,
            shim: shared.shim.clone(),
        };
        let task_id: Arc<str> = task.task_id.into();
        let own_grace = kill_grace.unwrap_or_else(|| plan.finalization_wait());
        let table = Arc::clone(&shared.table);
        let processes = TaskProcesses::new(Arc::clone(&task_id), table, surroundings, sandbox);
        let is_running = false;
        Ok(Self {
            task_id,
            shared,
            wishes,
            own_grace,
            ready,
            plan,
            processes,
            is_running,
        })
    }

    async fn drive(mut self) -> Outcome {
        loop {
            match self.plan.next_step(self.shared.clock.now()) {
                Step::Start { process, run } => self.start(process, run),
                Step::Terminate => self.plan.strays(self.processes.terminate()),
                Step::Kill => self.plan.strays(self.processes.kill()),
                Step::Wait => self.wait().await,
                Step::End(outcome) => return outcome,
            }
        }
    }

    fn start(&mut self, process: usize, run: u64) {
        let ready = &self.ready[process];
        match self.processes.start(process, ready, run) {
            Ok(()) => {
                tracing::debug!(
                    task_id = &*self.task_id,
                    process = ready.name,
                    run,
                    "started"
                );
                if !self.is_running {
                    self.is_running = true;
                    let report = Report::new(&self.task_id, TaskState::TaskRunning, None);
                    self.shared.report(report);
                }
            }
            Err(error) => {
                let description = format!("process `{}` could not be started: {error}", ready.name);
                tracing::warn!(task_id = &*self.task_id, description);
                self.plan
                    .not_started(process, &description, self.shared.clock.now());
            }
        }
    }

    async fn wait(&mut self) {
        let clock = self.shared.clock;
        let wake_at = self.plan.wake_at(clock.now());
        let alarm = async {
            match wake_at {
                Some(moment) => tokio::time::sleep_until(clock.instant(moment)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(wish) = self.wishes.recv() => {
                let grace = wish.grace.unwrap_or(self.own_grace);
                self.plan.kill(&wish.reason, grace, clock.now());
            }
            death = self.processes.next_death() => self.died(death),
            () = alarm => {}
        }
    }

    fn died(&mut self, death: Death) {
        match death {
            Death::Stray(pid) => self.processes.stray_gone(pid),
            Death::Process { process, child } => {
                if self.plan.kills_group_at_run_end() {
                    // Not yet reaped, so that nobody else can have taken the group's number.
                    kill_group(child.pid(), Signal::KILL);
                }
                let name = &self.ready[process].name;
                let (end, description) = match child.reap(&self.shared.table) {
                    Ok(status) => (run_end::judge(status), run_end::describe(name, status)),
                    Err(error) => (
                        RunEnd::Failed,
                        format!("process `{name}` was lost: {error}"),
                    ),
                };
                self.processes.reaped(process);
                self.plan
                    .ended(process, end, &description, self.shared.clock.now());
            }
        }
        if self.plan.counts_strays() {
            // The dead may have left children, which are ours now.
            let n_strays = if self.plan.kills_group_at_run_end() {
                self.processes.kill()
            } else {
                self.processes.terminate()
            };
            self.plan.strays(n_strays);
        }
    }
}
