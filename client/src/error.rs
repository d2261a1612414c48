//! What went wrong, in words for a user: the message, its causes, hints and the exit code.

use std::{error::Error, fmt::Display, io};

use crate::exit_status::ExitStatus;

/// A failure of the command.
#[derive(Debug)]
pub(crate) struct CliError {
    status: ExitStatus,
    /// Empty where the failure has been reported already.
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

/// The result of most things here.
pub(crate) type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// Returns a failure with one message, a lowercase fragment that says what was attempted.
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// Returns a failure that only sets the exit code, as its message has been printed.
    pub(crate) fn reported(status: ExitStatus) -> Self {
        Self::new(status, String::new())
    }

    /// Returns the quiet end of a command whose reader went away.
    pub(crate) fn broken_pipe() -> Self {
        Self::reported(ExitStatus::Ok)
    }

    /// Returns a failure to write results.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::broken_pipe();
        }
        Self::new(ExitStatus::CommandFailed, "failed to write the output").caused_by(error)
    }

    /// Adds an error and everything that it names as its own cause.
    pub(crate) fn caused_by(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries repeat their cause in their own text.
            if !self.causes.iter().any(|known| known.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what the user can do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a hint if there is one.
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// Returns the exit code.
    pub(crate) fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns the lines for stderr: `error: …`, and a `hint: …` for each hint.
    pub(crate) fn lines(&self) -> Vec<(Label, String)> {
        let mut lines = Vec::new();
        if !self.message.is_empty() {
            let mut text = self.message.clone();
            for cause in &self.causes {
                text.push_str(": ");
                text.push_str(cause);
            }
            lines.push((Label::Error, text));
        }
        lines.extend(self.hints.iter().map(|hint| (Label::Hint, hint.clone())));
        lines
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.lines().into_iter().map(|(_, text)| text).collect();
        f.write_str(&texts.join("; "))
    }
}

impl Error for CliError {}

/// What a line on stderr is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Error,
    Warning,
    Hint,
    Note,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_the_message_once() {
        let inner = io::Error::other("disk is full");
        let error = CliError::new(ExitStatus::CommandFailed, "failed to write `x`")
            .caused_by(&inner)
            .caused_by(&inner)
            .hint("free some space");
        assert_eq!(
            error.lines(),
            [
                (Label::Error, "failed to write `x`: disk is full".to_owned()),
                (Label::Hint, "free some space".to_owned()),
            ]
        );
    }

    #[test]
    fn reader_that_went_away_is_no_failure() {
        let error = CliError::output(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(error.status(), ExitStatus::Ok);
        assert!(error.lines().is_empty());
    }
}
