//! The `{{…}}` references that are left for the agent.
//!
//! Grammar: a reference is `{{`, a name and `}}` without blanks; a name is an identifier followed by
//! any of `.identifier` or `[index]`. Four braces, `{{{{` and `}}}}`, stand for a literal `{{` and `}}`.
//! A `{{` that begins neither is an error; a lone `}}` is plain text, so that shell code keeps
//! working. Depends on nothing, so that the other end can follow it line by line.

use std::fmt;

/// One piece of a text with references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text that stays as it is.
    Text(&'a str),
    /// A literal `{{` or `}}`, written with four braces.
    Braces(&'static str),
    /// A reference: the name between the braces and its byte offset in the text.
    Reference {
        /// What stands between the braces.
        name: &'a str,
        /// Byte offset of the opening braces.
        offset: usize,
    },
}

/// A `{{` that starts no valid reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadReference {
    /// Byte offset of the opening braces.
    pub offset: usize,
    /// The text after the braces, up to its end or a limit.
    pub text: String,
    /// Whether closing braces were found.
    pub closed: bool,
}

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.closed {
            write!(f, "`{{{{{}}}}}` is not a valid reference", self.text)
        } else {
            write!(f, "`{{{{{}` has no closing `}}}}`", self.text)
        }
    }
}

impl std::error::Error for BadReference {}

/// What a known reference means; Aurora's spellings are folded into ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// The instance number.
    Instance,
    /// The name of the host.
    Hostname,
    /// The task's id.
    TaskId,
    /// The number of a named port.
    Port(String),
    /// The role.
    Role,
    /// The environment.
    Environment,
    /// The job's name.
    Name,
    /// The cluster.
    Cluster,
    /// The time a cron run was due.
    RunScheduledTime,
    /// The id of a cron run.
    RunId,
}

/// The spellings that are offered to users, in the order they are listed.
pub const KNOWN: &[&str] = &[
    "instance",
    "hostname",
    "task_id",
    "ports.NAME",
    "role",
    "environment",
    "name",
    "cluster",
    "run.scheduled_time",
    "run.id",
];

impl Reference {
    /// Returns the meaning of a reference's name, or `None` if there is no such reference.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "instance" | "mesos.instance" => Self::Instance,
            "hostname" | "mesos.hostname" => Self::Hostname,
            "task_id" | "thermos.task_id" => Self::TaskId,
            "role" | "mesos.role" | "thermos.user" => Self::Role,
            "environment" => Self::Environment,
            "name" => Self::Name,
            "cluster" | "mesos.cluster" => Self::Cluster,
            "run.scheduled_time" => Self::RunScheduledTime,
            "run.id" => Self::RunId,
            other => Self::Port(port_name(other)?.to_owned()),
        })
    }
}

fn port_name(name: &str) -> Option<&str> {
    let rest = name
        .strip_prefix("thermos.")
        .unwrap_or(name)
        .strip_prefix("ports")?;
    let port = rest.strip_prefix('.').or_else(|| {
        rest.strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
    })?;
    // One name only: `ports.a.b` or `ports[a][b]` mean nothing.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!port.is_empty() && port.chars().all(plain)).then_some(port)
}

/// Splits a text into its pieces.
///
/// # Errors
/// The first `{{` that starts no valid reference.
pub fn parse(text: &str) -> Result<Vec<Piece<'_>>, BadReference> {
    let mut pieces = Vec::new();
    let mut plain_from = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (piece, length) = if rest.starts_with("{{{{") {
            (Piece::Braces("{{"), 4)
        } else if rest.starts_with("}}}}") {
            (Piece::Braces("}}"), 4)
        } else if let Some(inner) = rest.strip_prefix("{{") {
            let name = reference_at(inner).map_err(|closed| bad(rest, at, closed))?;
            (Piece::Reference { name, offset: at }, name.len() + 4)
        } else {
            // Nothing begins before the next brace.
            let next = rest
                .char_indices()
                .skip(1)
                .find(|(_, c)| matches!(c, '{' | '}'));
            at += next.map_or(rest.len(), |(offset, _)| offset);
            continue;
        };
        if plain_from < at {
            pieces.push(Piece::Text(&text[plain_from..at]));
        }
        pieces.push(piece);
        at += length;
        plain_from = at;
    }
    if plain_from < text.len() {
        pieces.push(Piece::Text(&text[plain_from..]));
    }
    Ok(pieces)
}

fn bad(rest: &str, offset: usize, closed: bool) -> BadReference {
    const SHOWN: usize = 60;
    let inner = &rest[2..];
    let end = if closed {
        inner.find("}}").unwrap_or(inner.len())
    } else {
        inner.len()
    };
    let line = inner[..end].lines().next().unwrap_or_default();
    BadReference {
        offset,
        text: line.chars().take(SHOWN).collect(),
        closed,
    }
}

/// Returns the name at the start of `text`, or whether the braces were closed at all.
fn reference_at(text: &str) -> Result<&str, bool> {
    let Some(end) = text.find("}}") else {
        return Err(false);
    };
    // `{{m[a]}}}}` closes at the first two braces; a name holds no brace.
    let name = &text[..end];
    if is_name(name) { Ok(name) } else { Err(true) }
}

