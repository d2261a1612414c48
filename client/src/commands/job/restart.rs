//! `job restart`.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use aurora_proto::v1;
use clap::Args;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    api::{
        Api, ClientArgs,
        request::{MutationArgs, Requester},
    },
    commands::job::batches::{BatchArgs, Unknown, targets},
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    instances::InstanceSet,
    job_key::{InstanceKey, JobKey},
    output::Output,
    task_state::{Phase, active_instances, newest, phase, reason, tally},
    wait::Polls,
};

/// Restart instances of a job, batch by batch, with the configuration that they have
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job restart local/www-data/prod/web
  aurora-rs job restart local/www-data/prod/web/0-3 --batch-size 2 --watch-secs 0")]
pub(crate) struct RestartArgs {
    /// Job or instances, as CLUSTER/ROLE/ENVIRONMENT/NAME[/0-3,5]
    #[arg(value_name = "KEY[/INSTANCES]")]
    key: InstanceKey,
    #[command(flatten)]
    batch: BatchArgs,
    /// Restarts that one instance may fail before it counts as failed
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_per_instance_failures: u32,
    /// Seconds that a restarted instance must keep running
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    watch_secs: u32,
    /// Change nothing if one of the instances is not active
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &RestartArgs) -> CliResult {
    let InstanceKey { job, instances } = &args.key;
    let requester = args.mutation.requester()?;
    let api = args.client.connect(&job.cluster).await?;
    let unknown = if args.strict {
        Unknown::Refuse
    } else {
        Unknown::Skip
    };
    let targets = targets(&api, job, instances.as_ref(), unknown).await?;
    let output = args.client.output();
    let restart = Restart {
        api: &api,
        job,
        args,
        requester: &requester,
        output,
    };
    let failures = restart.all(&targets).await?;
    let failed: InstanceSet = failures.keys().copied().collect();
    let done = targets.difference(&failed);
    let document = json!({
        "job": job.to_string(),
        "restarted": done.to_string(),
        "failed": failed.to_string(),
        "request_id": requester.context().request_id,
    });
    output.done("job-restart", document, &format!("restarted {job}/{done}"))?;
    for why in failures.values() {
        output.warning(&format!("{job}: {why}"));
    }
    Ok(())
}

struct Restart<'a> {
    api: &'a Api,
    job: &'a JobKey,
    args: &'a RestartArgs,
    requester: &'a Requester,
    output: Output,
}

/// What is known of an instance under watch.
#[derive(Debug, PartialEq, Eq)]
enum Watch {
    /// Its old task has to go and a new one has to come up.
    Replacing,
    /// Its new task, running since then.
    Running(String, Instant),
    Done,
    Failed(String),
}

impl Restart<'_> {
    /// Restarts all batches; returns the instances that failed, within the limit, and why.
    async fn all(&self, targets: &InstanceSet) -> CliResult<BTreeMap<u32, String>> {
        let mut failed = BTreeMap::new();
        for batch in targets.batches(self.args.batch.batch_size) {
            failed.extend(self.batch(batch).await?);
            if failed.len() as u64 > u64::from(self.args.batch.max_total_failures) {
                return Err(self.gave_up(&failed));
            }
        }
        Ok(failed)
    }

    fn gave_up(&self, failed: &BTreeMap<u32, String>) -> CliError {
        let why: Vec<&str> = failed.values().map(String::as_str).collect();
        let job = self.job;
        let message = format!(
            "gave up the restart of {job} after {} failed: {}",
            crate::evaluate::count(failed.len(), "instance"),
            why.join("; ")
        );
        CliError::new(ExitStatus::CommandFailed, message).hint(format!(
            "instances of later batches were left alone; see `aurora-rs job status {job}` and \
             `aurora-rs job explain {job}`"
        ))
    }

    /// Restarts one batch, its failures again as often as allowed.
    async fn batch(&self, batch: InstanceSet) -> CliResult<BTreeMap<u32, String>> {
        let mut left = batch;
        let mut failed = BTreeMap::new();
        for attempt in 0..=self.args.max_per_instance_failures {
            failed = self.attempt(&left, attempt).await?;
            left = failed.keys().copied().collect();
            if left.is_empty() {
                break;
            }
        }
        Ok(failed)
    }

    /// Restarts these instances once and watches them.
    async fn attempt(&self, batch: &InstanceSet, attempt: u32) -> CliResult<BTreeMap<u32, String>> {
        let before = self.api.tasks_of(self.job, Some(batch)).await?;
        let active = active_instances(&before).intersection(batch);
        let mut watches: BTreeMap<u32, Watch> = active
            .iter()
            .map(|instance| (instance, Watch::Replacing))
            .collect();
        // An instance that has ended for good in between cannot be restarted.
        for instance in batch.difference(&active).iter() {
            watches.insert(
                instance,
                Watch::Failed(format!("instance {instance} is not active")),
            );
        }
        let mut old = HashSet::new();
        if !active.is_empty() {
            let request = v1::RestartTasksRequest {
                context: Some(self.requester.context_of(&active, attempt)),
                key: Some(self.job.to_proto()),
                instances: active.to_proto(),
            };
            // As the first time, where the whole command is repeated with its request id.
            old.extend(self.api.restart_tasks(request).await?.task_ids);
        }
        self.watch(batch, &old, &mut watches).await?;
        let failed = watches
            .into_iter()
            .filter_map(|(instance, watch)| match watch {
                Watch::Failed(why) => Some((instance, why)),
                Watch::Replacing | Watch::Running(..) => {
                    let waited = crate::duration::format_duration(self.args.batch.wait_timeout);
                    Some((
                        instance,
                        format!("instance {instance} was not up within {waited}"),
                    ))
                }
                Watch::Done => None,
            });
        Ok(failed.collect())
    }

    async fn watch(
        &self,
        batch: &InstanceSet,
        old: &HashSet<String>,
        watches: &mut BTreeMap<u32, Watch>,
    ) -> CliResult {
        let watch_for = Duration::from_secs(u64::from(self.args.watch_secs));
        // The watch itself is not held against the instance.
        let mut polls = Polls::new(Some(self.args.batch.wait_timeout + watch_for));
        let mut progress = self.output.progress();
        loop {
            let tasks = self.api.tasks_of(self.job, Some(batch)).await?;
            let newest = newest(&tasks);
            let now = Instant::now();
            for (instance, watch) in &mut *watches {
                if let Some(task) = newest.get(instance) {
                    advance(watch, task, old.contains(&task.task_id), now, watch_for);
                }
            }
            if watches
                .values()
                .all(|watch| matches!(watch, Watch::Done | Watch::Failed(_)))
            {
                return Ok(());
            }
            let standing = tally(newest.values().copied());
            progress.update(&format!("{}/{batch}: {standing}", self.job));
            if !polls.next().await {
                return Ok(());
            }
        }
    }
}

