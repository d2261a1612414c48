//! The scheduler as a whole, driven by hand: one file for each part of its behaviour.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::format_push_string,
    reason = "tests look at what they are about"
)]

mod calls;
mod cluster;
mod harness;
mod hostile;
mod listing;
mod persistence;
mod placement;
mod transitions;
