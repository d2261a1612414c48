//! The interpreter's own errors as diagnostics.

use std::sync::Arc;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position};

use crate::{
    definitions::function_names,
    diagnostics::{Diagnostic, Location, Related},
    engine::stop,
    nearest::nearest,
    recorder::Recorder,
    size::UNITS,
};

fn location(recorder: &Recorder, file: &str, position: Position) -> Option<Location> {
    let line = position.line()?;
    Some(
        recorder
            .source(file)?
            .at(line, position.position().unwrap_or(1)),
    )
}

/// Returns what is wrong with text that does not parse.
pub(crate) fn syntax(error: &ParseError, file: &str, recorder: &Recorder) -> Diagnostic {
    let (message, hint) = syntax_text(&error.0);
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.hint = hint;
    // The end of the file has no position of its own.
    let position = if error.1.is_none() {
        last_position(recorder, file)
    } else {
        error.1
    };
    diagnostic.location = location(recorder, file, position);
    diagnostic
}

fn last_position(recorder: &Recorder, file: &str) -> Position {
    let lines = recorder.source(file).map_or(1, |source| source.last_line());
    Position::new(u16::try_from(lines).unwrap_or(u16::MAX), 1)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of rhai's errors need other words"
)]
fn syntax_text(error: &ParseErrorType) -> (String, Option<String>) {
    if let ParseErrorType::ForbiddenVariable(unit) = error {
        let hint = "choose another name".to_owned();
        return (format!("`{unit}` is a unit of sizes"), Some(hint));
    }
    let text = error.to_string();
    let hint = match error {
        ParseErrorType::VariableUndefined(name) => Some(undefined_hint(name)),
        ParseErrorType::Reserved(word) if word == "eval" => {
            Some("`eval` is not available in job files".to_owned())
        }
        ParseErrorType::Reserved(word) => Some(format!(
            "`{word}` is a word of the language: choose another name, or quote it as a key"
        )),
        ParseErrorType::ExprTooDeep => Some("take the expression apart with `let`".to_owned()),
        _ if text.contains("eval") && text.contains("disabled") => {
            Some("`eval` is not available in job files".to_owned())
        }
        _ => None,
    };
    (text, hint)
}

fn undefined_hint(name: &str) -> String {
    let names = UNITS.iter().map(|(unit, _)| *unit);
    if let Some(unit) = nearest(name, names).filter(|unit| name.eq_ignore_ascii_case(unit)) {
        return format!("did you mean `{unit}`?");
    }
    if function_names().contains(&name) {
        return format!("`{name}` is a function: call it");
    }
    format!(
        "declare it with `let` or `const` before it is used; inside of a function a constant of the \
         file is `global::{name}`"
    )
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only wrappers are taken off"
)]
/// Returns why evaluation stopped; `None` if that has been recorded already.
pub(crate) fn runtime(error: EvalAltResult, file: &str, recorder: &Recorder) -> Option<Diagnostic> {
    let mut file: Arc<str> = Arc::from(file);
    let mut calls: Vec<(Option<Location>, String)> = Vec::new();
    let mut error = error;
    loop {
        error = match error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, position) => {
                let note = format!("in this call of `{name}`");
                calls.push((location(recorder, &file, position), note));
                if !source.is_empty() {
                    file = Arc::from(source);
                }
                *inner
            }
            EvalAltResult::ErrorInModule(name, inner, position) => {
                let note = format!("in this import of `{name}`");
                calls.push((location(recorder, &file, position), note));
                *inner
            }
            leaf => {
                error = leaf;
                break;
            }
        };
    }
    let position = error.position();
    let (message, hint) = runtime_text(error)?;
    let mut diagnostic = Diagnostic::error(message);
    diagnostic.hint = hint;
    diagnostic.location = location(recorder, &file, position);
    if diagnostic.location.is_none() {
        diagnostic.location = calls.pop().and_then(|(location, _)| location);
    }
    const SHOWN: usize = 4;
    let places = calls.into_iter().rev().take(SHOWN);
    diagnostic.related = places
        .filter_map(|(location, note)| {
            Some(Related {
                location: location?,
                note,
            })
        })
        .collect();
    Some(diagnostic)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "few of rhai's errors need other words"
)]
fn runtime_text(mut error: EvalAltResult) -> Option<(String, Option<String>)> {
    let hint = |text: &str| Some(text.to_owned());
    Some(match &error {
        EvalAltResult::ErrorTerminated(token, _) => {
            let token = token.to_string();
            match token.as_str() {
                stop::REPORTED => return None,
                stop::TIME => (
                    "the file takes too long to evaluate".to_owned(),
                    hint("look for a loop that does not end"),
                ),
                _ => too_many_operations(),
            }
        }
        EvalAltResult::ErrorTooManyOperations(_) => too_many_operations(),
        EvalAltResult::ErrorStackOverflow(_) => (
            "functions call each other too deeply".to_owned(),
            hint("look for endless recursion"),
        ),
        EvalAltResult::ErrorDataTooLarge(what, _) => (
            format!("a value grows too large: {}", what.to_lowercase()),
            None,
        ),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => unknown_function(signature),
        EvalAltResult::ErrorDotExpr(text, _) if text.contains("for type 'object'") => (
            "the fields of what a constructor made cannot be set".to_owned(),
            hint("make a copy with changes: `object + #{ field: value }`"),
        ),
        EvalAltResult::ErrorRuntime(value, _) => (value.to_string(), None),
        EvalAltResult::Exit(..) => ("`exit` is not available in job files".to_owned(), None),
        _ => {
            error.clear_position();
            (error.to_string(), None)
        }
    })
}

fn too_many_operations() -> (String, Option<String>) {
    let hint = "look for a loop that does not end".to_owned();
    (
        "the file takes too many operations to evaluate".to_owned(),
        Some(hint),
    )
}

fn unknown_function(signature: &str) -> (String, Option<String>) {
    let name = signature.split([' ', '(']).next().unwrap_or_default();
    let functions = function_names();
    let plain = name.rsplit("::").next().unwrap_or(name);
    let hint = if functions.contains(&name) {
        Some(format!("`{name}` takes one map: `{name}(#{{ … }})`")).filter(|_| {
            crate::schema::OBJECTS
                .iter()
                .any(|schema| schema.name == name)
        })
    } else {
        nearest(plain, functions.iter().copied()).map(|known| format!("did you mean `{known}`?"))
    };
    (format!("no function `{}`", plain_types(signature)), hint)
}

/// Writes the interpreter's names of types as people know them.
fn plain_types(signature: &str) -> String {
    let Some((name, types)) = signature.split_once(" (") else {
        return signature.to_owned();
    };
    let types = types.trim_end_matches(')').split(", ");
    let types: Vec<&str> = types
        .map(|name| match name {
            "&str | ImmutableString | String" => "string",
            "i64" => "integer",
            "f64" => "number",
            "Fn" => "function",
            "(" => "()",
            other => other,
        })
        .collect();
    format!("{name} ({})", types.join(", "))
}
