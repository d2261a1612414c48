//! Tables: what runs.

use super::{Default, Field, Kind, MEBIBYTE, ObjectSchema, TextRule, Type};

const MEGABYTES_100: i64 = 100 * MEBIBYTE;

pub(super) static PROCESS: ObjectSchema = ObjectSchema {
    kind: Kind::Process,
    name: "process",
    aliases: &[],
    doc: "A command that a task runs with `/bin/bash -c` in its sandbox.",
    fields: &[
        Field::required(
            "name",
            Type::Text(TextRule::ProcessName),
            "Unique within the task; the name of the process's log directory.",
        ),
        Field::required(
            "cmdline",
            Type::Text(TextRule::Command),
            "The command; `{{…}}` references are resolved where it runs.",
        ),
        Field::count(
            "max_failures",
            1,
            "Failed runs until it has failed for good; 0: no limit.",
        ),
        Field::flag(
            "daemon",
            false,
            "A run that ends well is followed by another, too.",
        ),
        Field::flag("ephemeral", false, "The task does not wait for it."),
        Field::seconds(
            "min_duration",
            5,
            "Least seconds between the starts of two runs.",
        ),
        Field::flag("final", false, "Runs once all ordinary processes are done."),
        Field::optional(
            "logger",
            Type::object(&[Kind::Logger]),
            "Where its output goes.",
        ),
        Field::optional(
            "resources",
            Type::object(&[Kind::Resources]),
            "Accepted for compatibility; only the task's resources count.",
        ),
    ],
};

pub(super) static TASK: ObjectSchema = ObjectSchema {
    kind: Kind::Task,
    name: "task",
    aliases: &["sequential_task"],
    doc: "Processes, their order, and the resources they share. `sequential_task` runs the processes \
          one after the other.",
    fields: &[
        Field::optional(
            "name",
            Type::Text(TextRule::ProcessName),
            "Shown; the name of the first process if left out.",
        ),
        Field::required(
            "processes",
            Type::List(&Type::object(&[Kind::Process])),
            "At least one; names are unique.",
        ),
        Field::or(
            "constraints",
            Type::Orders,
            Default::Empty,
            "What runs after what; processes without an order run side by side.",
        ),
        Field::required(
            "resources",
            Type::object(&[Kind::Resources]),
            "What one instance needs.",
        ),
        Field::count(
            "max_failures",
            1,
            "Failed processes that fail the task; 0: no limit.",
        ),
        Field::count(
            "max_concurrency",
            0,
            "Processes at the same time; 0: no limit.",
        ),
        Field::seconds(
            "finalization_wait",
            30,
            "Seconds that `final` processes may take.",
        ),
        Field::optional(
            "user",
            Type::LINE,
            "Ignored: the role decides who runs the task.",
        ),
    ],
};

pub(super) static CONSTRAINT: ObjectSchema = ObjectSchema {
    kind: Kind::Constraint,
    name: "constraint",
    aliases: &[],
    doc: "Processes that run one after the other; `order(a, b)` is shorter.",
    fields: &[Field::required(
        "order",
        Type::ProcessNames,
        "Processes or their names, first to last.",
    )],
};

pub(super) static RESOURCES: ObjectSchema = ObjectSchema {
    kind: Kind::Resources,
    name: "resources",
    aliases: &[],
    doc: "What an instance is given and may not exceed.",
    fields: &[
        Field::required(
            "cpu",
            Type::Number {
                min: 0.0,
                above: true,
                max: 1e6,
            },
            "Cores.",
        ),
        Field::required(
            "ram",
            Type::Bytes { min: MEBIBYTE },
            "Memory; whole mebibytes count.",
        ),
        Field::required(
            "disk",
            Type::Bytes { min: MEBIBYTE },
            "Disk; whole mebibytes count.",
        ),
        Field::or(
            "gpu",
            Type::Int {
                min: 0,
                max: 1_000_000,
            },
            Default::Int(0),
            "Whole devices.",
        ),
    ],
};

pub(super) static LOGGER: ObjectSchema = ObjectSchema {
    kind: Kind::Logger,
    name: "logger",
    aliases: &[],
    doc: "Where the output of a process goes.",
    fields: &[
        Field::or(
            "destination",
            Type::OneOf(&["file", "console", "both", "none"]),
            Default::Text("file"),
            "Files in the sandbox, the executor's own output, both or neither.",
        ),
        Field::or(
            "mode",
            Type::OneOf(&["standard", "rotate"]),
            Default::Text("standard"),
            "Whether files grow without end or are rotated.",
        ),
        Field::optional(
            "rotate",
            Type::object(&[Kind::RotatePolicy]),
            "Only with mode \"rotate\".",
        ),
    ],
};

pub(super) static ROTATE_POLICY: ObjectSchema = ObjectSchema {
    kind: Kind::RotatePolicy,
    name: "rotate_policy",
    aliases: &[],
    doc: "When an output file is put aside and how many are kept.",
    fields: &[
        Field::or(
            "log_size",
            Type::Bytes { min: 1 },
            Default::Int(MEGABYTES_100),
            "Size of one file.",
        ),
        Field::or(
            "backups",
            Type::POSITIVE,
            Default::Int(5),
            "Old files kept.",
        ),
    ],
};
