//! End-to-end tests: the real binary, real processes, a real store. One file for each concern.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod api_hostile;
mod batch;
mod cli;
mod config_check;
mod crash;
mod dev;
mod examples;
mod placement;
mod services;
mod store;
mod strays;
mod users;
