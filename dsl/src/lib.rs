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

// In reading order: what goes in and comes out, the language, its objects, the result.
mod build;
mod checks;
mod constructors;
mod definitions;
mod diagnostics;
mod engine;
mod evaluate;
mod evaluation;
mod extract;
mod faults;
mod limits;
mod locate;
mod memory;
mod modules;
mod nearest;
mod problem;
mod recorder;
pub mod references;
pub mod schema;
mod size;
mod source;
mod unsupported;
mod value;

pub use self::{
    definitions::{definitions, reference},
    diagnostics::{Diagnostic, Diagnostics, Location, Related, Severity, underline},
    evaluate::{Options, OutOfTime, evaluate},
    evaluation::{Declaration, Evaluation, Param},
    limits::Limits,
    source::{LoadError, MemoryLoader, NoImports, Source, SourceLoader},
    unsupported::{Unsupported, unsupported_features},
};
