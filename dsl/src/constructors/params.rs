//! `param`: values that are given from outside.

use std::sync::Arc;

use rhai::{Dynamic, Engine, ImmutableString, NativeCallContext};

use super::site;
use crate::{
    evaluation::Param,
    extract::POISON,
    recorder::{Recorder, Report},
    value::At,
};

pub(super) fn register(engine: &mut Engine, recorder: &Arc<Recorder>) {
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "param",
        move |ctx: NativeCallContext, name: ImmutableString| -> Dynamic {
            param(&ctx, &kept, &name, None, None)
        },
    );
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "param",
        move |ctx: NativeCallContext, name: ImmutableString, default: Dynamic| -> Dynamic {
            param(&ctx, &kept, &name, Some(default), None)
        },
    );
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "param",
        move |ctx: NativeCallContext,
              name: ImmutableString,
              default: Dynamic,
              help: ImmutableString|
              -> Dynamic {
            param(&ctx, &kept, &name, Some(default), Some(help.to_string()))
        },
    );
}

fn param(
    ctx: &NativeCallContext,
    recorder: &Recorder,
    name: &str,
    default: Option<Dynamic>,
    help: Option<String>,
) -> Dynamic {
    let at = At::call(site(ctx, recorder));
    let error = |message: String, hint: &str| {
        recorder.report(Report::error(&at, message).hint(hint));
        Dynamic::from(POISON.to_string())
    };
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || !name.chars().all(word) {
        return error(
            format!("{name:?} is no name for a parameter"),
            "use letters, digits, `_`, `-`, `.`",
        );
    }
    // `param("x", ())` has a help text and no default.
    let default = default.filter(|value| !value.is_unit());
    let Some(ty) = type_of(default.as_ref()) else {
        let hint = "use a string, an integer, a number or a bool";
        return error(
            format!("the default of the parameter `{name}` has a wrong type"),
            hint,
        );
    };
    let given = recorder.binds.get(name).cloned();
    let param = Param {
        name: name.to_owned(),
        ty,
        default: default.as_ref().map(ToString::to_string),
        given: given.clone(),
        help,
    };
    if let Err(earlier) = note(recorder, param) {
        let message = format!("the parameter `{name}` is asked for with another default or type");
        return error(
            message,
            &format!("the first has {earlier}; ask once and keep the value in a const"),
        );
    }
    match (given, default) {
        (Some(text), _) => parse(ty, &text).unwrap_or_else(|| {
            error(
                format!("the parameter `{name}` must be {ty}, got {text:?}"),
                &format!("give it with `--bind {name}=VALUE`"),
            )
        }),
        (None, Some(default)) => default,
        (None, None) => error(
            format!("the parameter `{name}` is required"),
            &format!("give it with `--bind {name}=VALUE`"),
        ),
    }
}

fn type_of(default: Option<&Dynamic>) -> Option<&'static str> {
    Some(match default {
        None => "string",
        Some(value) if value.is_string() => "string",
        Some(value) if value.is_int() => "integer",
        Some(value) if value.is_float() => "number",
        Some(value) if value.is_bool() => "bool",
        Some(_) => return None,
    })
}

/// Keeps a parameter the first time it is asked for; fails if it now looks different.
fn note(recorder: &Recorder, param: Param) -> Result<(), String> {
    let mut state = recorder.state();
    let Some(earlier) = state
        .params
        .iter_mut()
        .find(|earlier| earlier.name == param.name)
    else {
        state.params.push(param);
        return Ok(());
    };
    if (earlier.ty, &earlier.default) != (param.ty, &param.default) {
        return Err(match &earlier.default {
            Some(default) => format!("the default {default:?}"),
            None => "no default".to_owned(),
        });
    }
    if earlier.help.is_none() {
        earlier.help = param.help;
    }
    Ok(())
}

fn parse(ty: &str, text: &str) -> Option<Dynamic> {
    let trimmed = text.trim();
    match ty {
        "integer" => trimmed.parse::<i64>().ok().map(Dynamic::from),
        "number" => {
            let value = trimmed
                .parse::<f64>()
                .ok()
                .filter(|value| value.is_finite());
            value.map(Dynamic::from)
        }
        "bool" => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true.into()),
            "false" | "0" => Some(false.into()),
            _ => None,
        },
        _ => Some(text.to_owned().into()),
    }
}
