//! Rules that concern more than one field.

pub(crate) mod cron;
pub(crate) mod job;
mod parts;
pub(crate) mod placement;
mod plan;
pub(crate) mod ports;
mod sla;
mod update;

use crate::{recorder::Recorder, schema::Kind, value::ObjectData};

/// Whether the rules of an object can be checked although something else about it is wrong.
pub(crate) fn is_checkable(data: &ObjectData) -> bool {
    let sound = |name: &str| data.objects(name).all(|object| !object.poisoned);
    data.kind == Kind::Task && data.has("processes") && sound("processes") && sound("constraints")
}

/// Checks one object by itself; reports what is wrong and returns whether all is well.
pub(crate) fn object(data: &ObjectData, recorder: &Recorder) -> bool {
    match data.kind {
        Kind::Task => plan::check(data, recorder),
        Kind::Constraint => parts::constraint(data, recorder),
        Kind::Logger => parts::logger(data, recorder),
        Kind::HealthCheckerConfig => parts::health_checker(data, recorder),
        Kind::HealthCheckConfig => parts::health_check(data, recorder),
        Kind::Announcer => ports::announcer(data, recorder),
        Kind::UpdateConfig => update::check(data, recorder),
        Kind::VariableBatchUpdateStrategy => update::batch_sizes(data, recorder),
        Kind::CoordinatorSlaPolicy => sla::coordinator(data, recorder),
        // A job is checked when it is declared: by then its kind is known.
        Kind::Job
        | Kind::Process
        | Kind::Resources
        | Kind::RotatePolicy
        | Kind::Quota
        | Kind::Metadata
        | Kind::QueueUpdateStrategy
        | Kind::BatchUpdateStrategy
        | Kind::HttpHealthCheck
        | Kind::ShellHealthCheck
        | Kind::LifecycleConfig
        | Kind::HttpLifecycleConfig
        | Kind::Container
        | Kind::Docker
        | Kind::DockerParameter
        | Kind::Mesos
        | Kind::DockerImage
        | Kind::AppcImage
        | Kind::Volume
        | Kind::ExecutorConfig
        | Kind::PartitionPolicy
        | Kind::CountSlaPolicy
        | Kind::PercentageSlaPolicy => true,
    }
}
