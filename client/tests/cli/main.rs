//! The command from outside: arguments in, exit code and words out.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "these are tests, and they measure real time"
)]

mod command;
mod fake_scheduler;
mod offline;
mod online;
mod serve;
