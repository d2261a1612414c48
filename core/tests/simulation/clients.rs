//! Clients that create, kill, restart, add and edit, and try again with the same request id until
//! they are answered. One call at a time for each job, so that what is wanted is known.

use std::collections::{BTreeMap, BTreeSet};

use aurora_core::call::{ApiError, Call, Reply};
use aurora_core::instances::InstanceSet;
use aurora_proto::v1;
use aurora_proto::v1::placement_constraint::Kind;

use crate::random::Random;

/// A job as its client sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) instances: BTreeSet<u32>,
    pub(crate) service: bool,
    pub(crate) created: bool,
}

/// A call that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Outstanding {
    pub(crate) job: String,
    pub(crate) call: Call,
    pub(crate) request_id: String,
    /// When it was sent last; it is sent again once that copy must have arrived or be lost, as
    /// a refusal is not remembered and two copies may be answered differently.
    pub(crate) sent: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) jobs: BTreeMap<String, Wanted>,
    pub(crate) outstanding: BTreeMap<u64, Outstanding>,
    pub(crate) next_call: u64,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    /// What was done, by request id; the answers must stay as they are.
    pub(crate) answered: Vec<(String, Call, Reply)>,
}

const JOBS: u64 = 6;

impl Clients {
    /// Makes a call about a job that has none outstanding.
    pub(crate) fn new_call(&mut self, random: &mut Random, now: i64) -> Option<u64> {
        let n = random.below(JOBS);
        let path = format!("role{}/prod/job{n}", n % 2);
        if self.outstanding.values().any(|other| other.job == path) {
            return None;
        }
        let wanted = self.jobs.entry(path.clone()).or_default().clone();
        let key = aurora_core::ids::parse_job_path(&path);
        let (id, request_id) = (self.next_call, format!("request{}", self.next_call));
        self.next_call += 1;
        let context = Some(v1::RequestContext {
            request_id: request_id.clone(),
            user: "sim".to_owned(),
            message: String::new(),
        });
        let some = pick_instances(random, &wanted.instances);
        let call = match random.below(11) {
            10 => Call::PruneTasks(v1::PruneTasksRequest {
                context,
                ..v1::PruneTasksRequest::default()
            }),
            0..=2 => Call::CreateJob(Box::new(v1::CreateJobRequest {
                context,
                config: Some(random_job(random, key.unwrap())),
            })),
            3 | 4 => Call::KillTasks(v1::KillTasksRequest {
                context,
                key,
                instances: if random.per_mille(500) {
                    some
                } else {
                    Vec::new()
                },
            }),
            5 | 6 => Call::RestartTasks(v1::RestartTasksRequest {
                context,
                key,
                instances: some,
            }),
            7 | 8 => Call::AddInstances(v1::AddInstancesRequest {
                context,
                key,
                template_instance: wanted.instances.first().copied().unwrap_or(0),
                count: u32::try_from(random.between(1, 2)).unwrap(),
            }),
            _ => Call::EditJob(v1::EditJobRequest {
                context,
                key,
                contact: Some(format!("contact{id}")),
                priority: None,
                metadata: None,
            }),
        };
        let outstanding = Outstanding {
            job: path,
            call,
            request_id,
            sent: now,
        };
        self.outstanding.insert(id, outstanding);
        Some(id)
    }

    /// Takes in an answer; true if it is the first to its call.
    pub(crate) fn answer(
        &mut self,
        id: u64,
        result: &Result<Reply, ApiError>,
    ) -> Result<(), String> {
        let Some(outstanding) = self.outstanding.remove(&id) else {
            return Ok(());
        };
        let wanted = self.jobs.entry(outstanding.job.clone()).or_default();
        match (&outstanding.call, result) {
            (Call::CreateJob(request), Ok(Reply::CreateJob(response))) => {
                wanted.instances = instances(&response.instances);
                wanted.service = request
                    .config
                    .as_ref()
                    .and_then(|config| config.task.as_ref())
                    .is_some_and(|task| task.service);
                wanted.created = true;
            }
            (Call::KillTasks(_), Ok(Reply::KillTasks(response))) => {
                let gone = instances(&response.instances);
                wanted.instances.retain(|instance| !gone.contains(instance));
            }
            (Call::AddInstances(_), Ok(Reply::AddInstances(response))) => {
                wanted.instances.extend(instances(&response.instances));
            }
            (Call::RestartTasks(_), Ok(Reply::RestartTasks(_)))
            | (Call::EditJob(_), Ok(Reply::EditJob(_)))
            | (Call::PruneTasks(_), Ok(Reply::PruneTasks(_))) => {}
            (_, Err(_)) => self.refused += 1,
            (call, Ok(reply)) => return Err(format!("{call:?} was answered by {reply:?}")),
        }
        if let Ok(reply) = result {
            self.acked += 1;
            let answer = (outstanding.request_id, outstanding.call, reply.clone());
            self.answered.push(answer);
        }
        Ok(())
    }
}

pub(crate) fn instances(ranges: &[v1::InstanceRange]) -> BTreeSet<u32> {
    InstanceSet::from_ranges(ranges).unwrap().iter().collect()
}

fn pick_instances(random: &mut Random, from: &BTreeSet<u32>) -> Vec<v1::InstanceRange> {
    let all: Vec<u32> = from.iter().copied().collect();
    let first = random.pick(&all).copied().unwrap_or(0);
    vec![v1::InstanceRange { first, last: first }]
}

/// Returns a small job of random shape.
pub(crate) fn random_job(random: &mut Random, key: v1::JobKey) -> v1::JobConfiguration {
    let mut constraints = Vec::new();
    let value = |negated, value: &str| {
        Kind::Value(v1::ValueConstraint {
            negated,
            values: vec![value.to_owned()],
        })
    };
    let mut demand = |attribute: &str, kind| {
        constraints.push(v1::PlacementConstraint {
            attribute: attribute.to_owned(),
            kind: Some(kind),
        });
    };
    match random.below(8) {
        0 => demand("host", Kind::Limit(v1::LimitConstraint { limit: 1 })),
        1 => demand("rack", Kind::Limit(v1::LimitConstraint { limit: 2 })),
        2 => demand("rack", value(true, "r1")),
        3 => demand("rack", value(false, "r0")),
        4 if key.role == "role0" => demand("dedicated", value(false, "role0/db")),
        _ => {}
    }
    let partition_policy = random.per_mille(500).then(|| v1::PartitionPolicy {
        reschedule: random.per_mille(700),
        delay_secs: u32::try_from(random.below(60)).unwrap(),
    });
    v1::JobConfiguration {
        key: Some(key),
        instances: u32::try_from(random.between(1, 5)).unwrap(),
        task: Some(v1::TaskConfig {
            name: "task".to_owned(),
            processes: vec![v1::Process {
                name: "main".to_owned(),
                cmdline: "true".to_owned(),
                ..v1::Process::default()
            }],
            resources: Some(v1::Resources {
                cpu: 0.1 * f64::from(u32::try_from(random.between(1, 8)).unwrap()),
                ram_bytes: 1 << 27,
                disk_bytes: 1 << 25,
                gpu: 0,
            }),
            service: random.per_mille(600),
            max_task_failures: 2,
            constraints,
            ports: (0..random.below(3)).map(|n| format!("port{n}")).collect(),
            partition_policy,
            ..v1::TaskConfig::default()
        }),
        ..v1::JobConfiguration::default()
    }
}
