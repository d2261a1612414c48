//! The command `aurora-rs`: the client, and the doors to the scheduler and the executor.
//!
//! One file for each command below `commands`; only `output` prints.

use std::process::ExitCode;

mod cli;
mod commands;

mod evaluate;

mod api;
mod clusters;
mod instances;
mod job_key;
mod task_state;
mod wait;

mod config_text;
mod error;
mod exit_status;
mod output;

mod byte_size;
mod duration;
mod nearest;
mod timestamp;
mod user_name;

/// Runs the command that the process was started with and returns its exit code.
pub fn main_entry() -> ExitCode {
    cli::main()
}
