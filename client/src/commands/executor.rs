//! `executor`: what an agent runs. The one place that enters the crate `aurora-executor`.

use std::process::ExitCode;

use clap::Args;

/// Run tasks for an agent
#[derive(Args, Debug)]
pub(crate) struct ExecutorArgs {
    /// What the executor tells itself
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    pub(crate) arguments: Vec<String>,
}

/// Runs the executor; must be called before the process has any other thread.
pub(crate) fn run(arguments: &[String]) -> ExitCode {
    aurora_executor::main_entry(arguments)
}
