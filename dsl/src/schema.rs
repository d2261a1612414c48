//! The objects of a job file: one table of fields for each.
//!
//! The checks of a constructor's map, the hints of diagnostics, the editor definitions and the
//! reference all read these tables, so that they cannot tell different stories.

mod health;
mod job;
mod network;
mod task;
mod text;
mod update;

use std::fmt;

pub(crate) use self::health::TIMING;
pub use self::text::{MAX_NAME, TIERS, TextRule};

/// Which object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A command of a task.
    Process,
    /// Processes with their order and resources.
    Task,
    /// Names that run one after the other.
    Constraint,
    /// Cores, memory, disk and devices.
    Resources,
    /// Where output goes.
    Logger,
    /// When output files are rotated.
    RotatePolicy,
    /// A job of any sort.
    Job,
    /// What a role may use.
    Quota,
    /// A key and a value.
    Metadata,
    /// How updates proceed.
    UpdateConfig,
    /// A sliding window.
    QueueUpdateStrategy,
    /// Group by group.
    BatchUpdateStrategy,
    /// Group by group, of differing sizes.
    VariableBatchUpdateStrategy,
    /// How health is found out.
    HealthCheckConfig,
    /// One of the two checkers.
    HealthCheckerConfig,
    /// A GET on the port `health`.
    HttpHealthCheck,
    /// A command.
    ShellHealthCheck,
    /// What precedes SIGTERM.
    LifecycleConfig,
    /// POSTs that ask a task to end.
    HttpLifecycleConfig,
    /// Registration with service discovery.
    Announcer,
    /// A container by its deprecated wrapper.
    Container,
    /// A Docker container.
    Docker,
    /// A Docker command line option.
    DockerParameter,
    /// A Mesos container.
    Mesos,
    /// A Docker image in a Mesos container.
    DockerImage,
    /// An AppC image in a Mesos container.
    AppcImage,
    /// A directory of the host in a container.
    Volume,
    /// Which executor runs the task.
    ExecutorConfig,
    /// What to do about an unreachable agent.
    PartitionPolicy,
    /// A number of instances that stay up.
    CountSlaPolicy,
    /// A share of instances that stay up.
    PercentageSlaPolicy,
    /// A service that is asked.
    CoordinatorSlaPolicy,
}

/// One constructor and what its map may hold.
#[derive(Debug)]
pub struct ObjectSchema {
    /// Which object it makes.
    pub kind: Kind,
    /// The constructor's name.
    pub name: &'static str,
    /// Other names of the same constructor.
    pub aliases: &'static [&'static str],
    /// What the object is for.
    pub doc: &'static str,
    /// The fields, in the order they are documented.
    pub fields: &'static [Field],
}

/// A field of an object.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key in the map.
    pub name: &'static str,
    /// What it holds.
    pub ty: Type,
    /// Whether it must be given, and what holds if it is not.
    pub presence: Presence,
    /// What it means.
    pub doc: &'static str,
}

/// Whether a field must be given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Presence {
    /// It must.
    Required,
    /// Leaving it out means something of its own.
    Optional,
    /// Leaving it out means this value.
    Default(Default),
}

/// A value that holds if a field is not given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// A whole number.
    Int(i64),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'static str),
    /// An empty list or map.
    Empty,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// A string.
    Text(TextRule),
    /// One of these strings; case does not matter.
    OneOf(&'static [&'static str]),
    /// A whole number.
    Int {
        /// The least allowed.
        min: i64,
        /// The greatest allowed.
        max: i64,
    },
    /// A number.
    Number {
        /// The least allowed.
        min: f64,
        /// Whether `min` itself is not allowed.
        above: bool,
        /// The greatest allowed.
        max: f64,
    },
    /// A truth value.
    Bool,
    /// A size: a whole number of bytes or a string such as "256MB".
    Bytes {
        /// The least allowed.
        min: i64,
    },
    /// A list.
    List(&'static Self),
    /// A map from strings to strings, or to numbers as well.
    TextMap {
        /// Whether numbers may be values.
        numbers: bool,
    },
    /// A map of metadata or a list of `metadata(…)`.
    Metadata,
    /// What `order(…)` returned, or a list of such.
    Orders,
    /// Names of processes, or the processes themselves.
    ProcessNames,
    /// An object of one of these kinds.
    Object {
        /// The kinds.
        kinds: &'static [Kind],
        /// Whether a plain map may stand for the first kind.
        plain: bool,
    },
}

/// The greatest duration in seconds; more would not fit the clocks of agents.
pub(crate) const MAX_SECONDS: i64 = i32::MAX as i64;
/// The greatest size in bytes: 1 EiB.
pub(crate) const MAX_BYTES: i64 = 1 << 60;
/// Bytes of one mebibyte, the grain in which memory and disk are given out.
pub(crate) const MEBIBYTE: i64 = 1 << 20;

impl Type {
    const SECONDS: Self = Self::Int {
        min: 0,
        max: MAX_SECONDS,
    };
    const COUNT: Self = Self::Int {
        min: 0,
        max: i32::MAX as i64,
    };
    const POSITIVE: Self = Self::Int {
        min: 1,
        max: i32::MAX as i64,
    };
    const NONNEGATIVE_NUMBER: Self = Self::Number {
        min: 0.0,
        above: false,
        max: MAX_SECONDS as f64,
    };
    const LINE: Self = Self::Text(TextRule::Line);

