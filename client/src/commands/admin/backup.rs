//! `admin backup`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use crate::{
    api::refused,
    commands::admin::ClusterArgs,
    error::{CliError, CliResult},
    exit_status::ExitStatus,
};

/// Copy the scheduler's whole state into a file here
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs admin backup --output aurora.backup
  aurora-rs admin restore aurora.backup --data-dir /var/lib/aurora-rs")]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// File to write; it appears when the backup is whole
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &BackupArgs) -> CliResult {
    let shown = args.output.display().to_string();
    if !args.force && args.output.exists() {
        return Err(CliError::new(
            ExitStatus::CommandFailed,
            format!("`{shown}` exists already"),
        )
        .hint("name another file, or replace it with --force"));
    }
    let failed = |error: io::Error| {
        CliError::new(
            ExitStatus::CommandFailed,
            format!("failed to write `{shown}`"),
        )
        .caused_by(&error)
    };
    let api = args.cluster.connect().await?;
    let mut stream = api
        .backup()
        .await
        .map_err(|status| refused("back up the state", &status))?;
    let partial = partial_path(&args.output);
    let mut file = Partial::create(&partial).map_err(failed)?;
    let mut bytes = 0;
    while let Some(part) = stream
        .message()
        .await
        .map_err(|status| refused("back up the state", &status))?
    {
        bytes += part.data.len();
        file.write(&part.data).map_err(failed)?;
    }
    file.finish(&args.output).map_err(failed)?;
    let document = json!({ "path": shown, "bytes": bytes });
    args.cluster.client.output().done(
        "admin-backup",
        document,
        &format!("{shown} ({bytes} bytes)"),
    )
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// A file that goes away again unless it is finished.
struct Partial {
    path: PathBuf,
    file: File,
    finished: bool,
}

impl Partial {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path)?,
            finished: false,
        })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)
    }

    fn finish(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, path)?;
        self.finished = true;
        // The name is durable with its directory.
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // What is left of a failed backup is no harm, only litter.
            drop(fs::remove_file(&self.path));
        }
    }
}
