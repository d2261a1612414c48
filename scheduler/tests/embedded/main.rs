//! The embedded cluster against executors that the tests play themselves.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests are tests, which clippy does not see"
)]

mod end_to_end;
mod executors;
mod fixture;
mod restart;
mod tasks;
mod throughput;
mod wire;
