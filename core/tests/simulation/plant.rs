//! Bugs put in on purpose between the core and its world, to show that the checks can fail.

use std::sync::Arc;

use aurora_core::Input;
use aurora_core::cluster::{ClusterEvent, Effect};

use crate::ledger::{Ledger, is_terminal};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    EffectsBeforeCommit,
    RepliesBeforeCommit,
    SplitBatch,
    DropAcknowledgements,
    DropTerminal,
    ForgetTimers,
    UseRescinded,
    SamePort,
    DropStrayKills,
    DropKills,
    KeepOffers,
    OverCommit,
}

impl Plant {
    pub(crate) const ALL: [Self; 12] = [
        Self::EffectsBeforeCommit,
        Self::RepliesBeforeCommit,
        Self::SplitBatch,
        Self::DropAcknowledgements,
        Self::DropTerminal,
        Self::ForgetTimers,
        Self::UseRescinded,
        Self::SamePort,
        Self::DropStrayKills,
        Self::DropKills,
        Self::KeepOffers,
        Self::OverCommit,
    ];

    /// What the bug makes of the inputs of a step.
    pub(crate) fn inputs(plant: Option<Self>, mut inputs: Vec<Input>) -> Vec<Input> {
        if plant == Some(Self::UseRescinded) {
            inputs.retain(|input| !matches!(input, Input::Cluster(ClusterEvent::Rescinded(_))));
        }
        inputs
    }

    /// What the bug makes of an effect.
    pub(crate) fn effect(
        plant: Option<Self>,
        mut effect: Effect,
        ledger: &Ledger,
    ) -> Option<Effect> {
        let Some(plant) = plant else {
            return Some(effect);
        };
        match (plant, &mut effect) {
            (Self::DropAcknowledgements, Effect::Acknowledge { .. })
            | (Self::KeepOffers, Effect::Decline { .. })
            | (Self::DropKills, Effect::Kill { .. }) => return None,
            (Self::DropStrayKills, Effect::Kill { task_id, .. }) => {
                let stray = ledger.by_id(task_id).is_none_or(|t| is_terminal(t.state()));
                return (!stray).then_some(effect);
            }
            (Self::SamePort, Effect::Accept { launches, .. }) => {
                for launch in launches {
                    for (_, port) in &mut launch.ports {
                        *port = crate::cluster::FIRST_PORT;
                    }
                }
            }
            (Self::OverCommit, Effect::Accept { launches, .. }) => {
                if let Some(twice) = launches.first_mut() {
                    twice.resources = twice.resources + twice.resources;
                    twice.config = Arc::clone(&twice.config);
                }
            }
            _ => {}
        }
        Some(effect)
    }
}