/// Whether `name` is an identifier followed by any of `.identifier` or `[index]`.
fn is_name(name: &str) -> bool {
    let Some(mut rest) = after_identifier(name) else {
        return false;
    };
    while !rest.is_empty() {
        let next = if let Some(tail) = rest.strip_prefix('.') {
            after_identifier(tail)
        } else if let Some(tail) = rest.strip_prefix('[') {
            after_index(tail)
        } else {
            None
        };
        match next {
            Some(tail) => rest = tail,
            None => return false,
        }
    }
    true
}

fn after_identifier(text: &str) -> Option<&str> {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    // A dash inside lets ports keep names such as `http-admin`.
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !text.starts_with(starts) {
        return None;
    }
    Some(text.trim_start_matches(goes_on))
}

fn after_index(text: &str) -> Option<&str> {
    let end = text.find(']')?;
    let index = &text[..end];
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    (!index.is_empty() && index.chars().all(allowed)).then(|| &text[end + 1..])
}

/// Resolves every reference of a text with `resolve`, and four braces to two.
///
/// # Errors
/// A malformed reference, or the name of the first one that `resolve` does not know.
pub fn substitute(
    text: &str,
    mut resolve: impl FnMut(&str) -> Option<String>,
) -> Result<String, BadReference> {
    let mut result = String::with_capacity(text.len());
    for piece in parse(text)? {
        match piece {
            Piece::Text(plain) => result.push_str(plain),
            Piece::Braces(braces) => result.push_str(braces),
            Piece::Reference { name, offset } => match resolve(name) {
                Some(value) => result.push_str(&value),
                None => {
                    return Err(BadReference {
                        offset,
                        text: name.to_owned(),
                        closed: true,
                    });
                }
            },
        }
    }
    Ok(result)
}

/// Writes `text` so that it comes out of [`substitute`] unchanged.
pub fn escape(text: &str) -> String {
    text.replace("{{", "{{{{").replace("}}", "}}}}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<&str> {
        let pieces = parse(text).expect("text parses");
        pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Reference { name, .. } => Some(name),
                Piece::Text(_) | Piece::Braces(_) => None,
            })
            .collect()
    }

    #[test]
    fn finds_references_in_order() {
        let text = "a {{instance}} b {{thermos.ports[http]}}{{ports.http-admin}}";
        assert_eq!(
            names(text),
            ["instance", "thermos.ports[http]", "ports.http-admin"]
        );
    }

    #[test]
    fn folds_spellings_of_aurora() {
        for (ours, theirs) in [
            ("instance", "mesos.instance"),
            ("hostname", "mesos.hostname"),
            ("role", "thermos.user"),
            ("task_id", "thermos.task_id"),
            ("ports.http", "thermos.ports[http]"),
            ("ports[http]", "thermos.ports.http"),
        ] {
            assert_eq!(
                Reference::from_name(ours),
                Reference::from_name(theirs),
                "{ours}"
            );
            assert!(Reference::from_name(ours).is_some(), "{ours}");
        }
        for unknown in [
            "profile.x",
            "ports",
            "ports.a.b",
            "ports[]",
            "mesos",
            "run",
            "",
        ] {
            assert_eq!(Reference::from_name(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn four_braces_are_two() {
        let value = substitute("{{{{.Name}}}} {{instance}}", |_| Some("3".to_owned()));
        assert_eq!(value.as_deref(), Ok("{{.Name}} 3"));
    }

    #[test]
    fn lone_closing_braces_are_text() {
        assert_eq!(parse("a}}b"), Ok(vec![Piece::Text("a}}b")]));
        assert_eq!(parse("${x:-{}}"), Ok(vec![Piece::Text("${x:-{}}")]));
    }

    #[test]
    fn malformed_references_are_errors() {
        for (text, message) in [
            (
                "x {{ instance }}",
                "`{{ instance }}` is not a valid reference",
            ),
            ("{{}}", "`{{}}` is not a valid reference"),
            ("{{.Name}}", "`{{.Name}}` is not a valid reference"),
            ("{{open", "`{{open` has no closing `}}`"),
            ("{{{a}}", "`{{{a}}` is not a valid reference"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_escape_and_substitute(
            text in "[a-z${}\\[\\].]{0,40}|\\PC{0,40}"
        ) {
            // Five braces in a row have two readings; escaping keeps apart what it can.
            prop_assume!(!text.contains("{{{") && !text.contains("}}}"));
            prop_assert_eq!(substitute(&escape(&text), |_| None), Ok(text));
        }

        #[test]
        fn no_text_panics(text in "[{}a.\\[\\]é ]{0,60}") {
            if let Ok(pieces) = parse(&text) {
                let length: usize = pieces.iter().map(|piece| match piece {
                    Piece::Text(plain) => plain.len(),
                    Piece::Braces(_) => 4,
                    Piece::Reference { name, .. } => name.len() + 4,
                }).sum();
                prop_assert_eq!(length, text.len());
            }
        }
    }
}
