//! `admin reconcile`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;

use crate::{commands::admin::ClusterArgs, error::CliResult};

/// Compare the scheduler's tasks with the cluster's now
#[derive(Args, Debug)]
pub(crate) struct ReconcileArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) async fn run(args: &ReconcileArgs) -> CliResult {
    let output = args.cluster.client.output();
    let response = args
        .cluster
        .connect()
        .await?
        .reconcile(v1::ReconcileRequest {})
        .await?;
    let sentence = format!("the cluster is asked about {} tasks", response.tasks);
    output.done(
        "admin-reconcile",
        proto_json::to_value(&response),
        &sentence,
    )
}
