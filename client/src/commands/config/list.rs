//! `config list`.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    error::CliResult,
    evaluate::{self, BindArgs, JobFile},
    output::{Output, OutputArgs},
};

/// List the keys of the jobs that a job file declares, one a line
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs config list web.rhai")]
pub(crate) struct ListArgs {
    /// Job file
    file: JobFile,
    #[command(flatten)]
    binds: BindArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &ListArgs) -> CliResult {
    let output = Output::new(args.output);
    let evaluated = evaluate::load(&args.file, &args.binds, output).await?;
    if output.is_json() {
        let jobs: Vec<Value> = evaluated
            .jobs
            .iter()
            .map(|job| json!({ "job": job.key.to_string(), "declared_at": job.place }))
            .collect();
        let file = args.file.display().to_string();
        return output.json("config-list", json!({ "file": file, "jobs": jobs }));
    }
    let keys: String = evaluated
        .jobs
        .iter()
        .map(|job| format!("{}\n", job.key))
        .collect();
    output.text(&keys)
}
