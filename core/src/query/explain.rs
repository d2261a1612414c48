//! `ExplainPending`: why instances wait, counted over all hosts.

use std::collections::BTreeMap;

use aurora_proto::v1::{self, TaskState, VetoKind};

use crate::call::ApiError;
use crate::calls::instance_filter;
use crate::ids::ConfigIdx;
use crate::instances::InstanceSet;
use crate::penalty;
use crate::placement::HostVeto;
use crate::query::tasks::waits;
use crate::scheduler::Scheduler;
use crate::task::Task;
use crate::time::Timestamp;

/// How one reason rules out hosts.
#[derive(Default)]
struct Tally {
    hosts: u32,
    /// The least that is missing on any of them.
    nearest: f64,
}

impl Scheduler {
    /// Says for each group of waiting instances which vetoes apply on how many hosts.
    ///
    /// # Errors
    /// NOT_FOUND, or INVALID_ARGUMENT for ranges the wrong way round.
    pub fn explain_pending(
        &self,
        request: &v1::ExplainPendingRequest,
    ) -> Result<v1::ExplainPendingResponse, ApiError> {
        let idx = self.require_job(request.key.as_ref())?;
        let filter = instance_filter(&request.instances)?;
        let mut pending: BTreeMap<ConfigIdx, Vec<&Task>> = BTreeMap::new();
        let mut reasons = Vec::new();
        for (_, number) in self.active_tasks(idx, filter.as_ref()) {
            let Some(task) = self
                .state
                .tasks
                .get(&number)
                .filter(|task| waits(task.state))
            else {
                continue;
            };
            if task.state == TaskState::Throttled {
                reasons.push(self.explain_throttled(task));
            } else {
                pending.entry(task.config).or_default().push(task);
            }
        }
        for (config, tasks) in pending {
            reasons.push(self.explain_group((idx, config), &tasks));
        }
        let hosts_total = u32::try_from(self.state.agents.len()).unwrap_or(u32::MAX);
        Ok(v1::ExplainPendingResponse {
            reasons,
            hosts_total,
        })
    }

    fn explain_throttled(&self, task: &Task) -> v1::PendingReason {
        let ends = task.since() + penalty::delay(task.flaps, &self.settings);
        v1::PendingReason {
            instances: [task.instance]
                .into_iter()
                .collect::<InstanceSet>()
                .to_proto(),
            state: TaskState::Throttled.into(),
            next_attempt_ms: ends.0,
            pending_since_ms: task.since().0,
            vetoes: Vec::new(),
            hosts_fit: 0,
            summary: format!(
                "held back for {} s: it ended too soon {} times in a row",
                penalty::delay(task.flaps, &self.settings).as_secs(),
                task.flaps
            ),
        }
    }

    fn explain_group(&self, key: crate::groups::GroupKey, tasks: &[&Task]) -> v1::PendingReason {
        let request = self.request(key.1);
        let counts = self.attribute_counts(key);
        let mut tallies: BTreeMap<(i32, String), Tally> = BTreeMap::new();
        let mut hosts_fit = 0;
        for (_, agent) in &self.state.agents {
            let vetoes = match &agent.offered {
                Some(offered) => request.vetoes(agent, offered, &counts),
                None => {
                    let mut vetoes: Vec<_> = request.static_vetoes(agent).collect();
                    if vetoes.is_empty() {
                        vetoes.push(no_offer());
                    }
                    vetoes
                }
            };
            if vetoes.is_empty() {
                hosts_fit += 1;
            }
            for veto in vetoes {
                let tally = tallies.entry((veto.kind.into(), veto.subject)).or_default();
                tally.nearest = if tally.hosts == 0 {
                    veto.shortfall
                } else {
                    tally.nearest.min(veto.shortfall)
                };
                tally.hosts += 1;
            }
        }
        let waiting = self.groups.waiting_until(key);
        let vetoes: Vec<v1::Veto> = tallies.into_iter().map(veto_to_proto).collect();
        let since = tasks
            .iter()
            .map(|task| task.since())
            .min()
            .unwrap_or(Timestamp(0));
        v1::PendingReason {
            instances: tasks
                .iter()
                .map(|task| task.instance)
                .collect::<InstanceSet>()
                .to_proto(),
            state: TaskState::Pending.into(),
            next_attempt_ms: waiting.map_or(0, |until| until.0),
            pending_since_ms: since.0,
            summary: self.summary(hosts_fit, &vetoes),
            vetoes,
            hosts_fit,
        }
    }

    fn summary(&self, hosts_fit: u32, vetoes: &[v1::Veto]) -> String {
        if self.state.agents.is_empty() {
            return "no host has made an offer yet".to_owned();
        }
        if hosts_fit > 0 {
            return format!(
                "{hosts_fit} of {} hosts would take it; it is about to be placed",
                self.state.agents.len()
            );
        }
        vetoes
            .iter()
            .map(|veto| veto.detail.as_str())
            .collect::<Vec<_>>()
            .join("; ")
    }
}

fn no_offer() -> HostVeto {
    HostVeto {
        kind: VetoKind::NoOffer,
        subject: String::new(),
        shortfall: 0.0,
    }
}

fn veto_to_proto(((kind, subject), tally): ((i32, String), Tally)) -> v1::Veto {
    let hosts = tally.hosts;
    let (noun, lack) = if hosts == 1 {
        ("host", "lacks")
    } else {
        ("hosts", "lack")
    };
    let detail = match VetoKind::try_from(kind).unwrap_or_default() {
        VetoKind::InsufficientResources => {
            let short = amount(&subject, tally.nearest);
            if hosts == 1 {
                format!("{hosts} {noun} {lack} {short}")
            } else {
                format!("{hosts} {noun} {lack} {subject}; the nearest is {short} short")
            }
        }
        VetoKind::LimitNotSatisfied => {
            format!("{hosts} {noun} reached the job's limit for `{subject}`")
        }
        VetoKind::ConstraintMismatch => {
            format!("{hosts} {noun} ruled out by the constraint on `{subject}`")
        }
        VetoKind::DedicatedConstraintMismatch => {
            format!("{hosts} {noun} dedicated to other jobs")
        }
        VetoKind::Maintenance => format!("{hosts} {noun} under maintenance"),
        VetoKind::NoOffer => format!("{hosts} {noun} with nothing to offer at present"),
        VetoKind::Unspecified => format!("{hosts} {noun} ruled out"),
    };
    v1::Veto {
        kind,
        subject,
        hosts,
        detail,
    }
}

/// Returns an amount of a resource in the unit that people use for it.
fn amount(resource: &str, n: f64) -> String {
    const MB: f64 = 1024.0 * 1024.0;
    match resource {
        "ram" | "disk" => format!("{} MB of {resource}", (n / MB).ceil()),
        _ => format!("{n} {resource}"),
    }
}
