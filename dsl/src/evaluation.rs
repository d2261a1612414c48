//! What comes out of an evaluation.

use aurora_proto::v1;

use crate::diagnostics::{Diagnostic, Location};

/// What a job file amounts to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Jobs and quotas, in the order they were declared.
    pub declarations: Vec<Declaration>,
    /// Every `param` the file asked for, in order.
    pub params: Vec<Param>,
    /// What the author should know.
    pub warnings: Vec<Diagnostic>,
    /// Every file that was read, the root first.
    pub files: Vec<String>,
    /// What `print` and `debug` wrote.
    pub output: Vec<String>,
}

/// Something a file declares.
#[derive(Debug, Clone, PartialEq)]
pub enum Declaration {
    /// A service, an ad-hoc job or a cron job.
    Job {
        /// The job.
        config: Box<v1::JobConfiguration>,
        /// The call that declared it.
        at: Location,
    },
    /// A role's quota.
    Quota {
        /// The quota.
        config: v1::QuotaConfiguration,
        /// The call that declared it.
        at: Location,
    },
}

/// A value a file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// The name in `--bind NAME=VALUE`.
    pub name: String,
    /// The type that a given value is read as: string, integer, number or bool.
    pub ty: &'static str,
    /// The value without a bind; none if one must be given.
    pub default: Option<String>,
    /// The value that was bound.
    pub given: Option<String>,
    /// What it is for.
    pub help: Option<String>,
}

impl Evaluation {
    /// Whether the file declares nothing, which is seldom what its author wants.
    pub fn is_empty(&self) -> bool {
        self.declarations.is_empty()
    }

    /// Returns what to tell the author of a file that declares nothing.
    pub fn empty_message(&self) -> Option<Diagnostic> {
        if !self.is_empty() {
            return None;
        }
        let file = self.files.first().map_or("the file", String::as_str);
        Some(
            Diagnostic::error(format!("`{file}` declares nothing"))
                .with_hint("call service(#{…}), job(#{…}), cron_job(#{…}) or quota(#{…})"),
        )
    }

    /// Returns the jobs, in order.
    pub fn jobs(&self) -> impl Iterator<Item = &v1::JobConfiguration> {
        self.declarations
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Job { config, .. } => Some(&**config),
                Declaration::Quota { .. } => None,
            })
    }

    /// Returns the quotas, in order.
    pub fn quotas(&self) -> impl Iterator<Item = &v1::QuotaConfiguration> {
        self.declarations
            .iter()
            .filter_map(|declaration| match declaration {
                Declaration::Job { .. } => None,
                Declaration::Quota { config, .. } => Some(config),
            })
    }
}
