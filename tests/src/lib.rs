//! What the end-to-end tests and benchmarks share: a scheduler of their own, the real binary in
//! a process of its own, and waiting for conditions.

pub mod background;
pub mod files;
pub mod http;
pub mod processes;
pub mod random;
pub mod scheduler;
pub mod slots;
pub mod wait;
