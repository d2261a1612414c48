//! How messages speak of values.

use rhai::Dynamic;

use super::text_of;
use crate::{schema::Type, value::Object};

/// Names a value of the script in a message.
pub(crate) fn describe(dynamic: &Dynamic) -> String {
    if let Some(text) = text_of(dynamic) {
        return format!("the string {}", shortened(&format!("{:?}", text.as_str())));
    }
    if let Some(object) = dynamic.read_lock::<Object>() {
        return format!("{}(#{{…}})", object.kind.name());
    }
    if let Ok(value) = dynamic.as_int() {
        return format!("the integer {value}");
    }
    if let Ok(value) = dynamic.as_float() {
        return format!("the number {value:?}");
    }
    if let Ok(value) = dynamic.as_bool() {
        return value.to_string();
    }
    match () {
        () if dynamic.is_array() => "a list".to_owned(),
        () if dynamic.is_map() => "a map".to_owned(),
        () if dynamic.is_unit() => "nothing".to_owned(),
        () => format!("a value of type {}", dynamic.type_name()),
    }
}

/// Keeps a message readable whatever a file puts into it.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(LONGEST).collect::<String>())
}

/// Returns what to write instead of a value of a wrong type.
pub(super) fn mismatch_hint(ty: Type, dynamic: &Dynamic) -> Option<String> {
    let is_map = dynamic.is_map();
    let bracket = || Some("put it into `[` and `]`".to_owned());
    match ty {
        Type::Int { .. } if dynamic.is_float() => Some("write a number without a fraction".into()),
        Type::Int { .. } | Type::Number { .. } | Type::Bool => {
            let text = text_of(dynamic)?;
            let number = text.trim().parse::<f64>().is_ok_and(f64::is_finite);
            let truth = matches!(text.as_str(), "true" | "false");
            (number || truth).then(|| format!("write {} without quotes", text.trim()))
        }
        Type::Text(_) => {
            let number = dynamic.is_int() || dynamic.is_float();
            number.then(|| format!("write \"{dynamic}\" with quotes"))
        }
        Type::List(_) => bracket().filter(|_| is_map || dynamic.is::<Object>()),
        Type::Orders if dynamic.is::<Object>() => bracket(),
        Type::Orders => Some("write `constraints: order(first, second)`".to_owned()),
        Type::Object { plain, .. } => {
            (is_map && !plain).then(|| "a plain map does not say which one it is".to_owned())
        }
        Type::OneOf(_)
        | Type::Bytes { .. }
        | Type::TextMap { .. }
        | Type::Metadata
        | Type::ProcessNames => None,
    }
}
