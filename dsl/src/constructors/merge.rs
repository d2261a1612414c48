//! `combine_tasks` and `concat_tasks`: one task of several.

use std::{collections::BTreeMap, sync::Arc};

use rhai::{Dynamic, Engine, Map};

use super::{register_variadic, site};
use crate::{
    extract::Extractor,
    recorder::{Recorder, Report},
    schema::Kind,
    value::{At, Object, ObjectData, Slot, Value},
};

/// How tasks are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    SideBySide,
    OneAfterTheOther,
}

impl How {
    fn name(self) -> &'static str {
        match self {
            Self::SideBySide => "combine_tasks",
            Self::OneAfterTheOther => "concat_tasks",
        }
    }
}

pub(super) fn register(engine: &mut Engine, recorder: &Arc<Recorder>) {
    for how in [How::SideBySide, How::OneAfterTheOther] {
        let recorder = Arc::clone(recorder);
        register_variadic(engine, how.name(), move |ctx, values| -> Object {
            let at = At::call(site(ctx, &recorder));
            let merged = merge(&recorder, how, values, &at);
            merged.unwrap_or_else(|| Object::poisoned(Kind::Task, at))
        });
    }
}

/// Merges tasks; a map as the last argument changes the result.
///
/// The last task's name and limits hold for the result, as in Aurora.
fn merge(recorder: &Recorder, how: How, mut values: Vec<Dynamic>, at: &At) -> Option<Object> {
    let changes = values
        .pop_if(|last| last.is_map())
        .and_then(Dynamic::try_cast::<Map>);
    let tasks = take_tasks(recorder, how, values, at)?;
    let Some(last) = tasks.last() else {
        let message = format!("`{}` needs at least one task", how.name());
        recorder.report(Report::error(at, message));
        return None;
    };
    let mut fields = last.fields.clone();
    let mut set = |name: &'static str, value: Value| {
        let at = last.fields.get(name).map_or(at, |slot| &slot.at).clone();
        fields.insert(name, Slot { value, at });
    };
    set("processes", Value::List(processes(recorder, &tasks)?));
    set(
        "constraints",
        Value::List(constraints(recorder, how, &tasks, at)?),
    );
    set(
        "resources",
        Value::Object(resources(recorder, how, &tasks, at)),
    );
    let waits = tasks.iter().map(|task| task.int("finalization_wait"));
    set(
        "finalization_wait",
        Value::Int(match how {
            How::SideBySide => waits.max().unwrap_or_default(),
            How::OneAfterTheOther => waits
                .fold(0, i64::saturating_add)
                .min(crate::schema::MAX_SECONDS),
        }),
    );
    let extractor = Extractor { recorder };
    let data = ObjectData {
        kind: Kind::Task,
        at: at.clone(),
        fields,
        poisoned: false,
    };
    let merged = extractor.finish(data);
    Some(match changes {
        Some(changes) => extractor.changed(&merged, &changes, at),
        None => merged,
    })
}

/// Takes the arguments as tasks; nothing comes of them if one is wrong already.
fn take_tasks(recorder: &Recorder, how: How, values: Vec<Dynamic>, at: &At) -> Option<Vec<Object>> {
    let mut tasks = Vec::new();
    for value in values {
        let object = value.try_cast::<Object>();
        let got = object
            .as_ref()
            .map_or("something else", |object| object.kind.name());
        let Some(task) = object.filter(|object| object.kind == Kind::Task) else {
            let report = Report::error(at, format!("`{}` takes tasks, got {got}", how.name()));
            let hint = "a map may only be the last argument: it changes the result";
            recorder.report(report.hint(hint));
            return None;
        };
        tasks.push(task);
    }
    let sound = tasks.iter().all(|task| !task.poisoned);
    sound.then_some(tasks)
}

