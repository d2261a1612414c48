//! The scheduler as a pure state machine: inputs with their time go in, writes, effects and
//! replies come out. Same inputs, same seed: same outputs, byte for byte.
//!
//! Knows no clock, no file, no network, no thread and no randomness but the seed it is given;
//! its Cargo.toml keeps it so.

// What the outside hands in and gets back.
pub mod call;
pub mod cluster;
pub mod counters;
pub mod ids;
pub mod instances;
pub mod resources;
pub mod scheduler;
pub mod settings;
pub mod store;
pub mod time;
pub mod unsupported;

// What is kept.
mod agent;
pub mod codec;
mod config;
mod job;
mod state;
pub mod task;
mod task_table;

// What is done.
mod calls;
mod groups;
pub mod invariants;
mod lifecycle;
mod offers;
mod penalty;
mod placement;
mod ports;
mod query;
mod schedule;
mod status;
mod timers;
pub mod transitions;
mod validate;

pub use scheduler::{Input, Scheduler, Step};

#[cfg(test)]
mod tests;
