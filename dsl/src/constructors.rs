//! The functions a job file calls to make and declare things.

mod declare;
mod merge;
mod ordering;
mod params;

use std::{any::TypeId, sync::Arc};

use rhai::{Array, Dynamic, Engine, EvalAltResult, Map, NativeCallContext};

use crate::{
    extract::{Extractor, describe},
    recorder::{Recorder, Report},
    schema::{Kind, OBJECTS},
    value::{At, Object, ObjectData, Site, to_dynamic},
};

/// The most arguments a function of any number of arguments takes.
pub(crate) const MAX_ARGUMENTS: usize = 16;

/// Registers every function of job files with an engine.
pub(crate) fn register(engine: &mut Engine, recorder: &Arc<Recorder>) {
    engine.register_type_with_name::<Object>("object");
    for schema in OBJECTS {
        // These declare, which is more than to make an object.
        if matches!(schema.kind, Kind::Job | Kind::Quota) {
            continue;
        }
        for name in std::iter::once(&schema.name).chain(schema.aliases) {
            register_constructor(engine, recorder, schema.kind, name);
        }
    }
    register_copy(engine, recorder);
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "disable_lifecycle",
        move |ctx: NativeCallContext| -> Object {
            let at = At::call(site(&ctx, &kept));
            Extractor { recorder: &kept }.object(
                Kind::LifecycleConfig,
                "lifecycle_config",
                &Map::new(),
                &at,
            )
        },
    );
    declare::register(engine, recorder);
    merge::register(engine, recorder);
    ordering::register(engine, recorder);
    params::register(engine, recorder);
}

fn register_constructor(
    engine: &mut Engine,
    recorder: &Arc<Recorder>,
    kind: Kind,
    name: &'static str,
) {
    let recorder = Arc::clone(recorder);
    // It orders its processes itself, and is registered where orders are made.
    if name == "sequential_task" {
        return;
    }
    engine.register_fn(
        name,
        move |ctx: NativeCallContext, argument: Dynamic| -> Object {
            construct(&ctx, &recorder, kind, name, &argument)
        },
    );
}

/// Makes an object of the one argument of a constructor.
fn construct(
    ctx: &NativeCallContext,
    recorder: &Recorder,
    kind: Kind,
    name: &str,
    argument: &Dynamic,
) -> Object {
    let at = At::call(site(ctx, recorder));
    let Some(map) = argument.read_lock::<Map>() else {
        not_a_map(recorder, name, argument, &at);
        return Object::poisoned(kind, at);
    };
    Extractor { recorder }.object(kind, name, &map, &at)
}

fn not_a_map(recorder: &Recorder, name: &str, argument: &Dynamic, at: &At) {
    if argument
        .read_lock::<Object>()
        .is_some_and(|object| object.poisoned)
    {
        return;
    }
    let got = describe(argument);
    let report = Report::error(at, format!("`{name}` takes one map, got {got}"));
    recorder.report(report.hint(format!("write `{name}(#{{ field: value, … }})`")));
}

/// `object + #{ … }` copies with changes; `object.field` reads.
fn register_copy(engine: &mut Engine, recorder: &Arc<Recorder>) {
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "+",
        move |ctx: NativeCallContext, base: Object, changes: Map| -> Object {
            let at = At::call(site(&ctx, &kept));
            Extractor { recorder: &kept }.changed(&base, &changes, &at)
        },
    );
    engine.register_indexer_get(
        |object: &mut Object, key: &str| -> Result<Dynamic, Box<EvalAltResult>> {
            match object.get(key) {
                Some(value) => Ok(to_dynamic(value)),
                None if object.poisoned || object.kind.schema().field(key).is_some() => {
                    Ok(Dynamic::UNIT)
                }
                None => Err(format!("`{}` has no field `{key}`", object.kind.name()).into()),
            }
        },
    );
    engine.register_fn("to_string", |object: &mut Object| label(object));
    engine.register_fn("to_debug", |object: &mut Object| label(object));
}

fn label(object: &ObjectData) -> String {
    match object.text_if_any("name") {
        Some(name) => format!("{}({name})", object.kind.name()),
        None => format!("{}(…)", object.kind.name()),
    }
}

/// Returns where in the files a native function was called.
fn site(ctx: &NativeCallContext, recorder: &Recorder) -> Site {
    let position = ctx.call_position();
    let file = ctx.call_source().map_or_else(|| recorder.root(), Arc::from);
    Site {
        file,
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(0),
    }
}

/// Registers a function of 1 to [`MAX_ARGUMENTS`] arguments; one array counts as all of them.
fn register_variadic<T: Clone + Send + Sync + 'static>(
    engine: &mut Engine,
    name: &'static str,
    call: impl Fn(&NativeCallContext, Vec<Dynamic>) -> T + Clone + Send + Sync + 'static,
) {
    let list = call.clone();
    // Without this the library's own functions of lists win: there is an `order` that sorts.
    engine.register_fn(name, move |ctx: NativeCallContext, values: Array| {
        list(&ctx, values)
    });
    for count in 1..=MAX_ARGUMENTS {
        let call = call.clone();
        let types = vec![TypeId::of::<Dynamic>(); count];
        engine.register_raw_fn(name, types, move |ctx, args| {
            let values: Vec<Dynamic> = args.iter().map(|arg| arg.flatten_clone()).collect();
            Ok(call(&ctx, values))
        });
    }
}
