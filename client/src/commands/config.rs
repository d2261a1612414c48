//! `aurora-rs config`: job files, without a scheduler.

use clap::Subcommand;

use crate::{commands::job, error::CliResult};

mod check;
mod definitions;
mod list;

/// The verbs of `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Check(check::CheckArgs),
    List(list::ListArgs),
    Inspect(job::InspectArgs),
    Definitions(definitions::DefinitionsArgs),
}

/// Runs one of the verbs.
pub(crate) async fn run(command: &ConfigCommand) -> CliResult {
    match command {
        ConfigCommand::Check(args) => check::run(args).await,
        ConfigCommand::List(args) => list::run(args).await,
        ConfigCommand::Inspect(args) => job::inspect(args).await,
        ConfigCommand::Definitions(args) => definitions::run(args),
    }
}
