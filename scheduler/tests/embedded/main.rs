//! The embedded cluster against executors that the tests play themselves.

mod end_to_end;
mod executors;
mod fixture;
mod restart;
mod tasks;
mod throughput;
mod wire;
