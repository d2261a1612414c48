//! The commands, one file each.

pub(crate) mod admin;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod executor;
pub(crate) mod job;
pub(crate) mod man;
pub(crate) mod serve;
pub(crate) mod task;
pub(crate) mod version;
