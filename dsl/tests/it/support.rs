//! Short ways to evaluate a text.

use std::sync::Arc;

use aurora_dsl::{Diagnostics, Evaluation, Limits, MemoryLoader, Options, Source, evaluate};
use aurora_proto::v1::JobConfiguration;

/// Evaluates a file named `job.rhai` without imports and binds.
pub(crate) fn run(text: &str) -> Result<Evaluation, Diagnostics> {
    run_with(text, &[], MemoryLoader::new())
}

pub(crate) fn run_with(
    text: &str,
    binds: &[(&str, &str)],
    loader: MemoryLoader,
) -> Result<Evaluation, Diagnostics> {
    let binds = binds
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    // An unoptimised build under load needs seconds for the usual five million.
    let limits = Limits {
        operations: 500_000,
        ..Limits::default()
    };
    let options = Options {
        binds: binds.collect(),
        limits,
        ..Options::default()
    };
    evaluate(Source::new("job.rhai", text), Arc::new(loader), &options)
}

/// Evaluates a right file.
pub(crate) fn good(text: &str) -> Evaluation {
    run(text)
        .map_err(|errors| errors.to_string())
        .expect("the file is right")
}

/// Evaluates a wrong file and returns the text form of its diagnostics.
pub(crate) fn bad(text: &str) -> String {
    run(text).expect_err(text).to_string()
}

/// Returns `line:column: message` of each error.
pub(crate) fn faults(text: &str) -> Vec<String> {
    let diagnostics = run(text).expect_err("the file is wrong");
    let lines = diagnostics.errors().map(|error| match &error.location {
        Some(at) => format!("{}:{}: {}", at.line, at.column, error.message),
        None => error.message.clone(),
    });
    lines.collect()
}

/// A job file whose one job has these fields besides the required ones.
pub(crate) fn job_with(fields: &str) -> String {
    format!(
        "job(#{{ cluster: \"c\", role: \"r\", environment: \"prod\", name: \"n\",\n\
         task: simple_task(\"t\", \"true\"),\n{fields} }});"
    )
}

/// The one job of a right file.
pub(crate) fn job(text: &str) -> JobConfiguration {
    let evaluation = good(text);
    let mut jobs = evaluation.jobs();
    let job = jobs.next().expect("a job").clone();
    assert!(jobs.next().is_none(), "one job only");
    job
}
