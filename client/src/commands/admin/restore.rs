//! `admin restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    commands::serve::server,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
    output::{Output, OutputArgs},
};

/// Make a scheduler's data directory from a backup or snapshot, while no scheduler runs on it
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs admin restore aurora.backup --data-dir /var/lib/aurora-rs.new

Tasks that run belong to the data directory of the scheduler that started them. To take them back,
stop that scheduler and move `state` and `mark` of the new directory into its own, in place of what
is there. Tasks that the backup does not know are then ended as strays.")]
pub(crate) struct RestoreArgs {
    /// Backup or snapshot file
    file: PathBuf,
    /// Data directory to make; it must not hold a state yet
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &RestoreArgs) -> CliResult {
    let (file, data_dir) = (
        args.file.display().to_string(),
        args.data_dir.display().to_string(),
    );
    let records = server::restore_backup(&args.file, &args.data_dir).map_err(|error| {
        let message = format!("failed to restore `{file}` into `{data_dir}`");
        CliError::new(ExitStatus::CommandFailed, message).caused_by(&*error)
    })?;
    let document = json!({ "file": file, "data_dir": data_dir, "records": records });
    let sentence = format!("{records} records restored into {data_dir}");
    let output = Output::new(args.output);
    output.note(
        "tasks that still run for the old data directory are not taken back by the new one; end \
         them first, or move `state` and `mark` of the new directory into the old one, in place of \
         its own",
    );
    output.done("admin-restore", document, &sentence)
}
