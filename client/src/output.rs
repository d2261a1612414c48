//! The one place that prints: results to stdout, everything else to stderr.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde_json::{Value, json};

use crate::error::{CliError, CliResult, Label};

mod progress;
mod table;

pub(crate) use progress::Progress;
pub(crate) use table::Table;

/// How results are shown; part of every client verb.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct OutputArgs {
    /// Print one JSON document with a versioned schema instead of text
    #[arg(long, visible_alias = "write-json", help_heading = "Output")]
    pub(crate) json: bool,
    /// Print only results and errors
    #[arg(long, short, help_heading = "Output")]
    pub(crate) quiet: bool,
}

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    args: OutputArgs,
}

impl Output {
    /// Returns the output as the user asked for it.
    pub(crate) fn new(args: OutputArgs) -> Self {
        Self { args }
    }

    /// Tells whether the result is to be a JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.args.json
    }

    /// Prints a result.
    pub(crate) fn text(&self, text: &str) -> CliResult {
        let mut stdout = anstream::stdout();
        let written = if text.is_empty() || text.ends_with('\n') {
            stdout.write_all(text.as_bytes())
        } else {
            writeln!(stdout, "{text}")
        };
        written
            .and_then(|()| stdout.flush())
            .map_err(|error| CliError::output(&error))
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> CliResult {
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(bytes)
            .and_then(|()| stdout.flush())
            .map_err(|error| CliError::output(&error))
    }

    /// Prints the JSON document of a verb; `fields` is an object.
    pub(crate) fn json(&self, verb: &str, fields: Value) -> CliResult {
        let document = with_schema(verb, fields);
        self.bytes(format!("{document:#}\n").as_bytes())
    }

    /// Prints one line of a stream of JSON documents.
    pub(crate) fn json_line(&self, verb: &str, fields: Value) -> CliResult {
        let document = with_schema(verb, fields);
        self.bytes(format!("{document}\n").as_bytes())
    }

    /// Prints the result of a mutation: JSON, or a sentence unless `--quiet`.
    pub(crate) fn done(&self, verb: &str, fields: Value, sentence: &str) -> CliResult {
        if self.args.json {
            self.json(verb, fields)
        } else if self.args.quiet {
            Ok(())
        } else {
            self.text(sentence)
        }
    }

    /// Tells the user something that is no result.
    pub(crate) fn note(&self, text: &str) {
        if !self.args.quiet {
            stderr_line(Label::Note, text);
        }
    }

    /// Warns; `--quiet` does not silence it.
    pub(crate) fn warning(&self, text: &str) {
        stderr_line(Label::Warning, text);
    }

    /// Gives advice that belongs to a note or warning.
    pub(crate) fn hint(&self, text: &str) {
        if !self.args.quiet {
            stderr_line(Label::Hint, text);
        }
    }

    /// Prints text for people to stderr as it is.
    pub(crate) fn stderr_text(&self, text: &str) {
        // Nobody is left to tell when stderr is gone.
        drop(anstream::stderr().write_all(text.as_bytes()));
    }

    /// Starts to show how a long wait goes.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(!self.args.quiet)
    }
}

/// Prints a failure with its hints.
pub(crate) fn report(error: &CliError) {
    for (label, text) in error.lines() {
        stderr_line(label, &text);
    }
}

/// Tells whether stderr shows colours.
pub(crate) fn colors_on_stderr() -> bool {
    anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Prints one line to stderr.
pub(crate) fn print_line(label: Label, text: &str) {
    stderr_line(label, text);
}

fn with_schema(verb: &str, fields: Value) -> Value {
    let mut document = json!({ "schema": format!("aurora-rs/{verb}/v1") });
    if let (Value::Object(document), Value::Object(fields)) = (&mut document, fields) {
        document.extend(fields);
    }
    document
}

fn stderr_line(label: Label, text: &str) {
    let mut stderr = anstream::stderr();
    let (word, style) = match label {
        Label::Error => ("error: ", color(AnsiColor::Red).bold()),
        Label::Warning => ("warning: ", color(AnsiColor::Yellow).bold()),
        Label::Hint => ("hint: ", color(AnsiColor::Cyan).bold()),
        Label::Note => ("", Style::new()),
    };
    // Nobody is left to tell when stderr is gone.
    drop(writeln!(stderr, "{style}{word}{style:#}{text}"));
}

fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(color.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_names_its_schema() {
        let document = with_schema("job-list", json!({ "jobs": [] }));
        assert_eq!(document["schema"], "aurora-rs/job-list/v1");
        assert_eq!(document["jobs"], json!([]));
    }
}
