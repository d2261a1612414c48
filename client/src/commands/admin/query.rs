//! `admin query`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;
use serde_json::{Value, json};

use crate::{
    api::ClientArgs,
    commands::admin::prune::{parse_state, state_numbers},
    error::CliResult,
    instances::InstanceSet,
    job_key::{JobKey, JobPattern},
    output::Table,
    task_state::{name, since_ms},
    timestamp::format_ms,
};

/// Find tasks over all jobs
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs admin query local --state RUNNING --host node-7
  aurora-rs admin query 'local/www-data' --state FAILED,LOST --limit 100")]
pub(crate) struct QueryArgs {
    /// Jobs, as CLUSTER[/ROLE[/ENVIRONMENT[/NAME]]] with * and ?
    #[arg(value_name = "GLOB", default_value = crate::clusters::LOCAL)]
    pattern: JobPattern,
    /// Only tasks in these states
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = parse_state)]
    states: Vec<v1::TaskState>,
    /// Only these instances, as 0-3,5
    #[arg(long, value_name = "INSTANCES")]
    instances: Option<InstanceSet>,
    /// Only tasks on these hosts
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Only the tasks with these ids
    #[arg(long = "task-id", value_name = "ID", value_delimiter = ',')]
    task_ids: Vec<String>,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    limit: usize,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &QueryArgs) -> CliResult {
    let output = args.client.output();
    let mut found: Vec<(String, v1::Task)> = Vec::new();
    for cluster in args.client.clusters(&args.pattern.cluster)? {
        let api = args.client.connect_to(&cluster).await?;
        let mut request = request(args);
        loop {
            let page = api.query_tasks(request.clone()).await?;
            found.extend(
                page.tasks
                    .into_iter()
                    .map(|task| (api.cluster.clone(), task)),
            );
            if page.next_page_token.is_empty() || found.len() > args.limit {
                break;
            }
            request.page_token = page.next_page_token;
        }
    }
    let truncated = found.len() > args.limit;
    found.truncate(args.limit);
    if output.is_json() {
        let tasks: Vec<Value> = found
            .iter()
            .map(|(_, task)| proto_json::to_value(task))
            .collect();
        return output.json(
            "admin-query",
            json!({ "tasks": tasks, "truncated": truncated }),
        );
    }
    output.text(&table(&found).render())?;
    if truncated {
        output.warning(&format!(
            "there are more than {} tasks; raise --limit",
            args.limit
        ));
    }
    Ok(())
}

fn request(args: &QueryArgs) -> v1::ListTasksRequest {
    v1::ListTasksRequest {
        filter: Some(args.pattern.filter()),
        instances: args
            .instances
            .as_ref()
            .map(InstanceSet::to_proto)
            .unwrap_or_default(),
        states: state_numbers(&args.states),
        task_ids: args.task_ids.clone(),
        hosts: args.hosts.clone(),
        page_size: u32::try_from(args.limit.saturating_add(1))
            .unwrap_or(u32::MAX)
            .min(10_000),
        without_configs: true,
        ..v1::ListTasksRequest::default()
    }
}

fn table(found: &[(String, v1::Task)]) -> Table {
    let mut table = Table::new(&["JOB", "INSTANCE", "STATE", "SINCE", "HOST", "TASK"]);
    for (cluster, task) in found {
        let key = JobKey::in_cluster(cluster, &task.job.clone().unwrap_or_default());
        table.row([
            key.to_string(),
            task.instance.to_string(),
            name(task.state()).to_owned(),
            format_ms(since_ms(task)),
            task.host.clone(),
            task.task_id.clone(),
        ]);
    }
    table
}
