//! Takes tasks from the agent, runs them, reports on them, and knows when to go.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::{TaskInfo, TaskState};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::assignment::Assignment;
use crate::clock::{Clock, Moment};
use crate::config::{ExecutorConfig, Lifetime};
use crate::link::AgentLink;
use crate::process_table::ProcessTable;
use crate::status::Report;
use crate::task_driver::{KillWish, Shared, run_task};

// Dead strays of tasks that run on are reaped this often.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
// Kept of the shutdown grace for the last updates to arrive.
const DELIVERY_MARGIN: Duration = Duration::from_secs(1);

/// Why an executor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorEnd {
    /// Its tasks are over, or it has had none for long.
    Done,
    /// It was told to.
    Shutdown,
    /// Its agent is gone for good, or wants none of it.
    AgentGone,
}

/// Runs an executor until it is done, told to stop by its agent or by `stop`, or left alone.
///
/// Nothing that its tasks started is left when this returns.
pub async fn run<L: AgentLink>(
    link: L,
    config: ExecutorConfig,
    table: Arc<ProcessTable>,
    stop: impl Future<Output = ()>,
) -> ExecutorEnd {
    let clock = Clock::start();
    let (reports, report_receiver) = mpsc::unbounded_channel();
    let shared = Shared {
        clock,
        table,
        shim: config.shim.clone(),
        reports,
    };
    let supervisor = Supervisor {
        link,
        config,
        shared,
        tasks: HashMap::new(),
        drivers: JoinSet::new(),
        unacknowledged: HashSet::new(),
        n_unacknowledged: HashMap::new(),
        link_state: LinkState::Down,
        ending: None,
        has_had_tasks: false,
        quiet_since: clock.now(),
    };
    supervisor.supervise(report_receiver, stop).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkState {
    Down,
    Up,
    Gone,
}

#[derive(Debug, Clone, Copy)]
struct Ending {
    why: ExecutorEnd,
    // What still lives then is killed.
    deadline: Moment,
}

struct LiveTask {
    wishes: mpsc::UnboundedSender<KillWish>,
    driver: tokio::task::Id,
}

struct Supervisor<L> {
    link: L,
    config: ExecutorConfig,
    shared: Shared,
    tasks: HashMap<String, LiveTask>,
    drivers: JoinSet<()>,
    // The updates that wait for their acknowledgement, and their number for each task.
    unacknowledged: HashSet<Bytes>,
    n_unacknowledged: HashMap<String, usize>,
    link_state: LinkState,
    ending: Option<Ending>,
    has_had_tasks: bool,
    // The last moment with a task, or with a change of the link.
    quiet_since: Moment,
}

impl<L: AgentLink> Supervisor<L> {
    async fn supervise(
        mut self,
        mut reports: mpsc::UnboundedReceiver<Report>,
        stop: impl Future<Output = ()>,
    ) -> ExecutorEnd {
        let mut stop = pin!(stop);
        let mut stopped = false;
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        loop {
            let now = self.shared.clock.now();
            if let Some(end) = self.end(now) {
                self.leave_nothing(now).await;
                return end;
            }
            let alarm = self.shared.clock.instant(self.next_deadline());
            tokio::select! {
                event = self.link.next_event(), if self.link_state != LinkState::Gone => {
                    self.take_event(event);
                }
                Some(report) = reports.recv() => self.take_report(report),
                Some(joined) = self.drivers.join_next_with_id() => {
                    if let Err(error) = joined {
                        self.take_panic(&error);
                    }
                }
                () = &mut stop, if !stopped => {
                    stopped = true;
                    self.shut_down(ExecutorEnd::Shutdown, "the executor was told to stop");
                }
                _ = housekeeping.tick() => {
                    self.shared.table.kill_unowned();
                }
                () = tokio::time::sleep_until(alarm) => {}
            }
        }
    }

    fn take_event(&mut self, event: AgentEvent) {
        match event {
            AgentEvent::Subscribed(_) => {
                tracing::info!("subscribed");
                self.link_state = LinkState::Up;
                self.quiet_since = self.shared.clock.now();
            }
            AgentEvent::Launch(tasks) => {
                for task in tasks {
                    self.launch(&task);
                }
            }
            AgentEvent::Kill { task_id, grace } => {
                let reason = "kill requested".to_owned();
                match self.tasks.get(&task_id) {
                    Some(task) => wish(task, KillWish { reason, grace }),
                    // Usual: requests are repeated until the task is known to be over.
                    None => tracing::debug!(task_id, "kill of a task that is not here"),
                }
            }
            AgentEvent::Acknowledged { task_id, uuid } => self.acknowledged(task_id, &uuid),
            AgentEvent::Shutdown => {
                self.shut_down(ExecutorEnd::Shutdown, "the agent shuts the executor down");
            }
            AgentEvent::Disconnected => self.link_state = LinkState::Down,
            AgentEvent::Gone { reason } => {
                tracing::error!(reason, "the agent is gone");
                self.link_state = LinkState::Gone;
                self.shut_down(ExecutorEnd::AgentGone, "the agent is gone");
            }
        }
    }

    fn launch(&mut self, info: &TaskInfo) {
        let task_id = info.task_id.value.clone();
        let is_pending = self.n_unacknowledged.contains_key(&task_id);
        if self.tasks.contains_key(&task_id) || is_pending {
            tracing::warn!(task_id, "task launched twice");
            return;
        }
        self.has_had_tasks = true;
        self.take_report(Report::new(&task_id, TaskState::TaskStarting, None));
        if self.ending.is_some() {
            let message = Some("the executor is ending".to_owned());
            return self.take_report(Report::new(&task_id, TaskState::TaskKilled, message));
        }
        let assignment = match Assignment::read(info, &self.config.default_sandbox) {
            Ok(assignment) => assignment,
            Err(error) => {
                tracing::warn!(task_id, %error, "task refused");
                let message = Some(error.to_string());
                return self.take_report(Report::new(&task_id, TaskState::TaskFailed, message));
            }
        };
        let (wishes, wish_receiver) = mpsc::unbounded_channel();
        let driver = run_task(assignment, self.shared.clone(), wish_receiver);
        let driver = self.drivers.spawn(driver).id();
        self.tasks.insert(task_id, LiveTask { wishes, driver });
    }

    fn take_report(&mut self, report: Report) {
        let task_id = report.task_id.clone();
        if report.is_terminal() {
            self.tasks.remove(&task_id);
            self.quiet_since = self.shared.clock.now();
        }
        match report.into_status() {
            Ok(status) => {
                self.unacknowledged
                    .insert(status.uuid.clone().unwrap_or_default());
                *self.n_unacknowledged.entry(task_id).or_default() += 1;
                self.link.send_update(status);
            }
            Err(error) => tracing::error!(task_id, %error, "no randomness for an update"),
        }
    }

    fn acknowledged(&mut self, task_id: String, uuid: &Bytes) {
        if !self.unacknowledged.remove(uuid) {
            return;
        }
        if let Entry::Occupied(mut entry) = self.n_unacknowledged.entry(task_id) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn take_panic(&mut self, error: &tokio::task::JoinError) {
        let found = self
            .tasks
            .iter()
            .find(|(_, task)| task.driver == error.id());
        let Some(task_id) = found.map(|(task_id, _)| task_id.clone()) else {
            return;
        };
        tracing::error!(task_id, %error, "the driver of a task broke");
        // Its strays name no live task now, and fall at the next housekeeping.
        self.shared.table.abandon(&task_id);
        let message = Some("internal error of the executor".to_owned());
        self.take_report(Report::new(&task_id, TaskState::TaskFailed, message));
    }

    fn shut_down(&mut self, why: ExecutorEnd, reason: &str) {
        let grace = self.config.shutdown_grace;
        let deadline = self.shared.clock.now() + grace;
        if self
            .ending
            .is_some_and(|ending| ending.deadline <= deadline)
        {
            return;
        }
        tracing::info!(reason, ?grace, "ending");
        self.ending = Some(Ending { why, deadline });
        let grace = Some(grace.saturating_sub(DELIVERY_MARGIN.min(grace / 4)));
        for task in self.tasks.values() {
            wish(
                task,
                KillWish {
                    reason: reason.to_owned(),
                    grace,
                },
            );
        }
    }

    fn end(&self, now: Moment) -> Option<ExecutorEnd> {
        let is_delivered = self.unacknowledged.is_empty();
        if let Some(Ending { why, deadline }) = self.ending {
            let is_over =
                self.tasks.is_empty() && (is_delivered || self.link_state == LinkState::Gone);
            return (is_over || deadline <= now).then_some(why);
        }
        if !self.tasks.is_empty() {
            return None;
        }
        let is_over = match self.config.lifetime {
            Lifetime::Tasks if self.has_had_tasks && is_delivered => true,
            // Without a link the updates have not had their chance yet.
            Lifetime::Tasks => self.link_state == LinkState::Up && self.give_up_at() <= now,
            Lifetime::Shared { .. } => is_delivered && self.give_up_at() <= now,
        };
        is_over.then_some(ExecutorEnd::Done)
    }

    fn give_up_at(&self) -> Moment {
        self.quiet_since
            + match self.config.lifetime {
                Lifetime::Tasks => self.config.acknowledge_timeout,
                Lifetime::Shared { idle_timeout } => idle_timeout,
            }
    }

    fn next_deadline(&self) -> Moment {
        match self.ending {
            Some(ending) => ending.deadline,
            None if self.tasks.is_empty() && self.give_up_at() > self.shared.clock.now() => {
                self.give_up_at()
            }
            None => Moment::MAX,
        }
    }

    // Whatever still lives dies now: nobody would look after it.
    async fn leave_nothing(&mut self, now: Moment) {
        self.drivers.shutdown().await;
        for task_id in self.tasks.keys() {
            tracing::warn!(task_id, "task cut short");
            self.shared.table.abandon(task_id);
        }
        let give_up = now + DELIVERY_MARGIN;
        while self.shared.table.kill_unowned() > 0 && self.shared.clock.now() < give_up {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn wish(task: &LiveTask, wish: KillWish) {
    if task.wishes.send(wish).is_err() {
        tracing::debug!("kill of a task that has just ended");
    }
}
