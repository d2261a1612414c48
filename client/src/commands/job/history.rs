//! `job history`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::ClientArgs,
    error::CliResult,
    job_key::JobKey,
    output::Table,
    task_state::{has_ended, reason, since_ms},
    timestamp::format_ms,
};

/// Show what was done to a job, and how its attempts ended
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs job history local/www-data/prod/web")]
pub(crate) struct HistoryArgs {
    /// Job, as CLUSTER/ROLE/ENVIRONMENT/NAME
    key: JobKey,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &HistoryArgs) -> CliResult {
    let output = args.client.output();
    let api = args.client.connect(&args.key.cluster).await?;
    let request = v1::GetJobHistoryRequest {
        key: Some(args.key.to_proto()),
    };
    let events = api.get_job_history(request).await?.events;
    let tasks = api.tasks_of(&args.key, None).await?;
    let mut ended: Vec<&v1::Task> = tasks.iter().filter(|task| has_ended(task)).collect();
    ended.sort_by_key(|task| since_ms(task));
    if output.is_json() {
        let events: Vec<Value> = events.iter().map(proto_json::to_value).collect();
        let attempts: Vec<Value> = ended.into_iter().map(proto_json::to_value).collect();
        let document =
            json!({ "job": args.key.to_string(), "events": events, "attempts": attempts });
        return output.json("job-history", document);
    }
    let mut text = events_table(&events).render();
    let attempts = attempts_table(&ended);
    if !attempts.is_empty() {
        text.push('\n');
        text.push_str(&attempts.render());
    }
    output.text(&text)
}

fn events_table(events: &[v1::JobEvent]) -> Table {
    let mut table = Table::new(&["TIME", "WHAT", "USER", "VERSION", "MESSAGE"]);
    for event in events {
        table.row([
            format_ms(event.timestamp_ms),
            event.kind.clone(),
            event.user.clone(),
            event.version.to_string(),
            event.message.clone(),
        ]);
    }
    table
}

fn attempts_table(ended: &[&v1::Task]) -> Table {
    let mut table = Table::new(&["ENDED", "INSTANCE", "HOST", "TASK", "HOW"]);
    for task in ended {
        table.row([
            format_ms(since_ms(task)),
            task.instance.to_string(),
            task.host.clone(),
            task.task_id.clone(),
            reason(task),
        ]);
    }
    table
}
