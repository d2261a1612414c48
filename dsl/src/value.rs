//! Typed values of objects, and where each came from.

use std::{collections::BTreeMap, sync::Arc};

use rhai::{Array, Dynamic, ImmutableString, Map};

use crate::{
    locate::Step,
    schema::{Default, Field, Kind, Presence},
};

/// The call in a file that made something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Site {
    pub(crate) file: Arc<str>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value's place: a call, and the way from its arguments to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) site: Site,
    pub(crate) path: Vec<Step>,
}

impl At {
    pub(crate) fn call(site: Site) -> Self {
        Self {
            site,
            path: Vec::new(),
        }
    }

    pub(crate) fn key(&self, name: &str) -> Self {
        self.step(Step::Key(name.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.path.clone();
        path.push(step);
        Self {
            site: self.site.clone(),
            path,
        }
    }
}

/// A value that fits its field's type.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(ImmutableString),
    Int(i64),
    Number(f64),
    Bool(bool),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
    Object(Object),
}

impl Value {
    /// Returns the string, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text.as_str())
        } else {
            None
        }
    }

    /// Returns the integer, if it is one.
    pub(crate) fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// Returns the object, if it is one.
    pub(crate) fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self {
            Some(object)
        } else {
            None
        }
    }
}

/// A field's value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    pub(crate) at: At,
}

/// What a constructor returns to the script; cheap to copy.
#[derive(Debug, Clone)]
pub(crate) struct Object(Arc<ObjectData>);

/// The content of an object.
#[derive(Debug)]
pub(crate) struct ObjectData {
    pub(crate) kind: Kind,
    pub(crate) at: At,
    pub(crate) fields: BTreeMap<&'static str, Slot>,
    /// Something about it is wrong and has been reported: no need to complain of what follows.
    pub(crate) poisoned: bool,
}

impl std::ops::Deref for Object {
    type Target = ObjectData;

    fn deref(&self) -> &ObjectData {
        &self.0
    }
}

impl Object {
    pub(crate) fn new(data: ObjectData) -> Self {
        Self(Arc::new(data))
    }

    /// Makes an object that stands for one that could not be made.
    pub(crate) fn poisoned(kind: Kind, at: At) -> Self {
        Self::new(ObjectData {
            kind,
            at,
            fields: BTreeMap::new(),
            poisoned: true,
        })
    }
}

impl ObjectData {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).map(|slot| &slot.value)
    }

    /// Returns the place of a field, or of the object if the field was not given.
    pub(crate) fn at(&self, name: &str) -> &At {
        self.fields.get(name).map_or(&self.at, |slot| &slot.at)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn field(&self, name: &str) -> Option<&'static Field> {
        let field = self.kind.schema().field(name);
        debug_assert!(field.is_some(), "{} has no field {name}", self.kind.name());
        field
    }

    fn default(&self, name: &str) -> Option<Default> {
        match self.field(name)?.presence {
            Presence::Default(default) => Some(default),
            Presence::Required | Presence::Optional => None,
        }
    }

    /// Returns a string; the field's default, or nothing, if it was not given.
    pub(crate) fn text(&self, name: &str) -> &str {
        match (self.get(name), self.default(name)) {
            (Some(Value::Text(text)), _) => text.as_str(),
            (None, Some(Default::Text(text))) => text,
            _ => "",
        }
    }

    /// Returns a string that was given, whatever the object's kind.
    pub(crate) fn text_if_any(&self, name: &str) -> Option<String> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Whether a flag was given and is set, whatever the object's kind.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    /// Returns an integer; the field's default, or 0, if it was not given.
    pub(crate) fn int(&self, name: &str) -> i64 {
        match (self.get(name), self.default(name)) {
            (Some(Value::Int(value)), _) => *value,
            (None, Some(Default::Int(value))) => value,
            _ => 0,
        }
    }

    /// Returns an integer whose field allows nothing that does not fit.
    pub(crate) fn uint(&self, name: &str) -> u32 {
        u32::try_from(self.int(name)).unwrap_or_default()
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        match (self.get(name), self.default(name)) {
            (Some(Value::Number(value)), _) => *value,
            (None, Some(Default::Number(value))) => value,
            _ => 0.0,
        }
    }

    pub(crate) fn bool(&self, name: &str) -> bool {
        match (self.get(name), self.default(name)) {
            (Some(Value::Bool(value)), _) => *value,
            (None, Some(Default::Bool(value))) => value,
            _ => false,
        }
    }

    pub(crate) fn object(&self, name: &str) -> Option<&Object> {
        match self.get(name) {
            Some(Value::Object(object)) => Some(object),
            _ => None,
        }
    }

    pub(crate) fn list(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    pub(crate) fn objects(&self, name: &str) -> impl Iterator<Item = &Object> {
        self.list(name).iter().filter_map(Value::as_object)
    }

    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.list(name).iter().filter_map(Value::as_text)
    }

    pub(crate) fn map(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let map = match self.get(name) {
            Some(Value::Map(map)) => Some(map),
            _ => None,
        };
        map.into_iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value))
    }
}

/// Returns a value back to the script.
pub(crate) fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Text(text) => text.clone().into(),
        Value::Int(value) => (*value).into(),
        Value::Number(value) => (*value).into(),
        Value::Bool(value) => (*value).into(),
        Value::List(items) => items.iter().map(to_dynamic).collect::<Array>().into(),
        Value::Map(map) => {
            let fields = map
                .iter()
                .map(|(key, value)| (key.as_str().into(), to_dynamic(value)));
            fields.collect::<Map>().into()
        }
        Value::Object(object) => Dynamic::from(object.clone()),
    }
}
