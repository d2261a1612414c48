//! The command from outside: arguments in, exit code and words out.

mod command;
mod fake_scheduler;
mod offline;
mod online;
mod serve;
