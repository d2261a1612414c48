//! `admin hosts`.

use aurora_proto::{json as proto_json, v1};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::{commands::admin::ClusterArgs, error::CliResult, output::Table};

/// Show the machines of a cluster
#[derive(Args, Debug)]
pub(crate) struct HostsArgs {
    #[command(subcommand)]
    command: HostsCommand,
}

#[derive(Debug, Subcommand)]
enum HostsCommand {
    /// List the machines with what they have left
    List(ClusterArgs),
}

pub(super) async fn run(args: &HostsArgs) -> CliResult {
    let HostsCommand::List(cluster) = &args.command;
    let output = cluster.client.output();
    let response = cluster
        .connect()
        .await?
        .list_agents(v1::ListAgentsRequest {})
        .await?;
    if output.is_json() {
        let hosts: Vec<Value> = response.agents.iter().map(proto_json::to_value).collect();
        return output.json("admin-hosts-list", json!({ "hosts": hosts }));
    }
    let mut table = Table::new(&[
        "HOST",
        "AGENT",
        "STATE",
        "TASKS",
        "CPU FREE",
        "RAM FREE",
        "DISK FREE",
        "ATTRIBUTES",
    ]);
    for agent in &response.agents {
        let free = agent.available.unwrap_or_default();
        let attributes: Vec<String> = agent
            .attributes
            .iter()
            .map(|attribute| format!("{}={}", attribute.name, attribute.values.join("|")))
            .collect();
        table.row([
            agent.host.clone(),
            agent.agent_id.clone(),
            if agent.reachable {
                "reachable"
            } else {
                "unreachable"
            }
            .to_owned(),
            agent.tasks.to_string(),
            format!("{:.2}", free.cpu),
            mebibytes(free.ram_bytes),
            mebibytes(free.disk_bytes),
            attributes.join(","),
        ]);
    }
    output.text(&table.render())
}

fn mebibytes(bytes: i64) -> String {
    format!("{}MB", bytes >> 20)
}
