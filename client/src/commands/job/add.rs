//! `job add`.

use aurora_proto::v1;
use clap::Args;
use serde_json::json;

use crate::{
    api::{ClientArgs, request::MutationArgs},
    commands::job::create::WaitArgs,
    error::CliResult,
    instances::InstanceSet,
    job_key::OneInstance,
    wait,
};

/// Add instances to a job, as copies of one that it has
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs job add local/www-data/prod/web/0 2 --wait-until RUNNING")]
pub(crate) struct AddArgs {
    /// Instance to copy, as CLUSTER/ROLE/ENVIRONMENT/NAME/INSTANCE
    #[arg(value_name = "KEY/INSTANCE")]
    template: OneInstance,
    /// How many to add
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &AddArgs) -> CliResult {
    let output = args.client.output();
    let OneInstance { job, instance } = &args.template;
    let requester = args.mutation.requester()?;
    let api = args.client.connect(&job.cluster).await?;
    let known = api
        .get_job(v1::GetJobRequest {
            key: Some(job.to_proto()),
        })
        .await?;
    args.wait
        .check(job, known.summary.is_some_and(|summary| summary.service))?;
    let request = v1::AddInstancesRequest {
        context: Some(requester.context()),
        key: Some(job.to_proto()),
        template_instance: *instance,
        count: args.count,
    };
    let added = InstanceSet::from_proto(&api.add_instances(request).await?.instances);
    let document = json!({
        "job": job.to_string(),
        "instances": added.to_string(),
        "request_id": requester.context().request_id,
    });
    output.done("job-add", document, &format!("added {job}/{added}"))?;
    let WaitArgs {
        wait_until,
        wait_timeout,
    } = args.wait;
    wait::until_instances(&api, job, &added, wait_until, wait_timeout, output).await
}
