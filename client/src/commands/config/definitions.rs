//! `config definitions`.

use std::{fs, path::PathBuf};

use clap::Args;

use crate::{
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

/// Write the definitions of the job language for editors that know Rhai
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs config definitions .rhai/")]
pub(crate) struct DefinitionsArgs {
    /// Directory to write to; made if it does not exist
    directory: PathBuf,
}

pub(super) fn run(args: &DefinitionsArgs) -> CliResult {
    let directory = &args.directory;
    let written = fs::create_dir_all(directory).and_then(|()| {
        let file = directory.join("aurora.d.rhai");
        fs::write(&file, aurora_dsl::definitions())?;
        Ok(file)
    });
    let written = written.map_err(|error| {
        let message = format!("failed to write definitions to `{}`", directory.display());
        CliError::new(ExitStatus::CommandFailed, message).caused_by(&error)
    })?;
    Output::new(OutputArgs::default()).note(&format!("{} written", written.display()));
    Ok(())
}
