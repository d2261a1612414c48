//! The scheduler as a pure state machine: inputs with their time go in, writes, effects and
//! replies come out. Same inputs, same seed: same outputs, byte for byte.
//!
//! Knows no clock, no file, no network, no thread and no randomness but the seed it is given;
//! its Cargo.toml keeps it so.

pub mod call;
pub mod cluster;
pub mod resources;
pub mod settings;
pub mod store;
pub mod time;
