//! Job files to configurations, without trusting the file.
//!
//! The file is evaluated by a child process: this same program, limited in memory and time. What
//! ends the child ends only the child, and is told as one more thing that is wrong with the file.

use std::path::{Path, PathBuf};

use aurora_proto::v1;
use clap::Args;

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    job_key::JobKey,
    nearest::nearest,
    output::Output,
};

mod child;
mod file_loader;
mod wire;
mod worker;

pub(crate) use wire::Problem;
pub(crate) use worker::EvaluateWorkerArgs;
pub(crate) use worker::run as run_worker;

/// Values for the parameters of job files; part of every verb that takes a file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BindArgs {
    /// Set a parameter of the job file; repeat for more
    #[arg(long = "bind", value_name = "NAME=VALUE", value_parser = parse_bind)]
    pub(crate) binds: Vec<(String, String)>,
}

/// What a job file declares.
#[derive(Debug, Default)]
pub(crate) struct Evaluated {
    pub(crate) jobs: Vec<DeclaredJob>,
    pub(crate) quotas: Vec<v1::QuotaConfiguration>,
    pub(crate) warnings: Vec<Problem>,
    /// What the file printed.
    pub(crate) printed: Vec<String>,
}

/// A job with where it comes from.
#[derive(Debug)]
pub(crate) struct DeclaredJob {
    pub(crate) key: JobKey,
    pub(crate) config: v1::JobConfiguration,
    /// `file:line:column` of the call that declared it.
    pub(crate) place: String,
    /// Fields whose feature this build does not run yet.
    pub(crate) unsupported: Vec<String>,
}

/// What is wrong with a job file.
#[derive(Debug, Default)]
pub(crate) struct Rejected {
    pub(crate) problems: Vec<Problem>,
    /// Errors that were only counted.
    pub(crate) suppressed: usize,
    pub(crate) printed: Vec<String>,
}

impl Rejected {
    fn because(message: String, hint: &str) -> Self {
        Self {
            problems: vec![Problem::error(message, hint)],
            ..Self::default()
        }
    }

    /// Returns how many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.suppressed
            + self
                .problems
                .iter()
                .filter(|problem| problem.is_error())
                .count()
    }

    /// Prints everything that is wrong.
    pub(crate) fn print(&self, output: Output) {
        show_printed(&self.printed, output);
        for problem in &self.problems {
            output.stderr_text(&problem.render());
        }
        if self.suppressed > 0 {
            output.stderr_text(&format!("... and {} more errors\n", self.suppressed));
        }
    }
}

/// Evaluates a file and hands everything back as data.
pub(crate) async fn evaluate(path: &Path, binds: &BindArgs) -> Result<Evaluated, Rejected> {
    child::evaluate(path, binds).await
}

/// Evaluates a file, prints what is wrong with it, and fails if that is an error.
pub(crate) async fn load(path: &Path, binds: &BindArgs, output: Output) -> CliResult<Evaluated> {
    match evaluate(path, binds).await {
        Ok(evaluated) => {
            show_printed(&evaluated.printed, output);
            if !output.is_json() {
                evaluated
                    .warnings
                    .iter()
                    .for_each(|problem| output.stderr_text(&problem.render()));
            }
            Ok(evaluated)
        }
        Err(rejected) => {
            rejected.print(output);
            let message = format!(
                "`{}` is no valid job file: {}",
                path.display(),
                count(rejected.errors(), "error")
            );
            Err(CliError::new(ExitStatus::InvalidConfig, message))
        }
    }
}

/// Evaluates a file and returns the job of that key.
pub(crate) async fn load_job(
    path: &Path,
    binds: &BindArgs,
    key: &JobKey,
    output: Output,
) -> CliResult<DeclaredJob> {
    let evaluated = load(path, binds, output).await?;
    select(evaluated.jobs, key, path)
}

fn select(jobs: Vec<DeclaredJob>, key: &JobKey, path: &Path) -> CliResult<DeclaredJob> {
    let names: Vec<String> = jobs.iter().map(|job| job.key.to_string()).collect();
    if let Some(job) = jobs.into_iter().find(|job| job.key == *key) {
        return Ok(job);
    }
    let message = format!("`{}` declares no job `{key}`", path.display());
    let error = CliError::new(ExitStatus::InvalidConfig, message);
    if names.is_empty() {
        return Err(error.hint("it declares no job at all; call job(#{…}) or service(#{…})"));
    }
    let wanted = key.to_string();
    let near = nearest(&wanted, names.iter().map(String::as_str))
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default();
    let shown: Vec<&str> = names.iter().take(20).map(String::as_str).collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(error.hint(format!("{near}it declares: {}{more}", shown.join(", "))))
}

/// Refuses a job that needs what this build does not have.
pub(crate) fn must_be_supported(job: &DeclaredJob) -> CliResult {
    if job.unsupported.is_empty() {
        return Ok(());
    }
    let message = format!(
        "`{}` ({}) needs what this release does not run: {}",
        job.key,
        job.place,
        job.unsupported.join("; ")
    );
    Err(CliError::new(ExitStatus::CommandFailed, message)
        .hint("remove these fields, or wait for the release that has them"))
}

/// Returns a number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

fn show_printed(lines: &[String], output: Output) {
    for line in lines {
        output.stderr_text(&format!("{line}\n"));
    }
}

fn parse_bind(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// A job file as an argument.
pub(crate) type JobFile = PathBuf;

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(key: &str) -> DeclaredJob {
        DeclaredJob {
            key: key.parse().unwrap(),
            config: v1::JobConfiguration::default(),
            place: "f.rhai:1:1".to_owned(),
            unsupported: Vec::new(),
        }
    }

    #[test]
    fn missing_job_names_the_nearest_and_the_others() {
        let jobs = vec![declared("local/a/prod/web"), declared("local/b/prod/db")];
        let error = select(
            jobs,
            &"local/a/prod/wed".parse().unwrap(),
            Path::new("f.rhai"),
        );
        let error = error.unwrap_err();
        assert_eq!(error.status(), ExitStatus::InvalidConfig);
        let text = error.to_string();
        assert!(text.contains("did you mean `local/a/prod/web`?"), "{text}");
        assert!(text.contains("local/b/prod/db"), "{text}");
    }

    #[test]
    fn unsupported_feature_is_named_with_its_place() {
        let mut job = declared("local/a/prod/web");
        job.unsupported.push("cron_schedule: cron jobs".to_owned());
        let error = must_be_supported(&job).unwrap_err();
        assert_eq!(error.status(), ExitStatus::CommandFailed);
        assert!(error.to_string().contains("cron_schedule"), "{error}");
        assert!(error.to_string().contains("f.rhai:1:1"), "{error}");
    }

    #[test]
    fn binds_need_a_name() {
        assert_eq!(
            parse_bind("a=b=c").unwrap(),
            ("a".to_owned(), "b=c".to_owned())
        );
        assert_eq!(parse_bind("a=").unwrap().1, "");
        assert!(parse_bind("a").is_err());
        assert!(parse_bind("=b").is_err());
    }
}
