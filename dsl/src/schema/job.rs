//! Tables: jobs and quotas.

use super::{Default, Field, Kind, ObjectSchema, TextRule, Type};

const IDENTIFIER: Type = Type::Text(TextRule::Identifier);

pub(super) static JOB: ObjectSchema = ObjectSchema {
    kind: Kind::Job,
    name: "job",
    aliases: &["service", "cron_job"],
    doc: "Declares a job. `service` sets `service: true`; `cron_job` requires a `cron_schedule`.",
    fields: &[
        Field::required("cluster", IDENTIFIER, "Where the job runs."),
        Field::required(
            "role",
            IDENTIFIER,
            "The account that runs it and whose quota it uses.",
        ),
        Field::required(
            "environment",
            Type::Text(TextRule::Environment),
            "prod, devel, test or staging with or without a number.",
        ),
        Field::optional("name", IDENTIFIER, "The task's name if left out."),
        Field::required(
            "task",
            Type::object(&[Kind::Task]),
            "What each instance runs.",
        ),
        Field::or(
            "instances",
            Type::Int {
                min: 1,
                max: 10_000,
            },
            Default::Int(1),
            "How many instances; they are numbered from 0.",
        ),
        Field::flag("service", false, "Restarted whenever it ends, for ever."),
        Field::optional(
            "cron_schedule",
            Type::Text(TextRule::Cron),
            "Minute, hour, day of month, month, day of week; makes it a cron job.",
        ),
        Field::optional(
            "cron_timezone",
            Type::Text(TextRule::Timezone),
            "An IANA name; the scheduler's own zone if left out.",
        ),
        Field::or(
            "cron_collision_policy",
            Type::OneOf(&["KILL_EXISTING", "CANCEL_NEW"]),
            Default::Text("KILL_EXISTING"),
            "What happens when the previous run is still active.",
        ),
        Field::or(
            "max_task_failures",
            Type::Int {
                min: -1,
                max: i32::MAX as i64,
            },
            Default::Int(1),
            "Failures of an instance until it is given up; -1: never. Not for services.",
        ),
        Field::or(
            "priority",
            Type::Int {
                min: -1_000_000,
                max: 1_000_000,
            },
            Default::Int(0),
            "Higher may preempt lower within a role and tier.",
        ),
        Field::optional(
            "tier",
            Type::Text(TextRule::Tier),
            "preferred, preemptible or revocable; the scheduler's own choice if left out.",
        ),
        Field::flag("production", false, "Deprecated: use tier \"preferred\"."),
        Field::or(
            "constraints",
            Type::TextMap { numbers: false },
            Default::Empty,
            "Attribute of the host to \"limit:N\", \"a,b\" or \"!a,b\".",
        ),
        Field::optional(
            "contact",
            Type::LINE,
            "Who answers for the job; shown only.",
        ),
        Field::or(
            "metadata",
            Type::Metadata,
            Default::Empty,
            "Free keys and values, shown.",
        ),
        Field::optional(
            "update_config",
            Type::object(&[Kind::UpdateConfig]),
            "How updates proceed.",
        ),
        Field::optional(
            "health_check_config",
            Type::object(&[
                Kind::HealthCheckConfig,
                Kind::HttpHealthCheck,
                Kind::ShellHealthCheck,
            ]),
            "How health is found out.",
        ),
        Field::optional(
            "lifecycle",
            Type::object(&[Kind::LifecycleConfig, Kind::HttpLifecycleConfig]),
            "What precedes SIGTERM.",
        ),
        Field::optional(
            "announce",
            Type::object(&[Kind::Announcer]),
            "Service discovery.",
        ),
        Field::optional(
            "container",
            Type::choice(&[Kind::Docker, Kind::Mesos, Kind::Container]),
            "The container it runs in.",
        ),
        Field::optional(
            "executor_config",
            Type::object(&[Kind::ExecutorConfig]),
            "The executor.",
        ),
        Field::optional(
            "partition_policy",
            Type::object(&[Kind::PartitionPolicy]),
            "What to do when the agent cannot be reached.",
        ),
        Field::optional(
            "sla_policy",
            Type::choice(&[
                Kind::CountSlaPolicy,
                Kind::PercentageSlaPolicy,
                Kind::CoordinatorSlaPolicy,
            ]),
            "How many instances stay up during maintenance.",
        ),
        Field::flag(
            "enable_hooks",
            false,
            "Whether the client's hooks run for the job.",
        ),
        Field::or(
            "task_links",
            Type::TextMap { numbers: false },
            Default::Empty,
            "Names and addresses that are shown with each instance.",
        ),
    ],
};

pub(super) static QUOTA: ObjectSchema = ObjectSchema {
    kind: Kind::Quota,
    name: "quota",
    aliases: &[],
    doc: "Declares what a role's production jobs may use at most.",
    fields: &[
        Field::required("cluster", IDENTIFIER, "The cluster it holds for."),
        Field::required("role", IDENTIFIER, "The role it holds for."),
        Field::required(
            "cpu",
            Type::Number {
                min: 0.0,
                above: false,
                max: 1e9,
            },
            "Cores.",
        ),
        Field::required("ram", Type::Bytes { min: 0 }, "Memory."),
        Field::required("disk", Type::Bytes { min: 0 }, "Disk."),
        Field::or(
            "gpu",
            Type::Int {
                min: 0,
                max: 1_000_000_000,
            },
            Default::Int(0),
            "Whole devices.",
        ),
    ],
};

pub(super) static METADATA: ObjectSchema = ObjectSchema {
    kind: Kind::Metadata,
    name: "metadata",
    aliases: &[],
    doc: "A key and a value; unlike in a map, a key may occur twice.",
    fields: &[
        Field::required("key", Type::LINE, "The key."),
        Field::required("value", Type::Text(TextRule::Opaque), "The value."),
    ],
};

pub(super) static EXECUTOR_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::ExecutorConfig,
    name: "executor_config",
    aliases: &[],
    doc: "The executor that runs the task.",
    fields: &[
        Field::or(
            "name",
            Type::LINE,
            Default::Text("AuroraExecutor"),
            "Known to the scheduler.",
        ),
        Field::or(
            "data",
            Type::Text(TextRule::Opaque),
            Default::Text(""),
            "Handed to the executor.",
        ),
    ],
};

pub(super) static PARTITION_POLICY: ObjectSchema = ObjectSchema {
    kind: Kind::PartitionPolicy,
    name: "partition_policy",
    aliases: &[],
    doc: "What happens to a running instance whose agent cannot be reached.",
    fields: &[
        Field::flag("reschedule", true, "False waits for the agent for ever."),
        Field::seconds("delay_secs", 0, "Seconds until it is replaced."),
    ],
};
