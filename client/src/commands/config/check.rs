//! `config check`.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    error::{CliError, CliResult},
    evaluate::{self, BindArgs, Evaluated, JobFile, Rejected, count},
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

/// Check job files and print everything that is wrong with them
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs config check web.rhai
  aurora-rs config check *.rhai --bind release=1.5.0

Needs no scheduler. Exit code 3 if one of the files is wrong.")]
pub(crate) struct CheckArgs {
    /// Job files
    #[arg(required = true)]
    files: Vec<JobFile>,
    #[command(flatten)]
    binds: BindArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn run(args: &CheckArgs) -> CliResult {
    let output = Output::new(args.output);
    let mut documents = Vec::new();
    let (mut errors, mut wrong_files) = (0, 0);
    for file in &args.files {
        let shown = file.display().to_string();
        match evaluate::evaluate(file, &args.binds).await {
            Ok(evaluated) => {
                documents.push(valid_json(&shown, &evaluated));
                report_valid(&shown, &evaluated, output)?;
            }
            Err(rejected) => {
                errors += rejected.errors();
                wrong_files += 1;
                documents.push(invalid_json(&shown, &rejected));
                rejected.print(output);
            }
        }
    }
    if output.is_json() {
        output.json(
            "config-check",
            json!({ "valid": wrong_files == 0, "files": documents }),
        )?;
    }
    if wrong_files == 0 {
        return Ok(());
    }
    let message = format!(
        "{} in {}",
        count(errors, "error"),
        count(wrong_files, "file")
    );
    Err(CliError::new(ExitStatus::InvalidConfig, message))
}

fn report_valid(file: &str, evaluated: &Evaluated, output: Output) -> CliResult {
    if output.is_json() {
        return Ok(());
    }
    for problem in &evaluated.warnings {
        output.stderr_text(&problem.render());
    }
    for job in &evaluated.jobs {
        for field in &job.unsupported {
            output.warning(&format!(
                "{}: {}: not run by this release: {field}",
                job.place, job.key
            ));
        }
    }
    for quota in &evaluated.quotas {
        output.warning(&format!(
            "{file}: the quota of {}/{} is not enforced by this release",
            quota.cluster, quota.role
        ));
    }
    let mut parts = vec![count(evaluated.jobs.len(), "job")];
    if !evaluated.quotas.is_empty() {
        parts.push(count(evaluated.quotas.len(), "quota"));
    }
    output.done(
        "config-check",
        json!({}),
        &format!("{file}: valid, {}", parts.join(", ")),
    )
}

fn valid_json(file: &str, evaluated: &Evaluated) -> Value {
    let jobs: Vec<Value> = evaluated
        .jobs
        .iter()
        .map(|job| {
            json!({
                "job": job.key.to_string(),
                "declared_at": job.place,
                "unsupported": job.unsupported,
            })
        })
        .collect();
    json!({
        "file": file,
        "valid": true,
        "jobs": jobs,
        "quotas": evaluated.quotas.len(),
        "problems": evaluated.warnings,
    })
}

fn invalid_json(file: &str, rejected: &Rejected) -> Value {
    json!({
        "file": file,
        "valid": false,
        "problems": rejected.problems,
        "suppressed": rejected.suppressed,
    })
}
