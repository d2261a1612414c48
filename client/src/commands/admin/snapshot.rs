//! `admin snapshot`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;

use crate::{commands::admin::ClusterArgs, error::CliResult};

/// Write a snapshot of the scheduler's state next to its store
#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
}

pub(super) async fn run(args: &SnapshotArgs) -> CliResult {
    let output = args.cluster.client.output();
    let response = args
        .cluster
        .connect()
        .await?
        .snapshot(v1::SnapshotRequest {})
        .await?;
    let sentence = format!(
        "{} ({} records, {} bytes)",
        response.path, response.records, response.bytes
    );
    output.done("admin-snapshot", proto_json::to_value(&response), &sentence)
}
