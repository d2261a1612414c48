//! `order`, `sequential_task` and `simple_task`.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString, Map, NativeCallContext};

use super::{construct, not_a_map, register_variadic, site};
use crate::{
    extract::Extractor,
    recorder::{Recorder, Report},
    schema::Kind,
    size::UNITS,
    value::{At, Object},
};

pub(super) fn register(engine: &mut Engine, recorder: &Arc<Recorder>) {
    let kept = Arc::clone(recorder);
    register_variadic(engine, "order", move |ctx, values| -> Array {
        order(ctx, &kept, values)
    });
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "sequential_task",
        move |ctx: NativeCallContext, map: Dynamic| -> Object {
            sequential_task(&ctx, &kept, &map)
        },
    );
    let kept = Arc::clone(recorder);
    engine.register_fn(
        "simple_task",
        move |ctx: NativeCallContext, name: Dynamic, command: Dynamic| -> Object {
            simple_task(&ctx, &kept, name, command)
        },
    );
}

/// Returns a list of one constraint, so that `order(a, b) + order(a, c)` is a list of two.
fn order(ctx: &NativeCallContext, recorder: &Recorder, values: Vec<Dynamic>) -> Array {
    let at = At::call(site(ctx, recorder));
    let map = Map::from([("order".into(), values.into())]);
    let constraint = Extractor { recorder }.object(Kind::Constraint, "order", &map, &at);
    vec![Dynamic::from(constraint)]
}

fn sequential_task(ctx: &NativeCallContext, recorder: &Recorder, argument: &Dynamic) -> Object {
    const NAME: &str = "sequential_task";
    let at = At::call(site(ctx, recorder));
    let Some(map) = argument.read_lock::<Map>() else {
        not_a_map(recorder, NAME, argument, &at);
        return Object::poisoned(Kind::Task, at);
    };
    if map.get("constraints").is_some_and(|value| !value.is_unit()) {
        let message =
            "`sequential_task` orders its processes itself: `constraints` cannot be given";
        recorder.report(Report::error(&at.key("constraints"), message).hint("use task(#{…})"));
        return Object::poisoned(Kind::Task, at);
    }
    let mut map = map.clone();
    let names = map.get("processes").and_then(sequential_names);
    if let Some(names) = names.filter(|names| names.len() > 1) {
        map.insert("constraints".into(), vec![Dynamic::from(names)].into());
    }
    construct(ctx, recorder, Kind::Task, NAME, &map.into())
}

/// Returns the names of the processes that run one after the other; final ones run last anyway.
fn sequential_names(processes: &Dynamic) -> Option<Array> {
    let processes = processes.read_lock::<Array>()?;
    let names = processes.iter().filter_map(|process| {
        if let Some(object) = process.read_lock::<Object>() {
            let counts = !object.is_set("final");
            return counts
                .then(|| object.text_if_any("name").map(Dynamic::from))
                .flatten();
        }
        let map = process.read_lock::<Map>()?;
        let is_final = map
            .get("final")
            .is_some_and(|value| value.as_bool() == Ok(true));
        if is_final {
            None
        } else {
            map.get("name").cloned()
        }
    });
    Some(names.collect())
}

fn simple_task(
    ctx: &NativeCallContext,
    recorder: &Recorder,
    name: Dynamic,
    command: Dynamic,
) -> Object {
    let gigabyte = Dynamic::from(UNITS[3].1);
    let process = Map::from([("name".into(), name.clone()), ("cmdline".into(), command)]);
    let resources = Map::from([
        ("cpu".into(), Dynamic::from(1.0_f64)),
        ("ram".into(), gigabyte.clone()),
        ("disk".into(), gigabyte),
    ]);
    let at = At::call(site(ctx, recorder));
    let extractor = Extractor { recorder };
    let process = extractor.object(Kind::Process, "simple_task", &process, &at);
    let resources = extractor.object(Kind::Resources, "simple_task", &resources, &at);
    let mut task = Map::from([
        ("processes".into(), vec![Dynamic::from(process)].into()),
        ("resources".into(), Dynamic::from(resources)),
    ]);
    // A wrong name has been reported for the process.
    if name.is::<ImmutableString>() {
        task.insert("name".into(), name);
    }
    extractor.object(Kind::Task, "simple_task", &task, &at)
}
