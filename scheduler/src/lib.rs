//! The scheduler's outside: joins the pure core with a store, a cluster and callers.

pub mod clock;
pub mod cluster;
