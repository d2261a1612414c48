//! What passes between the evaluating child and its parent: one JSON document each way.

use serde::{Deserialize, Serialize};

/// What the child is to do.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) binds: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Response {
    pub(super) jobs: Vec<Job>,
    /// Each a `QuotaConfiguration` in hex.
    pub(super) quotas: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) suppressed: usize,
    pub(super) printed: Vec<String>,
}

/// A declared job.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Job {
    /// A `JobConfiguration` in hex.
    pub(super) config: String,
    pub(super) place: String,
    pub(super) unsupported: Vec<String>,
}

/// One thing that is wrong with a job file, or doubtful about it; shown in JSON as it is.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// `error` or `warning`.
    pub(crate) severity: String,
    pub(crate) message: String,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<usize>,
    pub(crate) column: Option<usize>,
    pub(crate) length: Option<usize>,
    pub(crate) source_line: Option<String>,
    pub(crate) hint: Option<String>,
    pub(crate) related: Vec<RelatedPlace>,
    /// The whole as text, with the source line and a mark below it.
    pub(super) text: String,
}

/// Another place that has to do with a problem.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct RelatedPlace {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) note: String,
}

impl Problem {
    /// Returns an error without a place in the text.
    pub(super) fn error(message: String, hint: &str) -> Self {
        Self {
            severity: "error".to_owned(),
            text: format!("error: {message}\n  help: {hint}\n"),
            message,
            file: None,
            line: None,
            column: None,
            length: None,
            source_line: None,
            hint: Some(hint.to_owned()),
            related: Vec::new(),
        }
    }

    /// Tells whether the file cannot be used because of it.
    pub(crate) fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// Returns the text for people, with a line break at its end.
    pub(crate) fn render(&self) -> String {
        self.text.clone()
    }
}
