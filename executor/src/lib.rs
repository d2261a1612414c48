//! Runs the processes of tasks, as executor of a Mesos agent or of the embedded cluster.
//!
//! From the agent to the process:
//!
//! - [`entry`]: the command that agents start.
//! - [`link`]: the seam to the agent; the real link is `aurora_mesos::executor_client`.
//! - [`supervisor`]: takes tasks, reports on them, knows when to go.
//! - [`assignment`], [`references`], [`identity`]: what a task is and whether it can run.
//! - `task_driver`: runs one task by the word of its [`task_plan`] and [`plan`]s, which are pure.
//! - `task_processes`, `child`, [`process_table`], `task_mark`: processes, and what they leave behind.
//! - [`sandbox`], [`environment`], [`users`], [`shim`]: what surrounds a process.

pub mod assignment;
mod child;
pub mod clock;
mod command_line;
pub mod config;
pub mod entry;
pub mod environment;
mod fresh_start;
pub mod identity;
pub mod link;
pub mod plan;
mod proc_fs;
pub mod process_table;
pub mod references;
mod run_end;
pub mod sandbox;
pub mod shim;
mod status;
pub mod supervisor;
mod task_driver;
mod task_mark;
pub mod task_plan;
mod task_processes;
pub mod users;

pub use entry::main_entry;
pub use supervisor::run;
