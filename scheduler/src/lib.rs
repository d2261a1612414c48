//! The scheduler's outside: joins the pure core with a store, a cluster and callers.

// The daemon, from the whole to its parts.
pub mod server;

mod api;
pub mod cluster;
pub mod engine;
pub mod store;

// Leaves.
pub mod clock;
mod metrics;
mod random;
pub mod task_logs;
