//! A task configuration with what placement needs of it worked out once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aurora_proto::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::ids::JobIdx;
use crate::resources::Resources;

/// SHA-256 of an encoded [`v1::TaskConfig`].
pub(crate) type ConfigDigest = [u8; 32];

/// What a group of tasks demands of a host: hosts refuse all groups of one shape alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    demands: [u8; 16],
    /// Present where the job's own tasks count, that is with limits.
    pub(crate) job: Option<JobIdx>,
}

/// One distinct configuration; shared by all tasks that run it.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) digest: ConfigDigest,
    pub(crate) proto: Arc<v1::TaskConfig>,
    /// Of the task alone.
    pub(crate) resources: Resources,
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) dedicated: bool,
    /// Has a limit among its constraints.
    pub(crate) limited: bool,
    demands: [u8; 16],
    /// Jobs and tasks that use it; it is deleted with the last of them.
    pub(crate) users: usize,
}

/// A demand on a host's attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Constraint {
    Value {
        attribute: String,
        negated: bool,
        values: BTreeSet<String>,
    },
    Limit {
        attribute: String,
        limit: u32,
    },
}

impl Config {
    pub(crate) fn new(proto: v1::TaskConfig) -> Self {
        let resources = proto
            .resources
            .as_ref()
            .map(Resources::from_proto)
            .unwrap_or_default();
        let mut constraints: Vec<_> = proto.constraints.iter().filter_map(constraint).collect();
        // Value constraints are cheaper and their vetoes say more, so they come first.
        constraints.sort_by_key(|constraint| matches!(constraint, Constraint::Limit { .. }));
        let dedicated = constraints.iter().any(
            |constraint| matches!(constraint, Constraint::Value { attribute, .. } if attribute == "dedicated"),
        );
        let limited = constraints
            .iter()
            .any(|constraint| matches!(constraint, Constraint::Limit { .. }));
        Self {
            digest: digest(&proto),
            demands: demands(&proto),
            limited,
            proto: Arc::new(proto),
            resources,
            constraints,
            dedicated,
            users: 0,
        }
    }

    /// What tasks of the job with this configuration demand of a host.
    pub(crate) fn shape(&self, job: JobIdx) -> Shape {
        Shape {
            demands: self.demands,
            job: self.limited.then_some(job),
        }
    }

    /// How long to wait for an unreachable agent; absent: for ever.
    pub(crate) fn partition_wait(&self) -> Option<Duration> {
        match &self.proto.partition_policy {
            None => Some(Duration::ZERO),
            Some(policy) => policy
                .reschedule
                .then(|| Duration::from_secs(u64::from(policy.delay_secs))),
        }
    }

    /// Whether an instance with so many failures, the present one not counted, is tried again.
    pub(crate) fn may_fail_again(&self, failures: u32) -> bool {
        let max = self.proto.max_task_failures;
        self.proto.service || max == -1 || i64::from(failures) + 1 < i64::from(max)
    }
}

/// Returns the digest that names a configuration.
fn digest(proto: &v1::TaskConfig) -> ConfigDigest {
    Sha256::digest(proto.encode_to_vec()).into()
}

/// Returns the digest of what a host looks at.
fn demands(proto: &v1::TaskConfig) -> [u8; 16] {
    let demands = v1::TaskConfig {
        resources: proto.resources,
        constraints: proto.constraints.clone(),
        max_concurrency: u32::try_from(proto.ports.len()).unwrap_or(u32::MAX),
        ..v1::TaskConfig::default()
    };
    let full = digest(&demands);
    let mut short = [0; 16];
    short.copy_from_slice(full.split_at(16).0);
    short
}

fn constraint(proto: &v1::PlacementConstraint) -> Option<Constraint> {
    let attribute = proto.attribute.clone();
    Some(match proto.kind.as_ref()? {
        v1::placement_constraint::Kind::Value(value) => Constraint::Value {
            attribute,
            negated: value.negated,
            values: value.values.iter().cloned().collect(),
        },
        v1::placement_constraint::Kind::Limit(limit) => Constraint::Limit {
            attribute,
            limit: limit.limit,
        },
    })
}