/// Takes in the newest attempt of the instance, which may still be the old one.
fn advance(watch: &mut Watch, task: &v1::Task, is_old: bool, now: Instant, watch_for: Duration) {
    let fail = |what: &str| {
        Watch::Failed(format!(
            "instance {} {what}: {}",
            task.instance,
            reason(task)
        ))
    };
    let phase = phase(task.state());
    let since = match watch {
        Watch::Done | Watch::Failed(_) => return,
        Watch::Running(id, _) if *id != task.task_id => {
            *watch = fail("did not keep running");
            return;
        }
        Watch::Running(_, since) => Some(*since),
        Watch::Replacing if is_old => {
            // It ended for good on the way out, as by a kill.
            if matches!(phase, Phase::Finished | Phase::Ended) {
                *watch = fail("was not replaced");
            }
            return;
        }
        Watch::Replacing => None,
    };
    *watch = match (phase, since) {
        (Phase::Running, since) => {
            let since = since.unwrap_or(now);
            if now.duration_since(since) >= watch_for {
                Watch::Done
            } else {
                Watch::Running(task.task_id.clone(), since)
            }
        }
        (Phase::Finished, _) => Watch::Done,
        (Phase::Ended, _) => fail("ended"),
        (Phase::Waiting | Phase::Ending, Some(_)) => fail("did not keep running"),
        (Phase::Waiting | Phase::Ending, None) => Watch::Replacing,
    };
}

#[cfg(test)]
mod tests {
    use aurora_proto::v1::{Task, TaskState};

    use super::*;

    fn after(states: &[(&str, TaskState, u64)]) -> Watch {
        let start = Instant::now();
        let mut watch = Watch::Replacing;
        for &(id, state, second) in states {
            let task = Task {
                task_id: id.to_owned(),
                state: state.into(),
                ..Task::default()
            };
            let now = start + Duration::from_secs(second);
            advance(&mut watch, &task, id == "old", now, Duration::from_secs(10));
        }
        watch
    }

    #[test]
    fn new_task_that_keeps_running_is_done() {
        use TaskState::{Pending, Restarting, Running};
        let watch = after(&[
            ("old", Running, 0),
            ("old", Restarting, 1),
            ("new", Pending, 2),
            ("new", Running, 3),
            ("new", Running, 12),
        ]);
        assert!(matches!(watch, Watch::Running(..)), "{watch:?}");
        let watch = after(&[("new", Running, 3), ("new", Running, 13)]);
        assert_eq!(watch, Watch::Done);
    }

    #[test]
    fn task_that_changes_under_watch_has_failed() {
        use TaskState::{Failed, Killed, Pending, Running};
        for states in [
            [("new", Running, 3), ("newer", Pending, 4)],
            [("new", Running, 3), ("new", Failed, 4)],
            [("new", Pending, 3), ("new", Failed, 4)],
            [("old", Running, 3), ("old", Killed, 4)],
        ] {
            let watch = after(&states);
            assert!(matches!(watch, Watch::Failed(_)), "{states:?}: {watch:?}");
        }
    }

    #[test]
    fn task_that_finishes_is_done() {
        assert_eq!(after(&[("new", TaskState::Finished, 3)]), Watch::Done);
    }
}
