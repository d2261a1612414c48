//! The executor as a program of its own; `aurora-rs executor` is the same.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    aurora_executor::main_entry(&arguments)
}
