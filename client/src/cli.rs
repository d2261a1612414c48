//! The command line: what there is, and who runs it.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    commands::{
        admin::{self, AdminCommand},
        completions::{self, CompletionsArgs},
        config::{self, ConfigCommand},
        executor::{self, ExecutorArgs},
        job::{self, JobCommand},
        man::{self, ManArgs},
        serve::{self, DevArgs, SchedulerArgs},
        task::{self, TaskCommand},
        version::{self, VersionArgs},
    },
    error::{CliError, CliResult, Label},
    evaluate::{self, EvaluateWorkerArgs},
    exit_status::ExitStatus,
    output,
};

/// Commands that Aurora has and this release has not.
const LATER: [&str; 24] = [
    "update",
    "cron",
    "quota",
    "sla",
    "plan",
    "apply",
    "exec",
    "ssh",
    "run",
    "scp",
    "open",
    "deactivate",
    "activate",
    "drain",
    "tiers",
    "start",
    "pause",
    "resume",
    "abort",
    "rollback",
    "schedule",
    "deschedule",
    "backfill",
    "pulse",
];

/// Schedules jobs on the machines that a team shares
///
/// One program: the scheduler, what runs tasks on each machine, and the commands to use them.
#[derive(Debug, Parser)]
#[command(
    name = "aurora-rs",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start here:
  aurora-rs dev dsl-examples/hello_world.rhai       everything on this machine, in the foreground
  aurora-rs config check web.rhai                   what is wrong with a job file
  aurora-rs job create local/www-data/prod/web web.rhai
  aurora-rs job status local

Exit codes: 0 ok, 2 usage, 3 invalid configuration or unknown cluster, 4 the command failed,
6 invalid parameter or nothing found, 7 network, 9 timeout, 10 the scheduler refused, 20 unknown,
30 authentication, 130 Ctrl-C."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(Box<DevArgs>),
    Scheduler(Box<SchedulerArgs>),
    /// Make, change and show jobs
    #[command(subcommand, arg_required_else_help = true)]
    Job(JobCommand),
    /// Look into running and ended tasks
    #[command(subcommand, arg_required_else_help = true)]
    Task(TaskCommand),
    /// Work with job files, without a scheduler
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Look after a scheduler and its state
    #[command(subcommand, arg_required_else_help = true)]
    Admin(AdminCommand),
    Completions(CompletionsArgs),
    Man(ManArgs),
    Version(VersionArgs),
    #[command(hide = true)]
    Executor(ExecutorArgs),
    #[command(hide = true)]
    EvaluateWorker(EvaluateWorkerArgs),
}

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    // Every process of every task starts this way; the rest of the command line would be a burden.
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("executor") {
        let arguments: Vec<String> = arguments.collect();
        if !matches!(arguments.first().map(String::as_str), Some("--help" | "-h")) {
            return executor::run(&arguments);
        }
    }
    let cli = match parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(Refusal::Usage(error)) => return usage(&error),
        Err(Refusal::Other(error)) => return end(Err(error)),
    };
    match cli.command {
        Command::Executor(args) => executor::run(&args.arguments),
        Command::Dev(args) => end(serve::dev(&args)),
        Command::Scheduler(args) => end(serve::scheduler(&args)),
        Command::Job(command) => end(run_client(job::run(&command))),
        Command::Task(command) => end(run_client(task::run(&command))),
        Command::Config(command) => end(run_client(config::run(&command))),
        Command::Admin(command) => end(run_client(admin::run(&command))),
        Command::Completions(args) => end(completions::run(&args, Cli::command())),
        Command::Man(args) => end(man::run(&args, Cli::command())),
        Command::Version(args) => end(version::run(&args)),
        Command::EvaluateWorker(args) => end(evaluate::run_worker(&args)),
    }
}

enum Refusal {
    Usage(clap::Error),
    Other(CliError),
}

fn parse(arguments: Vec<OsString>) -> Result<Cli, Refusal> {
    let matches = Cli::command()
        .try_get_matches_from(&arguments)
        .map_err(Refusal::Usage)?;
    // The server's options may come from a file too; they are put behind those given here.
    let from_file = match matches.subcommand() {
        Some((name @ ("dev" | "scheduler"), matches)) => {
            serve::options_from_file(&Cli::command(), name, matches).map_err(Refusal::Other)?
        }
        _ => Vec::new(),
    };
    if from_file.is_empty() {
        return Cli::from_arg_matches(&matches).map_err(Refusal::Usage);
    }
    let mut complete = arguments;
    // Options end at `--`; what stands in the file goes before the user's own arguments.
    let place = complete.len().min(2);
    complete.splice(place..place, from_file.into_iter().map(OsString::from));
    Cli::try_parse_from(complete).map_err(Refusal::Usage)
}

/// Runs a client verb to its end or to Ctrl-C.
fn run_client(verb: impl Future<Output = CliResult>) -> CliResult {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::new(ExitStatus::Unknown, "failed to start the runtime").caused_by(&error)
        })?;
    runtime.block_on(async {
        tokio::select! {
            result = Box::pin(verb) => result,
            _ = tokio::signal::ctrl_c() => {
                let error = CliError::new(ExitStatus::Interrupted, "interrupted");
                Err(error.hint("what was sent to the scheduler before is not taken back"))
            }
        }
    })
}

fn end(result: CliResult) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::from(error.status().number())
        }
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // Help and version are no errors; their reader may be gone already.
    drop(error.print());
    if let Some(hint) = later_release(error) {
        output::print_line(Label::Hint, &hint);
    }
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        return ExitCode::SUCCESS;
    }
    ExitCode::from(ExitStatus::Usage.number())
}

/// Returns a hint where the user asked for a command that other releases have.
fn later_release(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let ContextValue::String(command) = error.get(ContextKind::InvalidSubcommand)? else {
        return None;
    };
    LATER
        .contains(&command.as_str())
        .then(|| format!("`{command}` is not in this release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_is_explained() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} has no description");
            for argument in command.get_arguments() {
                let id = argument.get_id();
                assert!(
                    argument.get_help().is_some(),
                    "{path}: {id} has no description"
                );
            }
            for subcommand in command.get_subcommands() {
                check(subcommand, &path);
            }
        }
        let mut command = Cli::command();
        command.build();
        check(&command, "");
    }

    #[test]
    fn commands_of_later_releases_are_hinted_at() {
        let error = Cli::command()
            .try_get_matches_from(["aurora-rs", "cron", "list"])
            .unwrap_err();
        assert_eq!(
            later_release(&error).as_deref(),
            Some("`cron` is not in this release")
        );
        let error = Cli::command()
            .try_get_matches_from(["aurora-rs", "jobs"])
            .unwrap_err();
        assert_eq!(later_release(&error), None);
    }
}
