//! Tables: updates and what must stay up during them.

use super::{Default, Field, Kind, ObjectSchema, Type};

pub(super) static UPDATE_CONFIG: ObjectSchema = ObjectSchema {
    kind: Kind::UpdateConfig,
    name: "update_config",
    aliases: &[],
    doc: "How updates of the job proceed.",
    fields: &[
        Field::or(
            "batch_size",
            Type::POSITIVE,
            Default::Int(1),
            "Instances at the same time.",
        ),
        Field::seconds(
            "watch_secs",
            45,
            "Seconds an instance must run to count as good.",
        ),
        Field::count(
            "max_per_shard_failures",
            0,
            "Failures of one instance that are forgiven.",
        ),
        Field::count(
            "max_total_failures",
            0,
            "Failed instances that are forgiven.",
        ),
        Field::flag(
            "rollback_on_failure",
            true,
            "Whether a failed update is undone.",
        ),
        Field::flag(
            "wait_for_batch_completion",
            false,
            "Old spelling of the batch strategy.",
        ),
        Field::optional(
            "pulse_interval_secs",
            Type::Int {
                min: 60,
                max: super::MAX_SECONDS,
            },
            "The update goes on only while it is pulsed at least this often.",
        ),
        Field::flag(
            "sla_aware",
            false,
            "Whether instances wait for the sla_policy.",
        ),
        Field::optional(
            "update_strategy",
            Type::choice(&[
                Kind::QueueUpdateStrategy,
                Kind::BatchUpdateStrategy,
                Kind::VariableBatchUpdateStrategy,
            ]),
            "A queue of batch_size if left out.",
        ),
    ],
};

const AUTOPAUSE: Field = Field::flag(
    "autopause_after_batch",
    false,
    "Whether the update pauses after each group.",
);

pub(super) static QUEUE: ObjectSchema = ObjectSchema {
    kind: Kind::QueueUpdateStrategy,
    name: "queue_update_strategy",
    aliases: &[],
    doc: "The next instance begins as soon as one is done.",
    fields: &[Field::or(
        "batch_size",
        Type::POSITIVE,
        Default::Int(1),
        "Instances at the same time.",
    )],
};

pub(super) static BATCH: ObjectSchema = ObjectSchema {
    kind: Kind::BatchUpdateStrategy,
    name: "batch_update_strategy",
    aliases: &[],
    doc: "The next group begins when the whole group is done.",
    fields: &[
        Field::or(
            "batch_size",
            Type::POSITIVE,
            Default::Int(1),
            "Instances of a group.",
        ),
        AUTOPAUSE,
    ],
};

pub(super) static VARIABLE_BATCH: ObjectSchema = ObjectSchema {
    kind: Kind::VariableBatchUpdateStrategy,
    name: "variable_batch_update_strategy",
    aliases: &[],
    doc: "Groups of these sizes; the last size is repeated.",
    fields: &[
        Field::required(
            "batch_sizes",
            Type::List(&Type::POSITIVE),
            "At least one size.",
        ),
        AUTOPAUSE,
    ],
};

const DURATION: Field = Field::required(
    "duration_secs",
    Type::Int { min: 0, max: 7_200 },
    "Seconds an instance must have run to count; at most two hours.",
);

pub(super) static COUNT_SLA: ObjectSchema = ObjectSchema {
    kind: Kind::CountSlaPolicy,
    name: "count_sla_policy",
    aliases: &[],
    doc: "So many instances stay up during maintenance.",
    fields: &[
        Field::required("count", Type::COUNT, "Fewer than all instances."),
        DURATION,
    ],
};

pub(super) static PERCENTAGE_SLA: ObjectSchema = ObjectSchema {
    kind: Kind::PercentageSlaPolicy,
    name: "percentage_sla_policy",
    aliases: &[],
    doc: "So large a share of the instances stays up during maintenance.",
    fields: &[
        Field::required(
            "percentage",
            Type::Number {
                min: 0.0,
                above: false,
                max: 100.0,
            },
            "0 to 100; must leave one instance to take down.",
        ),
        DURATION,
    ],
};

pub(super) static COORDINATOR_SLA: ObjectSchema = ObjectSchema {
    kind: Kind::CoordinatorSlaPolicy,
    name: "coordinator_sla_policy",
    aliases: &[],
    doc: "A service of yours is asked before an instance is taken down.",
    fields: &[
        Field::required("coordinator_url", Type::LINE, "Where it is asked."),
        Field::or(
            "status_key",
            Type::LINE,
            Default::Text("drain"),
            "The answer's field that allows it.",
        ),
    ],
};
