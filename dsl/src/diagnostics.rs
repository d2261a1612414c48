//! What is wrong with a file, and where.
//!
//! Plain data and plain text; colours are the client's.

use std::fmt::{self, Write};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used; its author should know.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A stretch of one line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The name the loader gave the file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In characters, at least 1.
    pub length: usize,
    /// The line's text; a window of it if the line is very long.
    pub source_line: String,
    /// Characters of `source_line` before the stretch.
    pub caret: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Another place that has to do with a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub location: Location,
    /// What about it.
    pub note: String,
}

/// One fault or remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, naming the field.
    pub message: String,
    /// Where; nowhere for what concerns no file, such as an unknown `--bind`.
    pub location: Option<Location>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places, such as the first of two duplicates.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// Makes an error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            location: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// Makes a warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }
}

/// The text form: `file:line:column: error: message`, the source line with the stretch underlined,
/// `help:` and `note:` lines. Ends with a line break.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        writeln!(f, "{}: {}", self.severity, self.message)?;
        if let Some(location) = &self.location {
            write_excerpt(f, location)?;
        }
        for related in &self.related {
            writeln!(f, "  note: {}: {}", related.location, related.note)?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "  help: {hint}")?;
        }
        Ok(())
    }
}

fn write_excerpt(f: &mut fmt::Formatter<'_>, location: &Location) -> fmt::Result {
    if location.source_line.is_empty() {
        return Ok(());
    }
    let number = location.line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(f, " {gutter} |")?;
    writeln!(f, " {number} | {}", location.source_line)?;
    writeln!(f, " {gutter} | {}", underline(location))
}

/// Returns blanks and carets that mark the stretch when printed under the source line.
pub fn underline(location: &Location) -> String {
    let mut marks = String::new();
    for c in location.source_line.chars().take(location.caret) {
        // Tabs stay tabs, so that the marks line up in every terminal.
        marks.push(if c == '\t' { '\t' } else { ' ' });
    }
    let left = location
        .source_line
        .chars()
        .count()
        .saturating_sub(location.caret)
        .max(1);
    marks.push_str(&"^".repeat(location.length.clamp(1, left)));
    marks
}

/// Everything that is wrong with a file; at least one entry is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    /// Errors and warnings, in the order they were found.
    pub entries: Vec<Diagnostic>,
    /// Errors beyond the limit, only counted.
    pub suppressed: usize,
    /// What the file printed before it failed.
    pub output: Vec<String>,
}

impl Diagnostics {
    /// Returns the errors without the warnings.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.entries
            .iter()
            .filter(|entry| entry.severity == Severity::Error)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self {
            entries: vec![diagnostic],
            ..Self::default()
        }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            write!(f, "{entry}")?;
        }
        if self.suppressed > 0 {
            writeln!(f, "\n... and {} more", self.suppressed)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}
