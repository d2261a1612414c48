//! The crate from outside: files in, declarations or diagnostics out.

mod bombs;
mod design;
mod diagnostics;
mod examples;
mod language;
mod properties;
mod support;
