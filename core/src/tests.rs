//! The scheduler as a whole, driven by hand: one file for each part of its behaviour.

mod calls;
mod cluster;
mod harness;
mod hostile;
mod listing;
mod persistence;
mod placement;
mod transitions;
