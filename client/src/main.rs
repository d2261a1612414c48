//! The command `aurora-rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    aurora_client::main_entry()
}