    pub(crate) const fn object(kinds: &'static [Kind]) -> Self {
        Self::Object { kinds, plain: true }
    }

    const fn choice(kinds: &'static [Kind]) -> Self {
        Self::Object {
            kinds,
            plain: false,
        }
    }
}

impl Field {
    const fn required(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self {
            name,
            ty,
            presence: Presence::Required,
            doc,
        }
    }

    const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self {
            name,
            ty,
            presence: Presence::Optional,
            doc,
        }
    }

    const fn or(name: &'static str, ty: Type, value: Default, doc: &'static str) -> Self {
        Self {
            name,
            ty,
            presence: Presence::Default(value),
            doc,
        }
    }

    const fn flag(name: &'static str, value: bool, doc: &'static str) -> Self {
        Self::or(name, Type::Bool, Default::Bool(value), doc)
    }

    const fn count(name: &'static str, value: i64, doc: &'static str) -> Self {
        Self::or(name, Type::COUNT, Default::Int(value), doc)
    }

    const fn seconds(name: &'static str, value: i64, doc: &'static str) -> Self {
        Self::or(name, Type::SECONDS, Default::Int(value), doc)
    }
}

/// Every object, in reading order.
pub static OBJECTS: &[&ObjectSchema] = &[
    &task::PROCESS,
    &task::TASK,
    &task::CONSTRAINT,
    &task::RESOURCES,
    &task::LOGGER,
    &task::ROTATE_POLICY,
    &job::JOB,
    &job::QUOTA,
    &job::METADATA,
    &job::EXECUTOR_CONFIG,
    &job::PARTITION_POLICY,
    &update::UPDATE_CONFIG,
    &update::QUEUE,
    &update::BATCH,
    &update::VARIABLE_BATCH,
    &update::COUNT_SLA,
    &update::PERCENTAGE_SLA,
    &update::COORDINATOR_SLA,
    &health::HEALTH_CHECK_CONFIG,
    &health::HEALTH_CHECKER_CONFIG,
    &health::HTTP_HEALTH_CHECK,
    &health::SHELL_HEALTH_CHECK,
    &health::LIFECYCLE_CONFIG,
    &health::HTTP_LIFECYCLE_CONFIG,
    &network::ANNOUNCER,
    &network::CONTAINER,
    &network::DOCKER,
    &network::DOCKER_PARAMETER,
    &network::MESOS,
    &network::DOCKER_IMAGE,
    &network::APPC_IMAGE,
    &network::VOLUME,
];

impl Kind {
    /// Returns the table of the object's fields.
    pub fn schema(self) -> &'static ObjectSchema {
        let found = OBJECTS.iter().find(|schema| schema.kind == self);
        found.expect("every kind has a table; a test goes through all of them")
    }

    /// Returns the constructor's name.
    pub fn name(self) -> &'static str {
        self.schema().name
    }
}

impl ObjectSchema {
    /// Returns a field by its name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// What a user is told the type to be.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("a string"),
            Self::OneOf(values) => write!(f, "one of \"{}\"", values.join("\", \"")),
            Self::Int { .. } => f.write_str("an integer"),
            Self::Number { .. } => f.write_str("a number"),
            Self::Bool => f.write_str("true or false"),
            Self::Bytes { .. } => f.write_str("a size such as 256 * MB or \"256MB\""),
            Self::List(inner) => write!(f, "a list, each element {inner}"),
            Self::TextMap { numbers: false } => f.write_str("a map of strings"),
            Self::TextMap { numbers: true } => f.write_str("a map of strings or integers"),
            Self::Metadata => f.write_str("a map of strings or a list of metadata(#{…})"),
            Self::Orders => f.write_str("a list of order(…)"),
            Self::ProcessNames => f.write_str("a list of processes or their names"),
            Self::Object { kinds, .. } => {
                let names: Vec<String> = kinds
                    .iter()
                    .map(|kind| format!("{}(#{{…}})", kind.name()))
                    .collect();
                f.write_str(&names.join(" or "))
            }
        }
    }
}

impl fmt::Display for Default {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "\"{value}\""),
            Self::Empty => f.write_str("empty"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_are_whole() {
        let mut kinds = BTreeSet::new();
        let mut names = BTreeSet::new();
        for schema in OBJECTS {
            assert!(kinds.insert(schema.kind), "{:?} twice", schema.kind);
            for name in std::iter::once(&schema.name).chain(schema.aliases) {
                assert!(names.insert(*name), "{name} twice");
            }
            let fields: BTreeSet<_> = schema.fields.iter().map(|field| field.name).collect();
            assert_eq!(fields.len(), schema.fields.len(), "{}", schema.name);
            assert_eq!(schema.kind.schema().name, schema.name);
        }
        assert!(kinds.contains(&Kind::Process) && kinds.contains(&Kind::CoordinatorSlaPolicy));
        assert_eq!(kinds.len(), 32, "every kind has a table");
    }
}
