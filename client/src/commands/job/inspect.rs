//! `job inspect`, which is also `config inspect`.

use aurora_proto::json as proto_json;
use clap::Args;
use serde_json::json;

use crate::{
    config_text,
    error::CliResult,
    evaluate::{self, BindArgs, JobFile},
    job_key::JobKey,
    output::{Output, OutputArgs},
};

/// Show what a job file makes of a job, without a scheduler
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job inspect local/www-data/prod/web web.rhai
  aurora-rs job inspect local/www-data/prod/web web.rhai --raw > job.json")]
pub(crate) struct InspectArgs {
    /// Job, as CLUSTER/ROLE/ENVIRONMENT/NAME
    key: JobKey,
    /// Job file that declares it
    file: JobFile,
    /// Print the message that `job create` would send, as JSON
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    binds: BindArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &InspectArgs) -> CliResult {
    inspect(args).await
}

/// Shows the job; nothing here asks a scheduler.
pub(crate) async fn inspect(args: &InspectArgs) -> CliResult {
    let output = Output::new(args.output);
    let job = evaluate::load_job(&args.file, &args.binds, &args.key, output).await?;
    let config = proto_json::to_value(&job.config);
    if args.raw {
        return output.text(&format!("{config:#}"));
    }
    if output.is_json() {
        let document = json!({
            "job": args.key.to_string(),
            "declared_at": job.place,
            "unsupported": job.unsupported,
            "config": config,
        });
        return output.json("job-inspect", document);
    }
    output.text(&config_text::render(&config))?;
    for field in &job.unsupported {
        output.warning(&format!("not run by this release: {field}"));
    }
    Ok(())
}
