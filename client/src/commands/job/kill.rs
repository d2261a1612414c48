//! `job kill`.

use aurora_proto::v1;
use clap::Args;
use serde_json::json;

use crate::{
    api::{
        Api, ClientArgs,
        request::{MutationArgs, Requester},
    },
    commands::job::batches::{BatchArgs, Unknown, targets},
    duration::format_duration,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    instances::InstanceSet,
    job_key::{InstanceKey, JobKey},
    output::Output,
    wait,
};

/// End some instances of a job for good
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job kill local/www-data/prod/web/3
  aurora-rs job kill local/www-data/prod/web/0-9 --batch-size 5 -m 'half the fleet'

All instances of a job: aurora-rs job killall")]
pub(crate) struct KillArgs {
    /// Instances, as CLUSTER/ROLE/ENVIRONMENT/NAME/0-3,5
    #[arg(value_name = "KEY/INSTANCES")]
    key: InstanceKey,
    /// Change nothing if one of the instances is not active
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    pub(super) pace: KillPace,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// How fast; shared with `job killall`.
#[derive(Args, Clone, Debug)]
pub(super) struct KillPace {
    #[command(flatten)]
    pub(super) batch: BatchArgs,
    /// Kill all at once
    #[arg(long, conflicts_with = "batch_size")]
    pub(super) no_batching: bool,
}

pub(super) async fn run(args: &KillArgs) -> CliResult {
    let InstanceKey { job, instances } = &args.key;
    let Some(instances) = instances else {
        let message = format!("`job kill` needs instances, as in {job}/0-3");
        return Err(
            CliError::new(ExitStatus::InvalidParameter, message).hint(format!(
                "to end every instance: aurora-rs job killall {job}"
            )),
        );
    };
    let requester = args.mutation.requester()?;
    let api = args.client.connect(&job.cluster).await?;
    let unknown = if args.strict {
        Unknown::Refuse
    } else {
        Unknown::Skip
    };
    let targets = targets(&api, job, Some(instances), unknown).await?;
    let output = args.client.output();
    let killing = Killing {
        api: &api,
        job,
        pace: &args.pace,
        requester: &requester,
        output,
    };
    killing.run("job-kill", &targets).await
}

/// One run of `kill` or `killall`.
pub(super) struct Killing<'a> {
    pub(super) api: &'a Api,
    pub(super) job: &'a JobKey,
    pub(super) pace: &'a KillPace,
    pub(super) requester: &'a Requester,
    pub(super) output: Output,
}

impl Killing<'_> {
    /// Kills batch after batch and reports.
    pub(super) async fn run(&self, verb: &str, targets: &InstanceSet) -> CliResult {
        let size = if self.pace.no_batching {
            u32::MAX
        } else {
            self.pace.batch.batch_size
        };
        let (mut killed, mut failed) = (InstanceSet::default(), InstanceSet::default());
        for batch in targets.batches(size) {
            let late = self.kill(&batch).await?;
            killed =
                InstanceSet::from_ranges(ranges(&killed).chain(ranges(&batch.difference(&late))));
            failed = InstanceSet::from_ranges(ranges(&failed).chain(ranges(&late)));
            if self.pace.no_batching && !failed.is_empty() {
                return Err(self.too_late(&failed));
            }
            if failed.len() > u64::from(self.pace.batch.max_total_failures) {
                let left = targets.difference(&killed);
                return Err(self.gave_up(&failed, &left));
            }
        }
        let document = json!({
            "job": self.job.to_string(),
            "killed": killed.to_string(),
            "failed": failed.to_string(),
            "request_id": self.requester.context().request_id,
        });
        self.output
            .done(verb, document, &format!("killed {}/{killed}", self.job))
    }

    /// Kills one batch and returns the instances that did not end in time.
    async fn kill(&self, batch: &InstanceSet) -> CliResult<InstanceSet> {
        let request = v1::KillTasksRequest {
            context: Some(self.requester.context_of(batch, 0)),
            key: Some(self.job.to_proto()),
            instances: batch.to_proto(),
        };
        let task_ids = self.api.kill_tasks(request).await?.task_ids;
        let limit = self.pace.batch.wait_timeout;
        let left = wait::until_ended(self.api, self.job, &task_ids, limit, self.output).await?;
        Ok(left.iter().map(|task| task.instance).collect())
    }

    fn too_late(&self, failed: &InstanceSet) -> CliError {
        let waited = format_duration(self.pace.batch.wait_timeout);
        let message = format!("{}/{failed} did not end within {waited}", self.job);
        CliError::new(ExitStatus::Timeout, message)
            .hint("the scheduler goes on killing them; raise --wait-timeout to wait longer")
    }

    fn gave_up(&self, failed: &InstanceSet, left: &InstanceSet) -> CliError {
        let waited = format_duration(self.pace.batch.wait_timeout);
        let message = format!(
            "{}/{failed} did not end within {waited}; {left} of those asked for are left",
            self.job
        );
        CliError::new(ExitStatus::CommandFailed, message)
            .hint("allow for failures with --max-total-failures, or raise --wait-timeout")
    }
}

fn ranges(set: &InstanceSet) -> impl Iterator<Item = (u32, u32)> {
    set.to_proto()
        .into_iter()
        .map(|range| (range.first, range.last))
}
