//! `version`.

use clap::Args;
use serde_json::json;

use crate::{
    error::CliResult,
    output::{Output, OutputArgs},
};

/// Print the version
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(args: &VersionArgs) -> CliResult {
    let version = env!("CARGO_PKG_VERSION");
    let output = Output::new(args.output);
    if output.is_json() {
        return output.json("version", json!({ "version": version }));
    }
    output.text(&format!("aurora-rs {version}"))
}
