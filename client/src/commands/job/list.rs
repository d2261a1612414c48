//! `job list`.

use aurora_proto::json as proto_json;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::ClientArgs,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    job_key::{JobKey, JobPattern},
};

/// List the keys of jobs, one a line
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job list local
  aurora-rs job list 'local/www-data/*/web*'

A pattern that matches no job prints nothing; a whole key without * and ? must exist.")]
pub(crate) struct ListArgs {
    /// Jobs, as CLUSTER[/ROLE[/ENVIRONMENT[/NAME]]] with * and ?; a missing part means *
    #[arg(value_name = "GLOB", default_value = "*")]
    pattern: JobPattern,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &ListArgs) -> CliResult {
    let output = args.client.output();
    let mut keys = Vec::new();
    let mut documents: Vec<Value> = Vec::new();
    for cluster in args.client.clusters(&args.pattern.cluster)? {
        let api = args.client.connect_to(&cluster).await?;
        for summary in api.all_jobs(args.pattern.filter()).await? {
            let key = JobKey::in_cluster(&api.cluster, &summary.key.clone().unwrap_or_default());
            let summary = proto_json::to_value(&summary);
            documents.push(json!({ "job": key.to_string(), "summary": summary }));
            keys.push(key.to_string());
        }
    }
    if keys.is_empty() && !args.pattern.is_wild() {
        let message = format!("no job {}", args.pattern);
        return Err(CliError::new(ExitStatus::InvalidParameter, message));
    }
    if output.is_json() {
        return output.json("job-list", json!({ "jobs": documents }));
    }
    keys.push(String::new());
    output.text(&keys.join("\n"))
}
