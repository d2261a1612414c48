//! Configurations as stable text, a line for each value: for reading and for comparing.

use serde_json::Value;

/// Returns the lines of a message in its JSON form; what is empty or default is left out.
pub(crate) fn render(message: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, message, 0);
    text
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if !is_default(value) {
                    write_entry(text, &format!("{name}:"), value, depth);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                write_entry(text, "-", item, depth);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            push_line(text, depth, &scalar(value));
        }
    }
}

fn write_entry(text: &mut String, head: &str, value: &Value, depth: usize) {
    match value {
        Value::Object(_) | Value::Array(_) => {
            push_line(text, depth, head);
            write_value(text, value, depth + 1);
        }
        // A script is easier to read, and to compare, as the lines that it is.
        Value::String(string) if string.contains('\n') => {
            push_line(text, depth, &format!("{head} |"));
            for line in string.lines() {
                push_line(text, depth + 1, &visible(line));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            push_line(text, depth, &format!("{head} {}", scalar(value)));
        }
    }
}

fn push_line(text: &mut String, depth: usize, line: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(line);
    text.push('\n');
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(string) => visible(string),
        // Whole numbers of cores without `.0`.
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A file must not move the reader's cursor.
fn visible(text: &str) -> String {
    let escape = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(escape).collect()
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(string) => string.is_empty() || string.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_left_out_and_scripts_keep_their_lines() {
        let message = json!({
            "name": "web",
            "cpu": 1.0,
            "tier": "",
            "gpu": 0,
            "processes": [{ "name": "run", "cmdline": "a\nb\u{1b}[2J" }],
            "ports": [],
        });
        assert_eq!(
            render(&message),
            "cpu: 1\nname: web\nprocesses:\n  -\n    cmdline: |\n      a\n      b\\u{1b}[2J\n    \
             name: run\n"
        );
    }
}
