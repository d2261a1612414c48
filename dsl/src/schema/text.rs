//! The rules for strings.

use crate::{checks::cron, problem::Problem, references};

/// What a string must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// One line without references, not empty.
    Line,
    /// Anything, never looked into.
    Opaque,
    /// A part of a job's key.
    Identifier,
    /// An environment's name.
    Environment,
    /// A process's name.
    ProcessName,
    /// A command with `{{…}}` references.
    Command,
    /// A port's name.
    PortName,
    /// A path of a URL.
    Endpoint,
    /// A cron schedule.
    Cron,
    /// A time zone.
    Timezone,
    /// A tier.
    Tier,
}

/// The tiers that schedulers know unless their operator says otherwise.
pub const TIERS: &[&str] = &["preferred", "preemptible", "revocable"];

/// Characters of a name at most.
pub const MAX_NAME: usize = 255;

impl TextRule {
    /// Checks a string against the rule.
    pub(crate) fn check(self, text: &str) -> Result<(), Problem> {
        if text.contains('\0') {
            return Err(Problem::new("contains a NUL character"));
        }
        match self {
            Self::Opaque => Ok(()),
            Self::Command => command(text),
            Self::Line => line(text),
            Self::Identifier => identifier(text),
            Self::Environment => environment(text),
            Self::ProcessName => process_name(text),
            Self::PortName => port_name(text),
            Self::Endpoint => endpoint(text),
            Self::Cron => cron::check(text),
            Self::Timezone => timezone(text),
            Self::Tier => tier(text),
        }
    }
}

fn no_references(text: &str) -> Result<(), Problem> {
    if !text.contains("{{") {
        return Ok(());
    }
    Err(
        Problem::new("holds `{{`, but references are resolved only in commands")
            .hint("put a value in while the file is evaluated: `web-${RELEASE}` in backticks"),
    )
}

fn not_empty(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        Err(Problem::new("must not be empty"))
    } else {
        Ok(())
    }
}

fn not_long(text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if length <= MAX_NAME {
        return Ok(());
    }
    Err(Problem::new(format!(
        "has {length} characters, at most {MAX_NAME} are allowed"
    )))
}

fn line(text: &str) -> Result<(), Problem> {
    not_empty(text)?;
    no_references(text)?;
    if text.chars().any(char::is_control) {
        return Err(Problem::new("must be one line without control characters"));
    }
    Ok(())
}

fn is_identifier_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn identifier(text: &str) -> Result<(), Problem> {
    not_empty(text)?;
    no_references(text)?;
    not_long(text)?;
    if let Some(c) = text.chars().find(|c| !is_identifier_char(*c)) {
        return Err(
            Problem::new(format!("must not contain {c:?}, got {text:?}"))
                .hint("allowed are letters, digits, `_`, `-` and `.`"),
        );
    }
    if text == "." || text == ".." {
        return Err(Problem::new(format!("must not be {text:?}")));
    }
    Ok(())
}

fn environment(text: &str) -> Result<(), Problem> {
    let digits = |rest: &str| rest.chars().all(|c| c.is_ascii_digit());
    let known = matches!(text, "prod" | "devel" | "test")
        || text.strip_prefix("staging").is_some_and(digits);
    if !known {
        let hint = match text {
            "production" => "did you mean \"prod\"?",
            "dev" | "development" => "did you mean \"devel\"?",
            _ => {
                "allowed are \"prod\", \"devel\", \"test\" and \"staging\" with or without a number"
            }
        };
        return Err(Problem::new(format!("does not know the environment {text:?}")).hint(hint));
    }
    not_long(text)
}

/// The rule is Aurora's `^[^./][^/]*$`; the name becomes that of a directory.
fn process_name(text: &str) -> Result<(), Problem> {
    line(text)?;
    not_long(text)?;
    if text.starts_with('.') || text.contains('/') {
        return Err(Problem::new(format!(
            "must hold no `/` and not begin with `.`, got {text:?}"
        ))
        .hint("the name becomes that of the process's log directory"));
    }
    Ok(())
}

fn port_name(text: &str) -> Result<(), Problem> {
    not_empty(text)?;
    not_long(text)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if text.chars().all(plain) {
        return Ok(());
    }
    Err(Problem::new(format!("is not the name of a port: {text:?}"))
        .hint("allowed are letters, digits, `_` and `-`"))
}

fn endpoint(text: &str) -> Result<(), Problem> {
    line(text)?;
    if text.starts_with('/') && !text.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(Problem::new(format!(
        "must be a path that begins with `/`, got {text:?}"
    )))
}

fn timezone(text: &str) -> Result<(), Problem> {
    if text.parse::<chrono_tz::Tz>().is_ok() {
        return Ok(());
    }
    let names = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let problem = Problem::new(format!("is not a time zone: {text:?}"));
    Err(match crate::nearest::nearest(text, names) {
        Some(name) => problem.hint(format!("did you mean {name:?}?")),
        None => problem.hint("use an IANA name such as \"Europe/Berlin\" or \"UTC\""),
    })
}

fn tier(text: &str) -> Result<(), Problem> {
    if TIERS.contains(&text) {
        return Ok(());
    }
    let problem = Problem::new(format!("does not know the tier {text:?}"));
    Err(match crate::nearest::nearest(text, TIERS.iter().copied()) {
        Some(name) => problem.hint(format!("did you mean {name:?}?")),
        None => problem.hint("the tiers are \"preferred\", \"preemptible\" and \"revocable\""),
    })
}

fn command(text: &str) -> Result<(), Problem> {
    not_empty(text)?;
    let pieces = references::parse(text).map_err(|bad| {
        Problem::new(format!("holds a bad reference: {bad}"))
            .hint("write `{{name}}` without blanks, or `{{{{` for two braces that stay")
    })?;
    for piece in pieces {
        let references::Piece::Reference { name, .. } = piece else {
            continue;
        };
        if references::Reference::from_name(name).is_none() {
            return Err(unknown_reference(name));
        }
    }
    Ok(())
}

fn unknown_reference(name: &str) -> Problem {
    let problem = Problem::new(format!("holds an unknown reference `{{{{{name}}}}}`"));
    if name == "ports" || name == "thermos.ports" {
        return problem.hint("name the port: `{{ports.http}}`");
    }
    match crate::nearest::nearest(name, references::KNOWN.iter().copied()) {
        Some(known) => problem.hint(format!("did you mean `{{{{{known}}}}}`?")),
        None => problem.hint(format!(
            "known are {}; for a value of the file write `${{{name}}}` in backticks, for two \
             braces that stay write `{{{{{{{{`",
            references::KNOWN.join(", ")
        )),
    }
}
