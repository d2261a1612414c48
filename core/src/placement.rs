//! Whether a host may take a task, and if not, why.

use std::collections::BTreeMap;

use aurora_proto::v1::VetoKind;

use crate::agent::{Agent, Offered};
use crate::config::{Config, Constraint};
use crate::ports;
use crate::resources::{Resources, millis_to_cores};

/// Active instances of one job by attribute and value of their hosts.
pub(crate) type AttributeCounts = BTreeMap<String, BTreeMap<String, u32>>;

/// One reason why a host may not take a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HostVeto {
    pub(crate) kind: VetoKind,
    /// The resource or attribute.
    pub(crate) subject: String,
    /// How much is missing, in the subject's own unit; for the nearest fit.
    pub(crate) shortfall: f64,
}

/// What a task asks of a host.
pub(crate) struct Request<'a> {
    pub(crate) config: &'a Config,
    /// With the executor's share.
    pub(crate) resources: Resources,
}

impl Request<'_> {
    /// Whether the host may take the task now: the fast form of [`Self::vetoes`].
    pub(crate) fn fits(&self, agent: &Agent, offered: &Offered, counts: &AttributeCounts) -> bool {
        offered.available.fits(&self.resources)
            && ports::count(&offered.ports) >= self.config.proto.ports.len()
            && self.meets_static_demands(agent)
            && self
                .config
                .constraints
                .iter()
                .all(|constraint| within_limit(constraint, agent, counts))
    }

    /// Whether the host's attributes allow the task at all.
    pub(crate) fn meets_static_demands(&self, agent: &Agent) -> bool {
        !self.is_kept_out(agent)
            && self
                .config
                .constraints
                .iter()
                .all(|constraint| is_met(constraint, agent))
    }

    /// The host is dedicated, and the task did not ask for that.
    fn is_kept_out(&self, agent: &Agent) -> bool {
        !self.config.dedicated && agent.attributes.contains_key("dedicated")
    }

    /// Every reason against a host that offers something.
    pub(crate) fn vetoes(
        &self,
        agent: &Agent,
        offered: &Offered,
        counts: &AttributeCounts,
    ) -> Vec<HostVeto> {
        self.static_vetoes(agent)
            .chain(self.limit_vetoes(agent, counts))
            .chain(self.resource_vetoes(offered))
            .collect()
    }

    pub(crate) fn static_vetoes<'a>(
        &'a self,
        agent: &'a Agent,
    ) -> impl Iterator<Item = HostVeto> + 'a {
        let dedicated = self.is_kept_out(agent).then(|| HostVeto {
            kind: VetoKind::DedicatedConstraintMismatch,
            subject: "dedicated".to_owned(),
            shortfall: 0.0,
        });
        let unmet = self
            .config
            .constraints
            .iter()
            .filter(|constraint| !is_met(constraint, agent))
            .map(|constraint| veto(VetoKind::ConstraintMismatch, constraint));
        dedicated.into_iter().chain(unmet)
    }

    fn limit_vetoes<'a>(
        &'a self,
        agent: &'a Agent,
        counts: &'a AttributeCounts,
    ) -> impl Iterator<Item = HostVeto> + 'a {
        self.config
            .constraints
            .iter()
            .filter(|constraint| !within_limit(constraint, agent, counts))
            .map(|constraint| veto(VetoKind::LimitNotSatisfied, constraint))
    }

    fn resource_vetoes(&self, offered: &Offered) -> impl Iterator<Item = HostVeto> {
        let missing = self.resources.saturating_sub(&offered.available);
        let asked_ports = self.config.proto.ports.len();
        let missing_ports = asked_ports.saturating_sub(ports::count(&offered.ports));
        [
            ("cpu", millis_to_cores(missing.cpu_millis)),
            ("ram", bytes(missing.ram)),
            ("disk", bytes(missing.disk)),
            ("gpu", bytes(missing.gpu)),
            ("ports", bytes(missing_ports as u64)),
        ]
        .into_iter()
        .filter(|(_, missing)| *missing > 0.0)
        .map(|(resource, shortfall)| HostVeto {
            kind: VetoKind::InsufficientResources,
            subject: resource.to_owned(),
            shortfall,
        })
    }
}

/// Whether the host's attributes are as the constraint wants them; a limit only wants the
/// attribute to be there.
fn is_met(constraint: &Constraint, agent: &Agent) -> bool {
    match constraint {
        Constraint::Value {
            attribute,
            negated,
            values,
        } => {
            let present = agent
                .attributes
                .get(attribute)
                .is_some_and(|of_host| !of_host.is_disjoint(values));
            present != *negated
        }
        Constraint::Limit { attribute, .. } => agent.attributes.contains_key(attribute),
    }
}

/// Whether one more of the job's instances may run on hosts like this one.
fn within_limit(constraint: &Constraint, agent: &Agent, counts: &AttributeCounts) -> bool {
    let Constraint::Limit { attribute, limit } = constraint else {
        return true;
    };
    let (Some(values), Some(counts)) = (agent.attributes.get(attribute), counts.get(attribute))
    else {
        return true;
    };
    values
        .iter()
        .all(|value| counts.get(value).is_none_or(|n| n < limit))
}

fn veto(kind: VetoKind, constraint: &Constraint) -> HostVeto {
    let (Constraint::Value { attribute, .. } | Constraint::Limit { attribute, .. }) = constraint;
    HostVeto {
        kind,
        subject: attribute.clone(),
        shortfall: 0.0,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "only for a rounded figure that people read"
)]
fn bytes(n: u64) -> f64 {
    n as f64
}

/// Whether a task has come to a host or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Came,
    Left,
}

/// Follows a task's coming or leaving in the counts that limits look at.
pub(crate) fn count_attributes(
    counts: &mut AttributeCounts,
    constraints: &[Constraint],
    agent: &Agent,
    change: Change,
) {
    for (i, constraint) in constraints.iter().enumerate() {
        let Constraint::Limit { attribute, .. } = constraint else {
            continue;
        };
        // Two limits on one attribute are two demands on the same count.
        let counted = constraints.iter().take(i).any(
            |other| matches!(other, Constraint::Limit { attribute: of, .. } if of == attribute),
        );
        if counted {
            continue;
        }
        for value in agent.attributes.get(attribute).into_iter().flatten() {
            let n = counts.get_mut(attribute).and_then(|of| of.get_mut(value));
            match (n, change) {
                (Some(n), Change::Came) => *n += 1,
                (Some(n), Change::Left) if *n > 1 => *n -= 1,
                (Some(_), Change::Left) => {
                    if let Some(of_attribute) = counts.get_mut(attribute) {
                        of_attribute.remove(value);
                    }
                }
                (None, Change::Came) => {
                    let of_attribute = counts.entry(attribute.clone()).or_default();
                    of_attribute.insert(value.clone(), 1);
                }
                (None, Change::Left) => {}
            }
        }
    }
}
