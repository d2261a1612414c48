//! Fills in the `{{…}}` references of a command line.

use aurora_proto::v1::AssignedTask;
use thiserror::Error;

/// A command line that cannot be filled in.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// Nothing goes by that name.
    #[error("`{{{{{0}}}}}` refers to nothing that the executor knows")]
    Unknown(String),
    /// The port is not among those assigned.
    #[error("`{{{{{0}}}}}` refers to a port that the task was not given")]
    UnknownPort(String),
    /// A reference is not closed.
    #[error("a `{{{{` is never closed; a literal one is written `{{{{{{{{`")]
    Unclosed,
}

/// Returns `text` with every reference replaced by what it stands for in `task`.
///
/// `{{{{` stands for a literal `{{`, and `}}}}` for a literal `}}`; a lone `}}` is left alone.
///
/// # Errors
///
/// Fails for a reference that is unknown or never closed.
pub fn resolve(text: &str, task: &AssignedTask) -> Result<String, ReferenceError> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_marker(rest) {
        let (before, found) = rest.split_at(at);
        resolved.push_str(before);
        if let Some(after) = found.strip_prefix("{{{{") {
            resolved.push_str("{{");
            rest = after;
        } else if let Some(after) = found.strip_prefix("}}}}") {
            resolved.push_str("}}");
            rest = after;
        } else if let Some(after) = found.strip_prefix("{{") {
            let end = after.find("}}").ok_or(ReferenceError::Unclosed)?;
            resolved.push_str(&value(after[..end].trim(), task)?);
            rest = &after[end + 2..];
        } else {
            resolved.push_str("}}");
            rest = &found[2..];
        }
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn next_marker(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(2)
        .position(|pair| pair == b"{{" || pair == b"}}")
}

fn value(name: &str, task: &AssignedTask) -> Result<String, ReferenceError> {
    let key = task.job.as_ref();
    let known = match name {
        "instance" | "mesos.instance" => Some(task.instance.to_string()),
        "hostname" | "mesos.hostname" => Some(task.host.clone()),
        "task_id" | "thermos.task_id" => Some(task.task_id.clone()),
        "role" | "mesos.role" | "thermos.user" => key.map(|key| key.role.clone()),
        "environment" => key.map(|key| key.environment.clone()),
        "name" => key.map(|key| key.name.clone()),
        "cluster" | "mesos.cluster" => Some(task.cluster.clone()),
        _ => match port_name(name) {
            None => None,
            Some(port) => match task.ports.get(port) {
                Some(number) => Some(number.to_string()),
                None => return Err(ReferenceError::UnknownPort(name.to_owned())),
            },
        },
    };
    known.ok_or_else(|| ReferenceError::Unknown(name.to_owned()))
}

fn port_name(name: &str) -> Option<&str> {
    name.strip_prefix("ports.").or_else(|| {
        name.strip_prefix("thermos.ports[")
            .and_then(|name| name.strip_suffix(']'))
    })
}

#[cfg(test)]
mod tests {
    use aurora_proto::v1::JobKey;
    use proptest::prelude::*;

    use super::*;

    fn task() -> AssignedTask {
        AssignedTask {
            task_id: "t-1".to_owned(),
            job: Some(JobKey {
                role: "www".to_owned(),
                environment: "prod".to_owned(),
                name: "hello".to_owned(),
            }),
            cluster: "local".to_owned(),
            instance: 7,
            host: "h1".to_owned(),
            ports: [("http".to_owned(), 31_000)].into(),
            config: None,
        }
    }

    #[test]
    fn every_known_name_is_filled_in_both_spellings() {
        for (text, expected) in [
            ("{{instance}} {{mesos.instance}}", "7 7"),
            ("{{hostname}} {{ mesos.hostname }}", "h1 h1"),
            ("{{task_id}} {{thermos.task_id}}", "t-1 t-1"),
            ("{{role}}/{{environment}}/{{name}}", "www/prod/hello"),
            ("{{mesos.role}} {{thermos.user}}", "www www"),
            ("{{cluster}} {{mesos.cluster}}", "local local"),
            (
                "-p {{ports.http}} -q {{thermos.ports[http]}}",
                "-p 31000 -q 31000",
            ),
        ] {
            assert_eq!(resolve(text, &task()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn doubled_braces_are_literal() {
        for (text, expected) in [
            ("a {{{{x}}}} b", "a {{x}} b"),
            ("{{{{instance}}}} is {{instance}}", "{{instance}} is 7"),
            ("f() { { a; } }", "f() { { a; } }"),
            ("echo ${a} }} {", "echo ${a} }} {"),
        ] {
            assert_eq!(resolve(text, &task()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        let refused = |text| resolve(text, &task()).unwrap_err().to_string();
        assert_eq!(
            refused("{{run.id}}"),
            "`{{run.id}}` refers to nothing that the executor knows"
        );
        assert!(refused("{{ports.admin}}").contains("`{{ports.admin}}` refers to a port"));
        assert!(refused("{{thermos.ports[x]}}").contains("a port"));
        assert_eq!(resolve("a {{b", &task()), Err(ReferenceError::Unclosed));
    }

    proptest! {
        #[test]
        fn text_without_double_braces_stays(text in "[^{}]*(\\{[^{}]+\\}[^{}]*)*") {
            prop_assert_eq!(resolve(&text, &task()).unwrap(), text);
        }

        #[test]
        fn any_text_survives_escaping(text in "[a-z{} ]{0,30}") {
            let escaped = text.replace("{{", "{{{{").replace("}}", "}}}}");
            // Single braces beside doubled ones are ambiguous to a reader, not to the escaping.
            prop_assume!(!text.contains("{{{") && !text.contains("}}}"));
            prop_assert_eq!(resolve(&escaped, &task()).unwrap(), text);
        }
    }
}
