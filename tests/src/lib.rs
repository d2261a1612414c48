//! What the end-to-end tests and benchmarks share: a scheduler of their own, the real binary in
//! a process of its own, and waiting for conditions.

pub mod files;
pub mod http;
pub mod scheduler;
pub mod wait;
