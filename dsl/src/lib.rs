//! Job files: evaluates Rhai into declarations, and says what is wrong with a file and where.
//!
//! Pure: the same text and parameters give the same result. Knows no files, network, clock or
//! chance; the caller hands in texts through [`SourceLoader`] and ends an evaluation through
//! [`Options::out_of_time`].
//!
//! ```
//! use std::sync::Arc;
//! use aurora_dsl::{NoImports, Options, Source, evaluate};
//!
//! let text = r#"
//!     service(#{
//!         cluster: "local", role: "www-data", environment: "prod", name: "hello",
//!         task: simple_task("hello", "while true; do echo hello; sleep 1; done"),
//!     });
//! "#;
//! let result = evaluate(Source::new("hello.rhai", text), Arc::new(NoImports), &Options::default());
//! let evaluation = result.expect("the file is right");
//! assert_eq!(evaluation.jobs().count(), 1);
//! ```

// In reading order. What goes in and what comes out:
mod source;

mod evaluation;

mod diagnostics;

mod limits;

// The interpreter:
mod evaluate;

mod engine;
mod memory;
mod modules;

mod faults;

// The functions of job files and the tables behind them:
mod constructors;

pub mod schema;

mod extract;
mod size;
mod value;

// The rules, and the way to the messages:
mod checks;
mod problem;
pub mod references;

mod build;

// What everything reports to:
mod recorder;

mod locate;
mod nearest;

// What others ask about job files:
mod definitions;

pub use self::{
    definitions::{definitions, reference},
    diagnostics::{Diagnostic, Diagnostics, Location, Related, Severity, underline},
    evaluate::{Options, OutOfTime, evaluate},
    evaluation::{Declaration, Evaluation, Param},
    limits::Limits,
    source::{LoadError, MemoryLoader, NoImports, Source, SourceLoader},
};
