//! `aurora-rs task`: looks into running and ended tasks.

use clap::Subcommand;

use crate::error::CliResult;

pub(crate) mod log_stream;
mod logs;

/// The verbs of `task`.
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    Logs(logs::LogsArgs),
}

/// Runs one of the verbs.
pub(crate) async fn run(command: &TaskCommand) -> CliResult {
    match command {
        TaskCommand::Logs(args) => logs::run(args).await,
    }
}
