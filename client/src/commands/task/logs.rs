//! `task logs`.

use std::str::FromStr;

use aurora_proto::v1;
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    api::{Api, ClientArgs},
    byte_size::ByteSize,
    clusters::LOCAL,
    commands::task::log_stream::{LogLine, LogReader},
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    job_key::InstanceKey,
    output::Output,
    task_state::newest,
};

/// More are a flood on a terminal, and a stream each for the scheduler.
const MAX_TASKS: usize = 64;

/// Show what the processes of a task wrote
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs task logs local/www-data/prod/web/0 -f
  aurora-rs task logs local/www-data/prod/web --stderr --tail 4KB
  aurora-rs task logs local/etl/prod/load/0 --process fetch --run 0

With --json, one document a line with the schema aurora-rs/task-logs/v1.")]
pub(crate) struct LogsArgs {
    /// Instances, as CLUSTER/ROLE/ENVIRONMENT/NAME[/0-3,5], of which the newest attempts are
    /// shown; or the id of a task
    #[arg(value_name = "KEY[/INSTANCES]|TASK_ID")]
    target: LogTarget,
    /// Go on until the task has ended
    #[arg(long, short)]
    follow: bool,
    /// Only this process
    #[arg(long, value_name = "NAME")]
    process: Option<String>,
    /// The run of the process, counted from 0 [default: the latest]
    #[arg(long, value_name = "N")]
    run: Option<u32>,
    /// Only standard output
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Only standard error
    #[arg(long)]
    stderr: bool,
    /// Only the last so many bytes of each file
    #[arg(long, value_name = "BYTES", value_parser = parse_tail, allow_negative_numbers = true)]
    tail: Option<ByteSize>,
    /// Cluster of a task given by its id
    #[arg(long, value_name = "NAME", default_value = LOCAL)]
    cluster: String,
    #[command(flatten)]
    client: ClientArgs,
}

/// What to show the output of.
#[derive(Clone, Debug)]
enum LogTarget {
    Job(InstanceKey),
    Task(String),
}

impl FromStr for LogTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Job(text.parse()?));
        }
        if text.is_empty() {
            return Err("a task id is not empty".to_owned());
        }
        Ok(Self::Task(text.to_owned()))
    }
}

/// The scheduler takes none for all.
fn parse_tail(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size.bytes() == 0 {
        return Err("it is at least 1 byte".to_owned());
    }
    Ok(size)
}

/// A task with what to put before its lines.
struct Shown {
    task_id: String,
    instance: String,
}

pub(super) async fn run(args: &LogsArgs) -> CliResult {
    let (api, tasks) = match &args.target {
        LogTarget::Task(task_id) => {
            let api = args.client.connect(&args.cluster).await?;
            (
                api,
                vec![Shown {
                    task_id: task_id.clone(),
                    instance: task_id.clone(),
                }],
            )
        }
        LogTarget::Job(key) => {
            let api = args.client.connect(&key.job.cluster).await?;
            let tasks = newest_tasks(&api, key).await?;
            (api, tasks)
        }
    };
    let output = args.client.output();
    let several = tasks.len() > 1;
    let followers = tasks.iter().map(|task| {
        let api = &api;
        async move {
            let mut take = |line: LogLine| show(output, task, several, &line);
            LogReader::new(request(args, &task.task_id))
                .read(api, args.client.timeout, &mut take)
                .await
        }
    });
    try_join_all(followers).await?;
    Ok(())
}

async fn newest_tasks(api: &Api, key: &InstanceKey) -> CliResult<Vec<Shown>> {
    let tasks = api.tasks_of(&key.job, key.instances.as_ref()).await?;
    let newest = newest(&tasks);
    if newest.is_empty() {
        let which = key
            .instances
            .as_ref()
            .map(|set| format!(" for instances {set}"))
            .unwrap_or_default();
        let message = format!("{} has no task{which}", key.job);
        return Err(CliError::new(ExitStatus::InvalidParameter, message));
    }
    if newest.len() > MAX_TASKS {
        let message = format!(
            "{} has {} instances; at most {MAX_TASKS} can be shown together",
            key.job,
            newest.len()
        );
        return Err(CliError::new(ExitStatus::InvalidParameter, message)
            .hint(format!("name some, as in {}/0-9", key.job)));
    }
    let shown = newest.into_values().map(|task| Shown {
        task_id: task.task_id.clone(),
        instance: task.instance.to_string(),
    });
    Ok(shown.collect())
}

fn request(args: &LogsArgs, task_id: &str) -> v1::ReadTaskLogRequest {
    let stream = match (args.stdout, args.stderr) {
        (true, _) => v1::LogStream::Stdout,
        (false, true) => v1::LogStream::Stderr,
        (false, false) => v1::LogStream::Unspecified,
    };
    v1::ReadTaskLogRequest {
        task_id: task_id.to_owned(),
        process: args.process.clone().unwrap_or_default(),
        run: args.run,
        stream: stream.into(),
        follow: args.follow,
        tail_bytes: args.tail.map_or(0, ByteSize::bytes),
    }
}

fn show(output: Output, task: &Shown, several: bool, line: &LogLine) -> CliResult {
    if output.is_json() {
        let document = json!({
            "task_id": task.task_id,
            "process": line.file.process,
            "run": line.file.run,
            "stream": line.file.stream.as_str_name(),
            "text": String::from_utf8_lossy(&line.text),
        });
        return output.json_line("task-logs", document);
    }
    if !several {
        return output.bytes(&line.text);
    }
    let mut bytes = format!("{} {} | ", task.instance, line.file.process).into_bytes();
    bytes.extend_from_slice(&line.text);
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    output.bytes(&bytes)
}
