//! What the core and a cluster say to each other. Embedded and Mesos differ below this line only.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use aurora_proto::v1;

use crate::resources::Resources;

/// Names an offer for as long as it stands.
pub type OfferId = Arc<str>;
/// Names an agent for as long as it lives.
pub type AgentId = Arc<str>;
/// Attribute names to their values.
pub type Attributes = BTreeMap<String, BTreeSet<String>>;

/// Resources of one agent that may be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Names the offer.
    pub id: OfferId,
    /// Names the agent.
    pub agent_id: AgentId,
    /// The agent's host name, as tasks see it.
    pub host: Arc<str>,
    /// The agent's attributes; `host` and `rack` among them where the operator declares them.
    pub attributes: Arc<Attributes>,
    /// The scalar resources offered.
    pub resources: Resources,
    /// Free ports, as disjoint ranges.
    pub ports: Vec<RangeInclusive<u16>>,
}

/// What a cluster says a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportedState {
    /// The executor has it.
    Starting,
    /// Its processes run.
    Running,
    /// Ended by itself with success.
    Finished,
    /// Ended by itself with failure.
    Failed,
    /// Ended because of a kill.
    Killed,
    /// Gone, never to come back.
    Lost,
    /// Its agent cannot be reached.
    Unreachable,
}

/// A cluster's word on one task, delivered at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The task, which may be one that the core does not know.
    pub task_id: String,
    /// What it is doing.
    pub state: ReportedState,
    /// Where it is or was.
    pub agent_id: Option<AgentId>,
    /// In words, for users.
    pub message: String,
    /// Handed back in [`Effect::Acknowledge`] once the update is durable; empty where the
    /// cluster wants no acknowledgement.
    pub token: Vec<u8>,
}

/// What a cluster tells the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterEvent {
    /// The cluster is there (again). Every offer from before is void, and what its tasks do has
    /// to be asked for.
    Connected,
    /// Nothing reaches the cluster until the next `Connected`. Every offer is void.
    Disconnected,
    /// New offers.
    Offers(Vec<Offer>),
    /// The offer is void, whether the core has seen it yet or not.
    Rescinded(OfferId),
    /// A task's state.
    Status(StatusUpdate),
    /// The agent will not come back; its tasks are gone.
    AgentGone(AgentId),
}

/// One task to be launched.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The task's id.
    pub task_id: String,
    /// The job it belongs to.
    pub job: v1::JobKey,
    /// The instance that it is an attempt at.
    pub instance: u32,
    /// Assigned ports by name.
    pub ports: Vec<(String, u16)>,
    /// What it runs.
    pub config: Arc<v1::TaskConfig>,
    /// SHA-256 of `config`, for caches.
    pub config_digest: [u8; 32],
    /// What it takes of the offers.
    pub resources: Resources,
}

/// A wish of the core; carried out only once everything it rests on is durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Launches tasks on one agent; what is left of the offers goes back.
    Accept {
        /// Where.
        agent_id: AgentId,
        /// All of the agent's offers that are used.
        offers: Vec<OfferId>,
        /// At least one.
        launches: Vec<Launch>,
    },
    /// Gives an offer back.
    Decline {
        /// The offer.
        offer: OfferId,
    },
    /// Ends a task, if it is there.
    Kill {
        /// The task.
        task_id: String,
        /// Where it should be.
        agent_id: Option<AgentId>,
        /// How long it may take over ending; absent: as its configuration says.
        grace: Option<Duration>,
    },
    /// The update with this token is durable; the cluster may forget it.
    Acknowledge {
        /// The task.
        task_id: String,
        /// Where the update came from.
        agent_id: Option<AgentId>,
        /// From [`StatusUpdate::token`].
        token: Vec<u8>,
    },
    /// Asks what these tasks are doing; a status comes for each of them.
    Reconcile {
        /// Task id and, if known, agent. Empty: every task that the cluster knows.
        tasks: Vec<(String, Option<AgentId>)>,
    },
}
