//! `completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    error::CliResult,
    output::{Output, OutputArgs},
};

/// Print the completion script of a shell
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs completions bash > ~/.local/share/bash-completion/completions/aurora-rs")]
pub(crate) struct CompletionsArgs {
    /// Shell to write for
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut command: Command) -> CliResult {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "aurora-rs", &mut script);
    Output::new(OutputArgs::default()).bytes(&script)
}
