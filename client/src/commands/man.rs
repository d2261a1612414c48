//! `man`: the reference of the command line, a page for each command.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, Command};

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

/// Write manual pages into a directory
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Directory to write to; made if it does not exist
    directory: PathBuf,
}

pub(crate) fn run(args: &ManArgs, mut command: Command) -> CliResult {
    command.build();
    let written = fs::create_dir_all(&args.directory)
        .and_then(|()| write_pages(&command, "aurora-rs", &args.directory))
        .map_err(|error| {
            let message = format!(
                "failed to write manual pages to `{}`",
                args.directory.display()
            );
            CliError::new(ExitStatus::CommandFailed, message).caused_by(&error)
        })?;
    Output::new(OutputArgs::default()).note(&format!("{written} pages written"));
    Ok(())
}

/// Writes the page of a command and those of its subcommands; returns how many.
fn write_pages(command: &Command, name: &str, directory: &Path) -> io::Result<usize> {
    let mut page = Vec::new();
    let titled = command.clone().name(name.to_owned());
    clap_mangen::Man::new(titled).render(&mut page)?;
    fs::write(directory.join(format!("{name}.1")), page)?;
    let mut written = 1;
    for subcommand in command.get_subcommands() {
        if subcommand.is_hide_set() || subcommand.get_name() == "help" {
            continue;
        }
        let name = format!("{name}-{}", subcommand.get_name());
        written += write_pages(subcommand, &name, directory)?;
    }
    Ok(written)
}
