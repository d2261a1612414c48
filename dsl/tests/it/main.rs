//! The crate from outside: files in, declarations or diagnostics out.

#![expect(unreachable_pub, reason = "a test binary has no outside")]

mod bombs;
mod design;
mod diagnostics;
mod examples;
mod language;
mod properties;
mod support;
