//! Tables: health checks and how a task is asked to end.

use super::{Default, Field, Kind, ObjectSchema, TextRule, Type};

const INITIAL_INTERVAL: Field = Field::or(
    "initial_interval_secs",
    Type::NONNEGATIVE_NUMBER,
    Default::Number(15.0),
    "Seconds after the start during which failures do not count.",
);
const INTERVAL: Field = Field::or(
    "interval_secs",
    Type::Number {
        min: 0.0,
        above: true,
        max: 86_400.0,
    },
    Default::Number(10.0),
    "Seconds between two checks.",
);
const MAX_FAILURES: Field = Field::count(
    "max_consecutive_failures",
    0,
    "Failures in a row that are forgiven.",
);
const MIN_SUCCESSES: Field = Field::or(
    "min_consecutive_successes",
    Type::POSITIVE,
    Default::Int(1),
    "Successes in a row until the instance counts as running.",
);
const TIMEOUT: Field = Field::or(
    "timeout_secs",
    Type::Number {
        min: 0.0,
        above: true,
        max: 86_400.0,
    },
    Default::Number(1.0),
    "Seconds one check may take.",
);

/// The fields that a checker may carry besides its own.
pub(crate) const TIMING: [&str; 5] = [
    INITIAL_INTERVAL.name,
    INTERVAL.name,
    MAX_FAILURES.name,
    MIN_SUCCESSES.name,
    TIMEOUT.name,
];

pub(super) static HEALTH_CHECK_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::HealthCheckConfig,
    name: "health_check_config",
    aliases: &[],
    doc: "How the health of an instance is found out, and how patiently.",
    fields: &[
        Field::optional(
            "health_checker",
            Type::object(&[
                Kind::HealthCheckerConfig,
                Kind::HttpHealthCheck,
                Kind::ShellHealthCheck,
            ]),
            "A GET on the port `health` if left out.",
        ),
        INITIAL_INTERVAL,
        INTERVAL,
        MAX_FAILURES,
        MIN_SUCCESSES,
        TIMEOUT,
    ],
};

pub(super) static HEALTH_CHECKER_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::HealthCheckerConfig,
    name: "health_checker_config",
    aliases: &[],
    doc: "One of the two checkers; if both are given, the shell's counts.",
    fields: &[
        Field::optional("http", Type::object(&[Kind::HttpHealthCheck]), "A GET."),
        Field::optional(
            "shell",
            Type::object(&[Kind::ShellHealthCheck]),
            "A command.",
        ),
    ],
};

pub(super) static HTTP_HEALTH_CHECK: ObjectSchema = ObjectSchema {
    kind: Kind::HttpHealthCheck,
    name: "http_health_check",
    aliases: &["http_health_checker"],
    doc: "A GET on the port named `health`.",
    fields: &[
        Field::or(
            "endpoint",
            Type::Text(TextRule::Endpoint),
            Default::Text("/health"),
            "The path.",
        ),
        Field::or(
            "expected_response",
            Type::Text(TextRule::Opaque),
            Default::Text("ok"),
            "The body, whatever its case; empty: any.",
        ),
        Field::or(
            "expected_response_code",
            Type::Int { min: 0, max: 599 },
            Default::Int(0),
            "The status; 0: any that is good.",
        ),
        INITIAL_INTERVAL,
        INTERVAL,
        MAX_FAILURES,
        MIN_SUCCESSES,
        TIMEOUT,
    ],
};

pub(super) static SHELL_HEALTH_CHECK: ObjectSchema = ObjectSchema {
    kind: Kind::ShellHealthCheck,
    name: "shell_health_check",
    aliases: &["shell_health_checker"],
    doc: "A command that exits with 0 while the instance is healthy.",
    fields: &[
        Field::required(
            "shell_command",
            Type::Text(TextRule::Command),
            "Run with bash.",
        ),
        INITIAL_INTERVAL,
        INTERVAL,
        MAX_FAILURES,
        MIN_SUCCESSES,
        TIMEOUT,
    ],
};

pub(super) static LIFECYCLE_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::LifecycleConfig,
    name: "lifecycle_config",
    aliases: &[],
    doc: "What precedes SIGTERM; `disable_lifecycle()` says: nothing.",
    fields: &[Field::optional(
        "http",
        Type::object(&[Kind::HttpLifecycleConfig]),
        "The task is asked by HTTP; if left out, it is not.",
    )],
};

pub(super) static HTTP_LIFECYCLE_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::HttpLifecycleConfig,
    name: "http_lifecycle_config",
    aliases: &["http_lifecycle"],
    doc: "POSTs that ask a task to end, first kindly, then firmly.",
    fields: &[
        Field::or(
            "port",
            Type::Text(TextRule::PortName),
            Default::Text("health"),
            "A named port.",
        ),
        Field::or(
            "graceful_shutdown_endpoint",
            Type::Text(TextRule::Endpoint),
            Default::Text("/quitquitquit"),
            "The first path.",
        ),
        Field::or(
            "shutdown_endpoint",
            Type::Text(TextRule::Endpoint),
            Default::Text("/abortabortabort"),
            "The second path.",
        ),
        Field::seconds("graceful_shutdown_wait_secs", 5, "Seconds after the first."),
        Field::seconds("shutdown_wait_secs", 5, "Seconds after the second."),
    ],
};
