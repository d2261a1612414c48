//! What an evaluation has come upon so far; shared by all native functions of one engine.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use aurora_proto::v1;

use crate::{
    diagnostics::{Diagnostic, Location, Related, Severity},
    evaluation::{Declaration, Param},
    limits::Limits,
    locate::SourceText,
    value::At,
};

/// A file with so many times the errors that are kept is not read on.
const MANY_TIMES: usize = 10;

/// The shared state of one evaluation.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) limits: Limits,
    pub(crate) binds: BTreeMap<String, String>,
    state: Mutex<State>,
    stopped: AtomicBool,
}

/// What has been found.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) suppressed: usize,
    pub(crate) errors: usize,
    /// Whether a declaration was left out because of what it holds.
    pub(crate) poisoned: bool,
    pub(crate) declarations: Vec<Declaration>,
    /// Every key declared so far, good or poisoned.
    pub(crate) declared: BTreeMap<String, At>,
    pub(crate) declared_bytes: usize,
    pub(crate) params: Vec<Param>,
    pub(crate) files: Vec<String>,
    pub(crate) output: Vec<String>,
    pub(crate) output_dropped: usize,
    /// The modules that are being evaluated, outermost first.
    pub(crate) importing: Vec<Arc<str>>,
    texts: BTreeMap<Arc<str>, Arc<SourceText>>,
    seen: BTreeSet<String>,
    source_bytes: usize,
    object_bytes: usize,
    objects: usize,
}

/// A diagnostic in the making.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) severity: Severity,
    pub(crate) at: At,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) related: Vec<(At, String)>,
}

impl Report {
    pub(crate) fn error(at: &At, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            at: at.clone(),
            message: message.into(),
            hint: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn warning(at: &At, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(at, message)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn related(mut self, at: &At, note: impl Into<String>) -> Self {
        self.related.push((at.clone(), note.into()));
        self
    }
}

impl Recorder {
    pub(crate) fn new(limits: Limits, binds: BTreeMap<String, String>) -> Self {
        Self {
            limits,
            binds,
            state: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Returns the state; never held while the interpreter runs.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_source(&self, text: SourceText, name: &Arc<str>) {
        let mut state = self.state();
        state.files.push(name.to_string());
        state.texts.insert(name.clone(), Arc::new(text));
    }

    pub(crate) fn source(&self, file: &str) -> Option<Arc<SourceText>> {
        self.state().texts.get(file).cloned()
    }

    pub(crate) fn location(&self, at: &At) -> Option<Location> {
        let source = self.source(&at.site.file)?;
        Some(source.field(at.site.line, at.site.column, &at.path))
    }

    pub(crate) fn report(&self, report: Report) {
        let Report {
            severity,
            at,
            message,
            hint,
            related,
        } = report;
        // Finding the place costs time: not for what has been said, nor for what is not kept.
        if !self.count(severity, format!("{:?} {:?} {message}", at.site, at.path)) {
            return;
        }
        let related = related.into_iter().filter_map(|(at, note)| {
            Some(Related {
                location: self.location(&at)?,
                note,
            })
        });
        let related = related.collect();
        let location = self.location(&at);
        self.state().diagnostics.push(Diagnostic {
            severity,
            message,
            location,
            hint,
            related,
        });
    }

    pub(crate) fn add(&self, diagnostic: Diagnostic) {
        let place = diagnostic
            .location
            .as_ref()
            .map_or_else(String::new, ToString::to_string);
        if self.count(
            diagnostic.severity,
            format!("{place} {}", diagnostic.message),
        ) {
            self.state().diagnostics.push(diagnostic);
        }
    }

    /// Counts a diagnostic; returns whether it is to be kept.
    ///
    /// A loop makes the same mistake once, not twenty times.
    fn count(&self, severity: Severity, key: String) -> bool {
        let mut state = self.state();
        let is_error = severity == Severity::Error;
        state.errors += usize::from(is_error);
        self.stop_if(state.errors > MANY_TIMES * self.limits.diagnostics);
        if state.seen.contains(&key) {
            return false;
        }
        let kept = state.diagnostics.len() < self.limits.diagnostics;
        if kept {
            state.seen.insert(key);
        } else if is_error {
            state.suppressed += 1;
        }
        // The first error is told, however many warnings came before it.
        kept || (is_error && state.errors == 1)
    }

    /// Whether going on is of no use: a limit is broken, which has been reported.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop_if(&self, stop: bool) {
        self.stopped.fetch_or(stop, Ordering::Relaxed);
    }

    /// Returns the name of the first file.
    pub(crate) fn root(&self) -> Arc<str> {
        self.state()
            .files
            .first()
            .map_or_else(|| Arc::from(""), |name| Arc::from(name.as_str()))
    }

    /// Counts the bytes of a source; returns false if that is too much.
    pub(crate) fn charge_source(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.source_bytes = state.source_bytes.saturating_add(bytes);
        state.source_bytes <= self.limits.total_source_bytes
    }

    /// Notes that something was left out because of a fault that has been reported.
    pub(crate) fn mark_poisoned(&self) {
        self.state().poisoned = true;
    }

    /// Counts one object with so many bytes of text; returns false if that is too much.
    pub(crate) fn charge(&self, bytes: usize) -> bool {
        let mut state = self.state();
        state.objects += 1;
        state.object_bytes = state.object_bytes.saturating_add(bytes);
        let fits =
            state.objects <= self.limits.objects && state.object_bytes <= self.limits.object_bytes;
        self.stop_if(!fits);
        fits
    }

    /// Notes a declared key; reports an error if the file declared it before.
    pub(crate) fn claim(&self, key: &str, what: &str, at: &At) -> bool {
        let earlier = self.state().declared.get(key).cloned();
        let Some(earlier) = earlier else {
            self.state().declared.insert(key.to_owned(), at.clone());
            return true;
        };
        let message = format!("{what} is declared twice");
        self.report(Report::error(at, message).related(&earlier, "first declared here"));
        false
    }

    /// Keeps a declaration, or returns what limit it breaks.
    pub(crate) fn declare(&self, declaration: Declaration) -> Result<(), String> {
        let bytes = match &declaration {
            Declaration::Job { config, .. } => prost::Message::encoded_len(&**config),
            Declaration::Quota { .. } => std::mem::size_of::<v1::QuotaConfiguration>(),
        };
        let mut state = self.state();
        state.declared_bytes = state.declared_bytes.saturating_add(bytes);
        self.stop_if(
            state.declarations.len() >= self.limits.declarations
                || state.declared_bytes > self.limits.declared_bytes,
        );
        if state.declarations.len() >= self.limits.declarations {
            return Err(format!(
                "a file may declare {} jobs and quotas",
                self.limits.declarations
            ));
        }
        if state.declared_bytes > self.limits.declared_bytes {
            return Err(format!(
                "a file's jobs may take {} bytes",
                self.limits.declared_bytes
            ));
        }
        state.declarations.push(declaration);
        Ok(())
    }

    pub(crate) fn print(&self, text: &str) {
        const LONGEST: usize = 1_000;
        let mut state = self.state();
        if state.output.len() < self.limits.output_lines {
            state.output.push(text.chars().take(LONGEST).collect());
        } else {
            state.output_dropped += 1;
        }
    }
}
