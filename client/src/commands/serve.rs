//! `aurora-rs dev` and `aurora-rs scheduler`: the server, in the foreground.

use clap::{ArgMatches, Command};

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
};

mod descendants;
mod dev;
mod dev_jobs;
mod logging;
mod options;
mod run;
pub(crate) mod server;
mod settings_file;
mod stop_signal;

pub(crate) use dev::DevArgs;
pub(crate) use run::SchedulerArgs;

/// Runs `dev` until it is stopped.
pub(crate) fn dev(args: &DevArgs) -> CliResult {
    logging::start(&args.options, logging::Audience::Developer);
    run_server(dev::run(args))
}

/// Runs the daemon until it is stopped.
pub(crate) fn scheduler(args: &SchedulerArgs) -> CliResult {
    logging::start(&args.options, logging::Audience::Operator);
    run_server(run::run(args))
}

/// Returns the options of the file that `--config` names, as arguments.
pub(crate) fn options_from_file(
    command: &Command,
    verb: &str,
    matches: &ArgMatches,
) -> CliResult<Vec<String>> {
    settings_file::arguments(command, verb, matches)
}

fn run_server(server: impl Future<Output = CliResult>) -> CliResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::new(ExitStatus::Unknown, "failed to start the runtime").caused_by(&error)
        })?;
    let result = runtime.block_on(Box::pin(server));
    // A disk that hangs must not keep what is stopping.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}
