//! Tasks come, change and go.

use std::num::NonZeroU64;

use aurora_proto::v1::{self, JobState, TaskState};

use crate::cluster::Effect;
use crate::ids::{AgentIdx, ConfigIdx, JobIdx, TaskNumber};
use crate::penalty;
use crate::placement::{Change, count_attributes};
use crate::scheduler::Scheduler;
use crate::task::{Task, is_on_agent, is_terminal};
use crate::time::Timestamp;
use crate::transitions::{Consequences, Replacement, Verdict, judge};

impl Scheduler {
    /// Makes the first attempt at an instance.
    pub(crate) fn new_task(
        &mut self,
        now: Timestamp,
        job: JobIdx,
        config: ConfigIdx,
        instance: u32,
    ) -> TaskNumber {
        let mut task = self.blank_task(job, config, instance);
        task.push_event(now, TaskState::Pending, "");
        self.add_task(task)
    }

    fn blank_task(&mut self, job: JobIdx, config: ConfigIdx, instance: u32) -> Task {
        Task {
            number: self.state.next_task_number(),
            job,
            config,
            instance,
            epoch: self.state.epoch(),
            state: TaskState::Init,
            agent: None,
            ports: Box::default(),
            failures: 0,
            times_partitioned: 0,
            flaps: 0,
            ancestor: None,
            events: Vec::with_capacity(4),
            dirty: false,
        }
    }

    fn add_task(&mut self, task: Task) -> TaskNumber {
        let number = task.number;
        self.counters.transitions += 1;
        self.state.insert_task(task);
        self.arm(number);
        number
    }

    /// Brings a task into another state, with all that follows, if that is legal.
    ///
    /// The order is fixed: count the failure, keep the new state, replace, and only then kill,
    /// so that the replacement carries the right count.
    pub(crate) fn change_state(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        to: TaskState,
        message: &str,
    ) -> bool {
        match judge(self.task_state(number), to) {
            Verdict::Same => false,
            Verdict::Illegal { kill } => {
                self.counters.illegal_transitions += 1;
                if kill {
                    self.send_kill(number);
                }
                false
            }
            Verdict::Legal(consequences) => {
                self.carry_out(now, number, to, message, consequences, |_| ());
                true
            }
        }
    }

    /// Gives a pending task to an agent.
    pub(crate) fn assign(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        agent: AgentIdx,
        ports: &[u16],
    ) {
        let to = TaskState::Assigned;
        let Verdict::Legal(consequences) = judge(self.task_state(number), to) else {
            self.counters.illegal_transitions += 1;
            return;
        };
        self.carry_out(now, number, to, "", consequences, |task| {
            task.agent = Some(agent);
            task.ports = ports.into();
        });
    }

    fn carry_out(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        to: TaskState,
        message: &str,
        consequences: Consequences,
        also: impl FnOnce(&mut Task),
    ) {
        let Some(before) = self.state.tasks.get(&number) else {
            return;
        };
        let (job, config, state) = (before.job, before.config, before.state);
        let was_killed = to == TaskState::Killed || before.was_ever(TaskState::Killing);
        let replace = is_terminal(to) && self.is_replaced(before, consequences.replacement);
        let flaps = penalty::flaps_after(before, now, &self.settings);
        self.counters.transitions += 1;
        self.state.update_task(number, |task| {
            if consequences.counts_failure {
                task.failures = task.failures.saturating_add(1);
            }
            if to == TaskState::Partitioned {
                task.times_partitioned = task.times_partitioned.saturating_add(1);
            }
            also(task);
            task.push_event(now, to, message);
        });
        if state == TaskState::Pending {
            self.groups.remove((job, config), number);
        }
        if is_on_agent(state) != is_on_agent(to) {
            self.follow_limits(number, job, to);
        }
        if consequences.kill {
            self.send_kill(number);
        }
        if replace {
            self.replace(now, number, flaps);
        } else if is_terminal(to) {
            self.note_job_end(now, job, was_killed);
        }
        self.arm(number);
        if consequences.then_lost {
            self.change_state(now, number, TaskState::Lost, "the agent cannot be reached");
        }
    }

    /// A task has come to a host or left it: what limits count changes, and what one refused
    /// may be allowed now.
    fn follow_limits(&mut self, number: TaskNumber, job: JobIdx, to: TaskState) {
        let agent = self.state.tasks.get(&number).and_then(|task| task.agent);
        let Some(agent) = agent.map(|agent| self.state.agent(agent)) else {
            return;
        };
        let change = if is_on_agent(to) {
            Change::Came
        } else {
            Change::Left
        };
        for (config, counts) in self.groups.counts_of_job(job) {
            let constraints = &self.state.config(config).constraints;
            count_attributes(counts, constraints, agent, change);
        }
        if change == Change::Left {
            self.wake_limited(job);
        }
    }

    fn is_replaced(&self, task: &Task, replacement: Replacement) -> bool {
        let config = self.state.config(task.config);
        match replacement {
            Replacement::No => false,
            Replacement::Always => true,
            Replacement::IfService => config.proto.service,
            Replacement::IfAllowed => config.may_fail_again(task.failures),
            Replacement::UnlessKilling => !task.was_ever(TaskState::Killing),
        }
    }

    /// Makes the next attempt at an ended task's instance.
    fn replace(&mut self, now: Timestamp, number: TaskNumber, flaps: u32) {
        let Some(ended) = self.state.tasks.get(&number) else {
            return;
        };
        let (job, config, instance, failures) =
            (ended.job, ended.config, ended.instance, ended.failures);
        let mut task = self.blank_task(job, config, instance);
        task.failures = failures;
        task.flaps = flaps;
        task.ancestor = NonZeroU64::new(number.0);
        let delay = penalty::delay(flaps, &self.settings);
        if delay.is_zero() {
            task.push_event(now, TaskState::Pending, "rescheduled");
        } else {
            self.counters.throttled_tasks += 1;
            let message = format!(
                "rescheduled, held back for {} s as it ended too soon {flaps} times in a row",
                delay.as_secs()
            );
            task.push_event(now, TaskState::Throttled, &message);
        }
        self.add_task(task);
    }

    fn note_job_end(&mut self, now: Timestamp, job: JobIdx, killed: bool) {
        if !self.state.job(job).active.is_empty() {
            return;
        }
        let job = self.state.job_mut(job);
        job.state = if killed {
            JobState::JobKilled
        } else {
            JobState::JobEnded
        };
        job.updated = now;
        let version = job.version;
        job.push_event(v1::JobEvent {
            timestamp_ms: now.0,
            kind: "ended".to_owned(),
            message: if killed {
                "the last instance was killed".to_owned()
            } else {
                "every instance has ended".to_owned()
            },
            version,
            ..v1::JobEvent::default()
        });
    }

    /// Tells the cluster to end a task.
    pub(crate) fn send_kill(&mut self, number: TaskNumber) {
        let Some(task) = self.state.tasks.get(&number) else {
            return;
        };
        let task_id = self.task_id(task);
        let agent_id = self.agent_id(task.agent);
        self.effects.push(Effect::Kill {
            task_id,
            agent_id,
            grace: None,
        });
    }
}
