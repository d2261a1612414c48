//! `job create`.

use std::time::Duration;

use aurora_proto::v1;
use clap::Args;
use serde_json::json;

use crate::{
    api::{
        Api, ClientArgs,
        request::{MutationArgs, Requester},
    },
    duration::parse_duration,
    error::{CliError, CliResult},
    evaluate::{self, BindArgs, DeclaredJob, JobFile},
    exit_status::ExitStatus,
    instances::InstanceSet,
    job_key::JobKey,
    output::Output,
    wait::{self, WaitUntil},
};

/// Create a job from a job file
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job create local/www-data/prod/web web.rhai
  aurora-rs job create local/www-data/prod/web web.rhai --bind release=1.5.0 --wait-until RUNNING
  aurora-rs job create local/etl/prod/load load.rhai --wait-until FINISHED --wait-timeout 1h")]
pub(crate) struct CreateArgs {
    /// Job, as CLUSTER/ROLE/ENVIRONMENT/NAME
    key: JobKey,
    /// Job file that declares it
    file: JobFile,
    #[command(flatten)]
    binds: BindArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// How long to stay; shared with `job add`.
#[derive(Args, Clone, Debug)]
pub(crate) struct WaitArgs {
    /// How far every new instance must be before the command returns
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        value_name = "STATE",
        default_value = "PENDING"
    )]
    pub(crate) wait_until: WaitUntil,
    /// Give up waiting after this long, with exit code 9 [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) wait_timeout: Option<Duration>,
}

impl WaitArgs {
    /// Refuses a wait that cannot end.
    pub(crate) fn check(&self, job: &JobKey, service: bool) -> CliResult {
        if service && self.wait_until == WaitUntil::Finished {
            let message = format!("{job} is a service, which never finishes");
            return Err(CliError::new(ExitStatus::InvalidParameter, message)
                .hint("use --wait-until RUNNING"));
        }
        Ok(())
    }

    /// Returns how the wait is told in results.
    pub(crate) fn reached(&self) -> &'static str {
        match self.wait_until {
            WaitUntil::Pending => "PENDING",
            WaitUntil::Running => "RUNNING",
            WaitUntil::Finished => "FINISHED",
        }
    }
}

pub(super) async fn run(args: &CreateArgs) -> CliResult {
    let output = args.client.output();
    let job = evaluate::load_job(&args.file, &args.binds, &args.key, output).await?;
    evaluate::must_be_supported(&job)?;
    let service = job.config.task.as_ref().is_some_and(|task| task.service);
    args.wait.check(&args.key, service)?;
    let requester = args.mutation.requester()?;
    let api = args.client.connect(&args.key.cluster).await?;
    let (version, instances) = submit(&api, job, &requester).await?;
    report(args, &requester, version, &instances, output)?;
    wait::until_instances(
        &api,
        &args.key,
        &instances,
        args.wait.wait_until,
        args.wait.wait_timeout,
        output,
    )
    .await?;
    if args.wait.wait_until != WaitUntil::Pending {
        output.note(&format!(
            "{}: every instance is {}",
            args.key,
            args.wait.reached()
        ));
    }
    Ok(())
}

/// Sends a job and returns its version and its instances.
pub(crate) async fn submit(
    api: &Api,
    job: DeclaredJob,
    requester: &Requester,
) -> CliResult<(u64, InstanceSet)> {
    let request = v1::CreateJobRequest {
        context: Some(requester.context()),
        config: Some(job.config),
    };
    let response = api.create_job(request).await?;
    Ok((
        response.version,
        InstanceSet::from_proto(&response.instances),
    ))
}

/// Said before the wait: what was made is made, however the wait ends.
fn report(
    args: &CreateArgs,
    requester: &Requester,
    version: u64,
    instances: &InstanceSet,
    output: Output,
) -> CliResult {
    let document = json!({
        "job": args.key.to_string(),
        "version": version,
        "instances": instances.to_string(),
        "request_id": requester.context().request_id,
    });
    output.done(
        "job-create",
        document,
        &format!("created {}/{instances}", args.key),
    )
}
