//! `job killall`.

use clap::Args;

use crate::{
    api::{ClientArgs, request::MutationArgs},
    commands::job::{
        batches::{Unknown, targets},
        kill::{KillPace, Killing},
    },
    error::CliResult,
    job_key::JobKey,
};

/// End every instance of a job for good
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs job killall local/www-data/devel/web --no-batching -m 'no longer needed'")]
pub(crate) struct KillallArgs {
    /// Job, as CLUSTER/ROLE/ENVIRONMENT/NAME
    key: JobKey,
    #[command(flatten)]
    pace: KillPace,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &KillallArgs) -> CliResult {
    let requester = args.mutation.requester()?;
    let api = args.client.connect(&args.key.cluster).await?;
    let targets = targets(&api, &args.key, None, Unknown::Skip).await?;
    let output = args.client.output();
    let killing = Killing {
        api: &api,
        job: &args.key,
        pace: &args.pace,
        requester: &requester,
        output,
    };
    killing.run("job-killall", &targets).await
}
