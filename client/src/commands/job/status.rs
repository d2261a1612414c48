//! `job status`.

use std::collections::BTreeMap;

use aurora_proto::{json as proto_json, v1};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::{Api, ClientArgs},
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    job_key::{JobKey, JobPattern},
    output::Table,
    task_state::{has_ended, name, newest, reason, since_ms},
    timestamp::format_ms,
};

/// Show jobs with their instances
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job status local/www-data/prod/web
  aurora-rs job status 'local/www-*' --all
  aurora-rs job status local/www-data/prod/web --json | jq '.jobs[0].active[].host'")]
pub(crate) struct StatusArgs {
    /// Jobs, as CLUSTER[/ROLE[/ENVIRONMENT[/NAME]]] with * and ?; a missing part means *
    #[arg(value_name = "GLOB")]
    pattern: JobPattern,
    /// Show every attempt that the scheduler remembers, not only the last of each instance
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// A job with the tasks that are known of it, newest of each instance first.
struct JobStatus {
    key: JobKey,
    summary: v1::JobSummary,
    tasks: Vec<v1::Task>,
}

pub(super) async fn run(args: &StatusArgs) -> CliResult {
    let output = args.client.output();
    let mut jobs = Vec::new();
    for cluster in args.client.clusters(&args.pattern.cluster)? {
        let api = args.client.connect_to(&cluster).await?;
        jobs.extend(read(&api, &args.pattern).await?);
    }
    if jobs.is_empty() {
        let message = format!("no job matches {}", args.pattern);
        return Err(CliError::new(ExitStatus::InvalidParameter, message)
            .hint("`aurora-rs job list CLUSTER` shows the jobs of a cluster"));
    }
    if output.is_json() {
        let jobs: Vec<Value> = jobs.iter().map(to_json).collect();
        return output.json("job-status", json!({ "jobs": jobs }));
    }
    let texts: Vec<String> = jobs.iter().map(|job| to_text(job, args.all)).collect();
    output.text(&texts.join("\n"))
}

async fn read(api: &Api, pattern: &JobPattern) -> CliResult<Vec<JobStatus>> {
    let summaries = api.all_jobs(pattern.filter()).await?;
    if summaries.is_empty() {
        return Ok(Vec::new());
    }
    let request = v1::ListTasksRequest {
        filter: Some(pattern.filter()),
        without_configs: true,
        ..v1::ListTasksRequest::default()
    };
    let mut by_job: BTreeMap<JobKey, Vec<v1::Task>> = BTreeMap::new();
    for task in api.all_tasks(request).await?.0 {
        let key = JobKey::in_cluster(&api.cluster, &task.job.clone().unwrap_or_default());
        by_job.entry(key).or_default().push(task);
    }
    let jobs = summaries.into_iter().map(|summary| {
        let key = JobKey::in_cluster(&api.cluster, &summary.key.clone().unwrap_or_default());
        let tasks = by_job.remove(&key).unwrap_or_default();
        JobStatus {
            key,
            summary,
            tasks,
        }
    });
    Ok(jobs.collect())
}

fn to_json(job: &JobStatus) -> Value {
    let tasks = |ended: bool| -> Vec<Value> {
        let chosen = job.tasks.iter().filter(|task| has_ended(task) == ended);
        chosen.map(proto_json::to_value).collect()
    };
    json!({
        "job": job.key.to_string(),
        "summary": proto_json::to_value(&job.summary),
        "active": tasks(false),
        "inactive": tasks(true),
    })
}

fn to_text(job: &JobStatus, all: bool) -> String {
    let shown: Vec<&v1::Task> = if all {
        job.tasks.iter().collect()
    } else {
        newest(&job.tasks).into_values().collect()
    };
    let mut table = Table::new(&[
        "INSTANCE", "STATE", "SINCE", "HOST", "PORTS", "FAILURES", "TASK", "REASON",
    ])
    .indented(2);
    for task in &shown {
        let mut ports: Vec<String> = task
            .ports
            .iter()
            .map(|(name, port)| format!("{name}={port}"))
            .collect();
        ports.sort_unstable();
        table.row([
            task.instance.to_string(),
            name(task.state()).to_owned(),
            format_ms(since_ms(task)),
            task.host.clone(),
            ports.join(","),
            task.failure_count.to_string(),
            task.task_id.clone(),
            why(task),
        ]);
    }
    let mut text = format!("{}\n", headline(job));
    if !table.is_empty() {
        text.push_str(&table.render());
    }
    let hidden = job.tasks.len() - shown.len();
    if hidden > 0 {
        let attempts = crate::evaluate::count(hidden, "earlier attempt");
        text.push_str("  ");
        text.push_str(&attempts);
        text.push_str(" not shown; use --all\n");
    }
    text
}

/// The last event's own words; the state has its own column.
fn why(task: &v1::Task) -> String {
    let words = reason(task);
    words
        .split_once(": ")
        .map(|(_, words)| words.to_owned())
        .unwrap_or_default()
}

fn headline(job: &JobStatus) -> String {
    let summary = &job.summary;
    let state = summary
        .state()
        .as_str_name()
        .trim_start_matches("JOB_")
        .to_ascii_lowercase();
    let kind = match (summary.service, summary.cron) {
        (_, true) => "cron job",
        (true, false) => "service",
        (false, false) => "ad-hoc job",
    };
    let stats = summary.stats.unwrap_or_default();
    format!(
        "{} ({kind}, {state}): {} wanted, {} pending, {} active, {} running, {} finished, {} failed",
        job.key,
        summary.instances,
        stats.pending,
        stats.active,
        stats.running,
        stats.finished,
        stats.failed
    )
}
