//! `aurora-rs job`: makes, changes and shows jobs.

use clap::Subcommand;

use crate::error::CliResult;

mod add;
mod batches;
pub(crate) mod create;
mod diff;
mod explain;
mod history;
mod inspect;
mod kill;
mod killall;
mod list;
mod restart;
mod status;

pub(crate) use inspect::{InspectArgs, inspect};

/// The verbs of `job`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    Create(create::CreateArgs),
    Add(add::AddArgs),
    Kill(kill::KillArgs),
    Killall(killall::KillallArgs),
    Restart(restart::RestartArgs),
    Status(status::StatusArgs),
    List(list::ListArgs),
    Inspect(inspect::InspectArgs),
    Diff(diff::DiffArgs),
    History(history::HistoryArgs),
    Explain(explain::ExplainArgs),
}

/// Runs one of the verbs.
pub(crate) async fn run(command: &JobCommand) -> CliResult {
    match command {
        JobCommand::Create(args) => create::run(args).await,
        JobCommand::Add(args) => add::run(args).await,
        JobCommand::Kill(args) => kill::run(args).await,
        JobCommand::Killall(args) => killall::run(args).await,
        JobCommand::Restart(args) => restart::run(args).await,
        JobCommand::Status(args) => status::run(args).await,
        JobCommand::List(args) => list::run(args).await,
        JobCommand::Inspect(args) => inspect::run(args).await,
        JobCommand::Diff(args) => diff::run(args).await,
        JobCommand::History(args) => history::run(args).await,
        JobCommand::Explain(args) => explain::run(args).await,
    }
}
