//! Turns a map of the script into a typed object, by the object's table.

mod wording;

use std::collections::BTreeMap;

use rhai::{Array, Dynamic, ImmutableString, Map};

pub(crate) use self::wording::describe;
use self::wording::{mismatch_hint, shortened};
use crate::{
    checks,
    nearest::nearest,
    recorder::{Recorder, Report},
    schema::{Field, Kind, MAX_BYTES, Presence, TextRule, Type},
    size,
    value::{At, Object, ObjectData, Slot, Value},
};

/// Stands in strings for a parameter that was not given; never reported a second time.
pub(crate) const POISON: char = '\u{FDD1}';

/// Reads the maps of one constructor call.
#[derive(Debug)]
pub(crate) struct Extractor<'a> {
    pub(crate) recorder: &'a Recorder,
}

/// What a message calls a field, such as `process.cmdline`.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    object: &'a str,
    field: &'a str,
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}.{}`", self.object, self.field)
    }
}

impl Extractor<'_> {
    /// Makes an object of a map; whatever is wrong is recorded and poisons the object.
    ///
    /// `called` is the name the user wrote, `at` the place of the map.
    pub(crate) fn object(&self, kind: Kind, called: &str, map: &Map, at: &At) -> Object {
        let mut fields = BTreeMap::new();
        let mut poisoned = self.fill(kind, called, map, at, &mut fields);
        for field in kind.schema().fields {
            let missing = field.presence == Presence::Required && !fields.contains_key(field.name);
            // A field that was given and is wrong has been reported.
            if missing && !is_given(map, field.name) {
                poisoned = true;
                self.missing(field, called, at);
            }
        }
        self.finish(ObjectData {
            kind,
            at: at.clone(),
            fields,
            poisoned,
        })
    }

    /// Makes a copy of an object with changes.
    pub(crate) fn changed(&self, base: &Object, changes: &Map, at: &At) -> Object {
        let mut fields = base.fields.clone();
        for (key, value) in changes {
            if value.is_unit() {
                fields.retain(|name, _| *name != key.as_str());
            }
        }
        let name = base.kind.name();
        let wrong = self.fill(base.kind, name, changes, at, &mut fields);
        let mut poisoned = base.poisoned || wrong;
        for field in base.kind.schema().fields {
            if field.presence == Presence::Required && !fields.contains_key(field.name) && !poisoned
            {
                poisoned = true;
                self.missing(field, name, at);
            }
        }
        self.finish(ObjectData {
            kind: base.kind,
            at: at.clone(),
            fields,
            poisoned,
        })
    }

    /// Checks what concerns more than one field and counts the object's size.
    pub(crate) fn finish(&self, mut data: ObjectData) -> Object {
        let bytes = data
            .fields
            .values()
            .map(|slot| text_bytes(&slot.value))
            .sum();
        if !self.recorder.charge(bytes) {
            let message = "the file makes too many objects, or objects with too much text";
            self.recorder.report(Report::error(&data.at, message));
            data.poisoned = true;
        }
        // Other faults do not hide what can be checked all the same.
        if !data.poisoned || checks::is_checkable(&data) {
            data.poisoned |= !checks::object(&data, self.recorder);
        }
        Object::new(data)
    }

    fn missing(&self, field: &Field, called: &str, at: &At) {
        let message = format!("`{called}` needs the field `{}`", field.name);
        let hint = format!("`{}` is {}: {}", field.name, field.ty, field.doc);
        self.recorder.report(Report::error(at, message).hint(hint));
    }

    /// Reads all fields of a map into `fields`; returns whether one was wrong.
    fn fill(
        &self,
        kind: Kind,
        called: &str,
        map: &Map,
        at: &At,
        fields: &mut BTreeMap<&'static str, Slot>,
    ) -> bool {
        let schema = kind.schema();
        let mut wrong = false;
        for (key, dynamic) in map {
            let at = at.key(key);
            let Some(field) = schema.field(key) else {
                self.unknown_field(kind, called, key, &at);
                wrong = true;
                continue;
            };
            // `()` is what an `if` without `else` yields: as if the field were not there.
            if dynamic.is_unit() {
                continue;
            }
            let name = Name {
                object: called,
                field: field.name,
            };
            match self.value(field.ty, dynamic, &at, name) {
                Some(value) => {
                    wrong |= holds_poison(&value);
                    fields.insert(field.name, Slot { value, at });
                }
                None => {
                    wrong = true;
                    fields.remove(field.name);
                }
            }
        }
        wrong
    }

    fn unknown_field(&self, kind: Kind, called: &str, key: &str, at: &At) {
        let names = kind.schema().fields.iter().map(|field| field.name);
        let report = Report::error(at, format!("`{called}` has no field `{key}`"));
        let hint = match nearest(key, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("its fields are {}", names.collect::<Vec<_>>().join(", ")),
        };
        self.recorder.report(report.hint(hint));
    }

    fn value(&self, ty: Type, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        match ty {
            Type::Text(rule) => self.text(rule, dynamic, at, name),
            Type::OneOf(values) => self.one_of(values, dynamic, at, name),
            Type::Int { min, max } => {
                let Ok(value) = dynamic.as_int() else {
                    return self.mismatch(ty, dynamic, at, name);
                };
                self.in_range(value, min, max, at, name)
            }
            Type::Number { min, above, max } => {
                let number = number_of(dynamic);
                let Some(value) = number else {
                    return self.mismatch(ty, dynamic, at, name);
                };
                self.number(value, (min, above, max), at, name)
            }
            Type::Bool => match dynamic.as_bool() {
                Ok(value) => Some(Value::Bool(value)),
                Err(_) => self.mismatch(ty, dynamic, at, name),
            },
            Type::Bytes { min } => self.bytes(min, dynamic, at, name),
            Type::List(inner) => self.list(*inner, ty, dynamic, at, name),
            Type::TextMap { numbers } => self.text_map(numbers, ty, dynamic, at, name),
            Type::Metadata => self.metadata(ty, dynamic, at, name),
            Type::Orders => self.orders(dynamic, at, name),
            Type::ProcessNames => self.process_names(dynamic, at, name),
            Type::Object { kinds, plain } => self.nested(kinds, plain, ty, dynamic, at, name),
        }
    }

    fn error(&self, at: &At, message: String, hint: Option<String>) -> Option<Value> {
        let mut report = Report::error(at, message);
        report.hint = hint;
        self.recorder.report(report);
        None
    }

    fn mismatch(&self, ty: Type, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        if is_poison(dynamic) {
            return None;
        }
        let message = format!("{name} must be {ty}, got {}", describe(dynamic));
        self.error(at, message, mismatch_hint(ty, dynamic))
    }

    fn text(&self, rule: TextRule, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        let Some(text) = text_of(dynamic) else {
            return self.mismatch(Type::Text(rule), dynamic, at, name);
        };
        if text.contains(POISON) {
            return None;
        }
        match rule.check(&text) {
            Ok(()) => Some(Value::Text(text)),
            Err(problem) => self.error(
                at,
                format!("{name} {}", shortened(&problem.message)),
                problem.hint,
            ),
        }
    }

    fn one_of(
        &self,
        values: &'static [&'static str],
        dynamic: &Dynamic,
        at: &At,
        name: Name<'_>,
    ) -> Option<Value> {
        let ty = Type::OneOf(values);
        let Some(text) = text_of(dynamic) else {
            return self.mismatch(ty, dynamic, at, name);
        };
        if text.contains(POISON) {
            return None;
        }
        if let Some(value) = values
            .iter()
            .find(|value| value.eq_ignore_ascii_case(&text))
        {
            return Some(Value::Text((*value).into()));
        }
        let hint = nearest(&text, values.iter().copied())
            .map(|value| format!("did you mean \"{value}\"?"));
        self.error(
            at,
            format!("{name} must be {ty}, got {}", describe(dynamic)),
            hint,
        )
    }

    fn in_range(&self, value: i64, min: i64, max: i64, at: &At, name: Name<'_>) -> Option<Value> {
        if value < min {
            return self.error(
                at,
                format!("{name} must be at least {min}, got {value}"),
                None,
            );
        }
        if value > max {
            return self.error(
                at,
                format!("{name} must be at most {max}, got {value}"),
                None,
            );
        }
        Some(Value::Int(value))
    }

    fn number(
        &self,
        value: f64,
        (min, above, max): (f64, bool, f64),
        at: &At,
        name: Name<'_>,
    ) -> Option<Value> {
        if !value.is_finite() {
            return self.error(
                at,
                format!("{name} must be a finite number, got {value}"),
                None,
            );
        }
        if above && value <= min {
            return self.error(
                at,
                format!("{name} must be greater than {min}, got {value}"),
                None,
            );
        }
        if value < min {
            return self.error(
                at,
                format!("{name} must be at least {min}, got {value}"),
                None,
            );
        }
        if value > max {
            return self.error(
                at,
                format!("{name} must be at most {max}, got {value}"),
                None,
            );
        }
        // Minus zero compares equal to zero but encodes differently.
        Some(Value::Number(value + 0.0))
    }

    fn bytes(&self, min: i64, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        let bytes = match size::of(dynamic) {
            Ok(bytes) => bytes,
            Err(size::Problem::NotASize) => {
                return self.mismatch(Type::Bytes { min }, dynamic, at, name);
            }
            Err(size::Problem::Fraction) => {
                let message = format!("{name} must be a whole number of bytes, got {dynamic}");
                return self.error(at, message, Some("use `.round().to_int()`".to_owned()));
            }
        };
        if bytes < min {
            let message = format!(
                "{name} must be at least {}, got {bytes} bytes",
                size::text(min)
            );
            let small = bytes > 0 && bytes < 1 << 16;
            return self.error(
                at,
                message,
                small.then(|| format!("sizes are in bytes: `{bytes} * MB`")),
            );
        }
        self.in_range(bytes, min, MAX_BYTES, at, name)
    }

    fn list(
        &self,
        inner: Type,
        ty: Type,
        dynamic: &Dynamic,
        at: &At,
        name: Name<'_>,
    ) -> Option<Value> {
        let Some(items) = dynamic.read_lock::<Array>() else {
            return self.mismatch(ty, dynamic, at, name);
        };
        let mut values = Vec::with_capacity(items.len());
        let mut wrong = false;
        for (index, item) in items.iter().enumerate() {
            match self.value(inner, item, &at.index(index), name) {
                Some(value) => values.push(value),
                None => wrong = true,
            }
        }
        if wrong {
            None
        } else {
            Some(Value::List(values))
        }
    }

    fn text_map(
        &self,
        numbers: bool,
        ty: Type,
        dynamic: &Dynamic,
        at: &At,
        name: Name<'_>,
    ) -> Option<Value> {
        let Some(map) = dynamic.read_lock::<Map>() else {
            return self.mismatch(ty, dynamic, at, name);
        };
        let mut values = BTreeMap::new();
        let mut wrong = false;
        for (key, item) in map.iter() {
            let at = at.key(key);
            let inner = format!("{}.{key}", name.field);
            let name = Name {
                object: name.object,
                field: &inner,
            };
            let value = match item.as_int() {
                Ok(number) if numbers => self.in_range(number, 1, 65_535, &at, name),
                _ => self.text(TextRule::Line, item, &at, name),
            };
            if key.trim().is_empty() {
                self.error(&at, format!("{name} must not be empty as a key"), None);
                wrong = true;
            }
            match value {
                Some(value) => drop(values.insert(key.to_string(), value)),
                None => wrong = true,
            }
        }
        if wrong {
            None
        } else {
            Some(Value::Map(values))
        }
    }

    fn metadata(&self, ty: Type, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        if dynamic.is_array() {
            return self.list(Type::object(&[Kind::Metadata]), ty, dynamic, at, name);
        }
        let Some(map) = dynamic.read_lock::<Map>() else {
            return self.mismatch(ty, dynamic, at, name);
        };
        let pairs = map.iter().map(|(key, value)| {
            let pair = Map::from([
                ("key".into(), key.as_str().into()),
                ("value".into(), value.clone()),
            ]);
            let at = at.key(key);
            Value::Object(self.object(Kind::Metadata, Kind::Metadata.name(), &pair, &at))
        });
        Some(Value::List(pairs.collect()))
    }

    /// Takes one order, a list of orders, or lists of orders in a list.
    fn orders(&self, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        let Some(items) = dynamic.read_lock::<Array>() else {
            return self.mismatch(Type::Orders, dynamic, at, name);
        };
        let mut orders = Vec::new();
        let mut wrong = false;
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            let value = match item.read_lock::<Array>() {
                Some(inner) if inner.iter().all(|part| text_of(part).is_none()) => {
                    drop(inner);
                    self.orders(item, &at, name)
                }
                Some(_) => {
                    let map = Map::from([("order".into(), item.clone())]);
                    let order = self.object(Kind::Constraint, "order", &map, &at);
                    Some(Value::List(vec![Value::Object(order)]))
                }
                None => self
                    .value(Type::object(&[Kind::Constraint]), item, &at, name)
                    .map(|value| Value::List(vec![value])),
            };
            match value {
                Some(Value::List(values)) => orders.extend(values),
                _ => wrong = true,
            }
        }
        if wrong {
            None
        } else {
            Some(Value::List(orders))
        }
    }

    fn process_names(&self, dynamic: &Dynamic, at: &At, name: Name<'_>) -> Option<Value> {
        let Some(items) = dynamic.read_lock::<Array>() else {
            return self.mismatch(Type::ProcessNames, dynamic, at, name);
        };
        let mut names = Vec::new();
        let mut wrong = false;
        for (index, item) in items.iter().enumerate() {
            let process = item
                .read_lock::<Object>()
                .filter(|object| object.kind == Kind::Process);
            let value = match process.as_ref() {
                Some(process) if process.poisoned => None,
                Some(process) => process.get("name").cloned(),
                None => self.text(TextRule::ProcessName, item, &at.index(index), name),
            };
            match value {
                Some(value) => names.push(value),
                None => wrong = true,
            }
        }
        if wrong {
            None
        } else {
            Some(Value::List(names))
        }
    }

    fn nested(
        &self,
        kinds: &'static [Kind],
        plain: bool,
        ty: Type,
        dynamic: &Dynamic,
        at: &At,
        name: Name<'_>,
    ) -> Option<Value> {
        if let Some(object) = dynamic.read_lock::<Object>()
            && kinds.contains(&object.kind)
        {
            return Some(Value::Object(object.clone()));
        }
        match (plain, kinds.first(), dynamic.read_lock::<Map>()) {
            (true, Some(kind), Some(map)) => {
                Some(Value::Object(self.object(*kind, kind.name(), &map, at)))
            }
            _ => self.mismatch(ty, dynamic, at, name),
        }
    }
}

fn is_given(map: &Map, name: &str) -> bool {
    map.get(name).is_some_and(|value| !value.is_unit())
}

fn text_of(dynamic: &Dynamic) -> Option<ImmutableString> {
    dynamic
        .read_lock::<ImmutableString>()
        .map(|text| text.clone())
}

fn is_poison(dynamic: &Dynamic) -> bool {
    text_of(dynamic).is_some_and(|text| text.contains(POISON))
}

fn number_of(dynamic: &Dynamic) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond 2^53 every range has ended"
    )]
    dynamic
        .as_float()
        .ok()
        .or_else(|| dynamic.as_int().ok().map(|value| value as f64))
}

fn holds_poison(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.poisoned,
        Value::List(items) => items.iter().any(holds_poison),
        Value::Map(_) | Value::Text(_) | Value::Int(_) | Value::Number(_) | Value::Bool(_) => false,
    }
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() + 16,
        Value::List(items) => items.iter().map(text_bytes).sum(),
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| key.len() + 48 + text_bytes(value))
            .sum(),
        Value::Object(_) | Value::Int(_) | Value::Number(_) | Value::Bool(_) => 16,
    }
}
