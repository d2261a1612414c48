//! Waits for what was set in motion, by asking again.

use std::{collections::BTreeMap, time::Duration};

use aurora_proto::v1::Task;
use clap::ValueEnum;
use tokio::time::{self, Instant};

use crate::{
    api::Api,
    duration::format_duration,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    instances::InstanceSet,
    job_key::JobKey,
    output::Output,
    task_state::{Phase, has_ended, newest, phase, reason, tally},
};

const FIRST_POLL: Duration = Duration::from_millis(50);
const LAST_POLL: Duration = Duration::from_secs(2);

/// What to wait for after instances were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum WaitUntil {
    /// Nothing more: the scheduler has the instances
    Pending,
    /// Every instance runs, or has ended with success
    Running,
    /// Every instance has ended
    Finished,
}

/// The pauses between two questions, growing.
pub(crate) struct Polls {
    pause: Duration,
    deadline: Option<Instant>,
}

impl Polls {
    /// Starts with short pauses; without `limit` there is no end.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            pause: FIRST_POLL,
            deadline: limit.map(|limit| Instant::now() + limit),
        }
    }

    /// Sleeps, or tells that the time is up.
    pub(crate) async fn next(&mut self) -> bool {
        let now = Instant::now();
        let left = self
            .deadline
            .map_or(self.pause, |deadline| deadline.duration_since(now));
        if left.is_zero() {
            return false;
        }
        time::sleep(self.pause.min(left)).await;
        self.pause = (self.pause * 3 / 2).min(LAST_POLL);
        true
    }
}

/// Waits until every instance is as far as `until` says.
pub(crate) async fn until_instances(
    api: &Api,
    job: &JobKey,
    instances: &InstanceSet,
    until: WaitUntil,
    limit: Option<Duration>,
    output: Output,
) -> CliResult {
    if until == WaitUntil::Pending {
        return Ok(());
    }
    let mut polls = Polls::new(limit);
    let mut progress = output.progress();
    loop {
        let tasks = api.tasks_of(job, Some(instances)).await?;
        let newest = newest(&tasks);
        match verdict(&newest, instances, until) {
            Verdict::Reached => return Ok(()),
            Verdict::Failed(why) => {
                let message = format!("{job}: {why}");
                return Err(
                    CliError::new(ExitStatus::CommandFailed, message).hint(format!(
                        "see what it wrote with `aurora-rs task logs`, and all of it with \
                     `aurora-rs job history {job}`"
                    )),
                );
            }
            Verdict::NotYet => {}
        }
        let standing = tally(newest.values().copied());
        progress.update(&format!("{job}: {standing}"));
        if !polls.next().await {
            return Err(too_long(job, limit, &standing));
        }
    }
}

fn too_long(job: &JobKey, limit: Option<Duration>, standing: &str) -> CliError {
    let waited = format_duration(limit.unwrap_or_default());
    let message = format!("{job} did not get there within {waited}: {standing}");
    CliError::new(ExitStatus::Timeout, message).hint(format!(
        "the job goes on; see why it waits with `aurora-rs job explain {job}`"
    ))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Reached,
    NotYet,
    Failed(String),
}

fn verdict(newest: &BTreeMap<u32, &Task>, wanted: &InstanceSet, until: WaitUntil) -> Verdict {
    // A failure that will be tried again has its replacement in place as the newest attempt.
    let failed: Vec<&Task> = newest
        .values()
        .copied()
        .filter(|task| phase(task.state()) == Phase::Ended)
        .collect();
    let done = newest.values().filter(|task| match phase(task.state()) {
        Phase::Finished => true,
        Phase::Running => until == WaitUntil::Running,
        Phase::Waiting | Phase::Ending | Phase::Ended => false,
    });
    let all_ended = newest.values().all(|task| has_ended(task));
    if let Some(first) = failed.first()
        // For the whole result of a job, the other instances are waited for.
        && (until == WaitUntil::Running || all_ended)
    {
        let instances: InstanceSet = failed.iter().map(|task| task.instance).collect();
        let s = if failed.len() == 1 { "" } else { "s" };
        return Verdict::Failed(format!(
            "instance{s} {instances} ended without success; instance {} is {}",
            first.instance,
            reason(first)
        ));
    }
    if done.count() as u64 == wanted.len() {
        return Verdict::Reached;
    }
    Verdict::NotYet
}

/// Waits until these tasks have ended; returns those that have not when the time is up.
pub(crate) async fn until_ended(
    api: &Api,
    job: &JobKey,
    task_ids: &[String],
    limit: Duration,
    output: Output,
) -> CliResult<Vec<Task>> {
    let mut polls = Polls::new(Some(limit));
    let mut progress = output.progress();
    let mut left = task_ids.to_vec();
    loop {
        // A record that is gone was of a task that had ended.
        let tasks: Vec<Task> = if left.is_empty() {
            Vec::new()
        } else {
            let all = api.tasks_by_id(left.clone()).await?;
            all.into_iter().filter(|task| !has_ended(task)).collect()
        };
        if tasks.is_empty() {
            return Ok(tasks);
        }
        left = tasks.iter().map(|task| task.task_id.clone()).collect();
        progress.update(&format!("{job}: waiting for {}", tally(&tasks)));
        if !polls.next().await {
            return Ok(tasks);
        }
    }
}

#[cfg(test)]
mod tests {
    use aurora_proto::v1::{TaskEvent, TaskState};

    use super::*;

    fn judge(states: &[TaskState], until: WaitUntil) -> Verdict {
        let tasks: Vec<Task> = states
            .iter()
            .zip(0..)
            .map(|(&state, instance)| Task {
                instance,
                state: state.into(),
                events: vec![TaskEvent {
                    message: "exit 3".to_owned(),
                    ..TaskEvent::default()
                }],
                ..Task::default()
            })
            .collect();
        verdict(&newest(&tasks), &InstanceSet::first(2), until)
    }

    #[test]
    fn running_needs_every_instance_now_or_ended_well() {
        use TaskState::{Finished, Pending, Running};
        assert_eq!(
            judge(&[Running, Finished], WaitUntil::Running),
            Verdict::Reached
        );
        assert_eq!(
            judge(&[Running, Pending], WaitUntil::Running),
            Verdict::NotYet
        );
        assert_eq!(judge(&[Running], WaitUntil::Running), Verdict::NotYet);
    }

    #[test]
    fn failure_for_good_ends_the_wait_with_its_reason() {
        use TaskState::{Failed, Running};
        let Verdict::Failed(why) = judge(&[Running, Failed], WaitUntil::Running) else {
            panic!("not failed");
        };
        assert!(why.contains("instance 1 is FAILED: exit 3"), "{why}");
    }

    #[test]
    fn finished_waits_for_all_and_then_judges() {
        use TaskState::{Failed, Finished, Killed, Running};
        assert_eq!(
            judge(&[Running, Failed], WaitUntil::Finished),
            Verdict::NotYet
        );
        assert_eq!(
            judge(&[Finished, Finished], WaitUntil::Finished),
            Verdict::Reached
        );
        assert!(matches!(
            judge(&[Killed, Finished], WaitUntil::Finished),
            Verdict::Failed(_)
        ));
    }
}
