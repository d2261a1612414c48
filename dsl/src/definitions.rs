//! What editors and readers are told about job files; made from the tables.

use std::fmt::Write;

use crate::{
    schema::{Field, Kind, OBJECTS, ObjectSchema, Presence},
    size::UNITS,
};

/// A function that is no plain constructor: name, parameters, what it does.
const HELPERS: &[(&str, &[&str], &str)] = &[
    (
        "order",
        &[
            "(first: ?, second: ?) -> Array",
            "(processes: Array) -> Array",
        ],
        "Processes, or their names, that run one after the other; up to 16, or any number in a list. \
         Lists add up: `order(a, b) + order(a, c)`.",
    ),
    (
        "simple_task",
        &["(name: String, command: String) -> object"],
        "A task of one process with 1 core, 1 GB of memory and 1 GB of disk.",
    ),
    (
        "combine_tasks",
        &[
            "(one: object, other: object) -> object",
            "(tasks: Array) -> object",
        ],
        "One task that runs the tasks side by side; resources add up. A map as the last argument \
         changes the result.",
    ),
    (
        "concat_tasks",
        &[
            "(one: object, other: object) -> object",
            "(tasks: Array) -> object",
        ],
        "One task that runs the tasks one after the other; of each resource the greatest counts. A \
         map as the last argument changes the result.",
    ),
    (
        "disable_lifecycle",
        &["() -> object"],
        "A lifecycle without HTTP: SIGTERM comes at once.",
    ),
    (
        "param",
        &[
            "(name: String) -> String",
            "(name: String, default: ?) -> ?",
            "(name: String, default: ?, help: String) -> ?",
        ],
        "A value from outside: `--bind name=value`. Without a default it is required; with one the \
         value has the default's type.",
    ),
];

/// Returns the names of all functions that job files add to the language.
pub(crate) fn function_names() -> Vec<&'static str> {
    let constructors = OBJECTS.iter().flat_map(|schema| names(schema));
    constructors
        .chain(HELPERS.iter().map(|(name, ..)| *name))
        .collect()
}

/// Whether a function of a job file with so many parameters would be called instead of one of ours.
pub(crate) fn hides(name: &str, parameters: usize) -> bool {
    if OBJECTS
        .iter()
        .flat_map(|schema| names(schema))
        .any(|known| known == name)
    {
        return parameters == 1;
    }
    match name {
        "order" | "combine_tasks" | "concat_tasks" => parameters > 0,
        "simple_task" => parameters == 2,
        "disable_lifecycle" => parameters == 0,
        "param" => (1..=3).contains(&parameters),
        _ => false,
    }
}

fn names(schema: &'static ObjectSchema) -> impl Iterator<Item = &'static str> {
    std::iter::once(schema.name).chain(schema.aliases.iter().copied())
}

/// Returns the Rhai definition file (`.d.rhai`) of everything job files add to the language.
pub fn definitions() -> String {
    let mut text = String::from(
        "// What job files of aurora-rs add to Rhai; written by `aurora-rs config definitions`.\n\
         module static;\n\n",
    );
    for (name, bytes) in UNITS {
        push(
            &mut text,
            format_args!("/// {bytes} bytes.\nconst {name}: int;\n\n"),
        );
    }
    for schema in OBJECTS {
        let declares = matches!(schema.kind, Kind::Job | Kind::Quota);
        let returns = if declares { "()" } else { "object" };
        for name in names(schema) {
            push_doc(&mut text, schema.doc);
            push_doc(&mut text, "");
            for field in schema.fields {
                push_doc(&mut text, &field_line(field));
            }
            push(
                &mut text,
                format_args!("fn {name}(fields: Map) -> {returns};\n\n"),
            );
        }
    }
    for (name, signatures, doc) in HELPERS {
        for signature in *signatures {
            push_doc(&mut text, doc);
            push(&mut text, format_args!("fn {name}{signature};\n\n"));
        }
    }
    text.push_str("/// Copies an object with changes; a field that is `()` is taken away.\n");
    text.push_str("op +(object, Map) -> object;\n");
    text
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("a string takes whatever is written to it");
}

fn push_doc(text: &mut String, doc: &str) {
    push(text, format_args!("{}\n", format!("/// {doc}").trim_end()));
}

fn field_line(field: &Field) -> String {
    let presence = match field.presence {
        Presence::Required => "required".to_owned(),
        Presence::Optional => "optional".to_owned(),
        Presence::Default(value) => format!("default {value}"),
    };
    format!(
        "- `{}`: {}; {presence}. {}",
        field.name, field.ty, field.doc
    )
}

/// Returns the reference of all objects as Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    for schema in OBJECTS {
        let all: Vec<String> = names(schema).map(|name| format!("`{name}`")).collect();
        push(
            &mut text,
            format_args!("### {}\n\n{}\n\n", all.join(", "), schema.doc),
        );
        text.push_str("| field | type | default | meaning |\n|---|---|---|---|\n");
        for field in schema.fields {
            let default = match field.presence {
                Presence::Required => "required".to_owned(),
                Presence::Optional => String::new(),
                Presence::Default(value) => format!("`{value}`"),
            };
            let (ty, doc) = (
                field.ty.to_string().replace('|', "\\|"),
                field.doc.replace('|', "\\|"),
            );
            push(
                &mut text,
                format_args!("| `{}` | {ty} | {default} | {doc} |\n", field.name),
            );
        }
        text.push('\n');
    }
    for (name, signatures, doc) in HELPERS {
        let all: Vec<String> = signatures
            .iter()
            .map(|signature| format!("`{name}{signature}`"))
            .collect();
        push(
            &mut text,
            format_args!("### {}\n\n{doc}\n\n", all.join(", ")),
        );
    }
    text
}
