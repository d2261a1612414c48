//! `aurora-rs admin`: for those who run the scheduler.

use clap::{Args, Subcommand};

use crate::{
    api::{Api, ClientArgs},
    clusters::LOCAL,
    error::CliResult,
};

mod backup;
mod hosts;
mod prune;
mod query;
mod reconcile;
mod restore;
mod snapshot;

/// The verbs of `admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    Snapshot(snapshot::SnapshotArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Query(query::QueryArgs),
    Prune(prune::PruneArgs),
    Reconcile(reconcile::ReconcileArgs),
    Hosts(hosts::HostsArgs),
}

/// Runs one of the verbs.
pub(crate) async fn run(command: &AdminCommand) -> CliResult {
    match command {
        AdminCommand::Snapshot(args) => snapshot::run(args).await,
        AdminCommand::Backup(args) => backup::run(args).await,
        AdminCommand::Restore(args) => restore::run(args),
        AdminCommand::Query(args) => query::run(args).await,
        AdminCommand::Prune(args) => prune::run(args).await,
        AdminCommand::Reconcile(args) => reconcile::run(args).await,
        AdminCommand::Hosts(args) => hosts::run(args).await,
    }
}

/// The cluster that an operator's verb is about.
#[derive(Args, Clone, Debug)]
struct ClusterArgs {
    /// Cluster
    #[arg(default_value = LOCAL)]
    cluster: String,
    #[command(flatten)]
    client: ClientArgs,
}

impl ClusterArgs {
    async fn connect(&self) -> CliResult<Api> {
        self.client.connect(&self.cluster).await
    }
}
