//! The child's side: limits itself, evaluates one file, answers with one JSON document.

use std::{io::Read, path::Path, sync::Arc, time::Duration};

use aurora_core::unsupported::unsupported_features;
use aurora_dsl::{Declaration, Diagnostic, Diagnostics, Evaluation, Location, Severity};
use clap::Args;
use prost::Message;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{
    error::{CliError, CliResult},
    evaluate::{
        file_loader::FileLoader,
        wire::{Job, Problem, RelatedPlace, Request, Response},
    },
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

/// Address space of the evaluation.
pub(super) const MEMORY_BYTES: u64 = 256 << 20;
/// Processor time of the evaluation, asked for by the evaluation itself. A file of a thousand jobs
/// takes a hundredth of it.
const EVALUATION_TIME: Duration = Duration::from_millis(800);
/// Processor time of the child, enforced by the kernel where the evaluation cannot ask.
pub(super) const CPU_SECONDS: u64 = 2;

/// Evaluate one job file for the parent process.
#[derive(Args, Debug)]
pub(crate) struct EvaluateWorkerArgs {}

/// Reads a request from stdin and writes the answer to stdout.
pub(crate) fn run(_args: &EvaluateWorkerArgs) -> CliResult {
    limit_own_process()?;
    let mut request = Vec::new();
    std::io::stdin()
        .read_to_end(&mut request)
        .map_err(|error| broken("read", &error))?;
    let request: Request =
        serde_json::from_slice(&request).map_err(|error| broken("understand", &error))?;
    let response = evaluate(&request);
    let text = serde_json::to_vec(&response).map_err(|error| broken("answer", &error))?;
    Output::new(OutputArgs::default()).bytes(&text)
}

fn broken(what: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    let message = format!("failed to {what} the request of the parent process");
    CliError::new(ExitStatus::Unknown, message)
        .caused_by(error)
        .hint("this is an internal command; use `aurora-rs config check FILE`")
}

fn limit_own_process() -> CliResult {
    for (resource, limit) in [
        (Resource::As, MEMORY_BYTES),
        (Resource::Cpu, CPU_SECONDS),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, limit).map_err(|error| {
            CliError::new(ExitStatus::Unknown, "failed to limit the evaluation").caused_by(&error)
        })?;
    }
    Ok(())
}

fn evaluate(request: &Request) -> Response {
    let (loader, source) = match FileLoader::open(Path::new(&request.path)) {
        Ok(opened) => opened,
        Err((message, hint)) => {
            let problems = vec![Problem::error(message, hint)];
            return Response {
                problems,
                ..Response::default()
            };
        }
    };
    let options = aurora_dsl::Options {
        binds: request.binds.iter().cloned().collect(),
        out_of_time: Some(Arc::new(|| cpu_time() > EVALUATION_TIME)),
        ..aurora_dsl::Options::default()
    };
    match aurora_dsl::evaluate(source, Arc::new(loader), &options) {
        Ok(evaluation) => accepted(evaluation),
        Err(diagnostics) => rejected(diagnostics),
    }
}

/// Processor time that this process has used: what a busy machine leaves unchanged.
fn cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

fn accepted(evaluation: Evaluation) -> Response {
    let empty = evaluation.empty_message();
    let mut response = Response {
        problems: evaluation
            .warnings
            .iter()
            .chain(&empty)
            .map(problem)
            .collect(),
        printed: evaluation.output,
        ..Response::default()
    };
    for declaration in evaluation.declarations {
        match declaration {
            Declaration::Job { config, at } => response.jobs.push(Job {
                unsupported: unsupported_features(&config)
                    .iter()
                    .map(|feature| format!("{}: {}", feature.field, feature.why))
                    .collect(),
                config: hex::encode(config.encode_to_vec()),
                place: at.to_string(),
            }),
            Declaration::Quota { config, .. } => {
                response.quotas.push(hex::encode(config.encode_to_vec()));
            }
        }
    }
    response
}

fn rejected(diagnostics: Diagnostics) -> Response {
    Response {
        problems: diagnostics.entries.iter().map(problem).collect(),
        suppressed: diagnostics.suppressed,
        printed: diagnostics.output,
        ..Response::default()
    }
}

fn problem(diagnostic: &Diagnostic) -> Problem {
    let at = diagnostic.location.as_ref();
    Problem {
        severity: match diagnostic.severity {
            Severity::Error => "error".to_owned(),
            Severity::Warning => "warning".to_owned(),
        },
        message: diagnostic.message.clone(),
        file: at.map(|at| at.file.clone()),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        length: at.map(|at| at.length),
        source_line: at.map(|at| at.source_line.clone()),
        hint: diagnostic.hint.clone(),
        related: diagnostic
            .related
            .iter()
            .map(|related| related_place(&related.location, &related.note))
            .collect(),
        text: diagnostic.to_string(),
    }
}

fn related_place(at: &Location, note: &str) -> RelatedPlace {
    RelatedPlace {
        file: at.file.clone(),
        line: at.line,
        column: at.column,
        note: note.to_owned(),
    }
}