/// Unites the processes; the same process in two tasks counts once.
fn processes(recorder: &Recorder, tasks: &[Object]) -> Option<Vec<Value>> {
    let mut by_name: BTreeMap<&str, &Object> = BTreeMap::new();
    let mut united = Vec::new();
    for process in tasks.iter().flat_map(|task| task.objects("processes")) {
        let name = process.text("name");
        match by_name.insert(name, process) {
            None => united.push(Value::Object(process.clone())),
            Some(earlier) if same(earlier, process) => {}
            Some(earlier) => {
                let message = format!("two different processes are called `{name}`");
                let report = Report::error(process.at("name"), message);
                recorder.report(report.related(earlier.at("name"), "the first is here"));
                return None;
            }
        }
    }
    Some(united)
}

fn same(one: &Object, other: &Object) -> bool {
    let plain = |process: &Object| {
        let fields = process.fields.iter();
        fields
            .map(|(name, slot)| format!("{name} {}", plain_text(&slot.value)))
            .collect::<Vec<_>>()
    };
    plain(one) == plain(other)
}

fn plain_text(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return format!("{value:?}");
    };
    let fields = object.fields.iter();
    let parts = fields.map(|(name, slot)| format!("{name}={}", plain_text(&slot.value)));
    parts.collect::<Vec<_>>().join(" ")
}

fn constraints(recorder: &Recorder, how: How, tasks: &[Object], at: &At) -> Option<Vec<Value>> {
    const MOST: usize = 10_000;
    let all = tasks.iter().flat_map(|task| task.objects("constraints"));
    let mut orders: Vec<Value> = all.map(|order| Value::Object(order.clone())).collect();
    if how == How::SideBySide {
        return Some(orders);
    }
    for pair in tasks.windows(2) {
        let [first, second] = pair else { continue };
        for before in first
            .objects("processes")
            .filter(|process| is_waited_for(process))
        {
            for after in second
                .objects("processes")
                .filter(|process| !process.bool("final"))
            {
                orders.push(Value::Object(pair_order(recorder, before, after, at)));
            }
            if orders.len() > MOST {
                let message = format!("`concat_tasks` makes more than {MOST} orders");
                recorder.report(Report::error(at, message));
                return None;
            }
        }
    }
    Some(orders)
}

/// Nothing can wait for the end of a process that has none of its own.
fn is_waited_for(process: &ObjectData) -> bool {
    !(process.bool("final") || process.bool("daemon") || process.bool("ephemeral"))
}

fn pair_order(recorder: &Recorder, before: &Object, after: &Object, at: &At) -> Object {
    let names = [before, after].map(|process| Value::Text(process.text("name").into()));
    let slot = Slot {
        value: Value::List(names.to_vec()),
        at: at.clone(),
    };
    let fields = BTreeMap::from([("order", slot)]);
    let data = ObjectData {
        kind: Kind::Constraint,
        at: at.clone(),
        fields,
        poisoned: false,
    };
    Extractor { recorder }.finish(data)
}

/// Sums what runs side by side; takes the greatest of what runs one after the other.
fn resources(recorder: &Recorder, how: How, tasks: &[Object], at: &At) -> Object {
    let parts: Vec<&Object> = tasks
        .iter()
        .filter_map(|task| task.object("resources"))
        .collect();
    let whole = |name: &str| {
        let values = parts.iter().map(|part| part.int(name));
        match how {
            How::SideBySide => values.fold(0, i64::saturating_add),
            How::OneAfterTheOther => values.max().unwrap_or_default(),
        }
    };
    let cores = parts.iter().map(|part| part.number("cpu"));
    let cpu: f64 = match how {
        How::SideBySide => cores.sum(),
        How::OneAfterTheOther => cores.fold(0.0, f64::max),
    };
    let map = Map::from([
        ("cpu".into(), Dynamic::from(cpu)),
        ("ram".into(), whole("ram").into()),
        ("disk".into(), whole("disk").into()),
        ("gpu".into(), whole("gpu").into()),
    ]);
    Extractor { recorder }.object(Kind::Resources, Kind::Resources.name(), &map, at)
}
