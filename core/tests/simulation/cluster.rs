//! A simulated cluster: a master that offers, agents that run processes, statuses that are sent
//! again until they are acknowledged. It tells the truth, late and sometimes more than once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use aurora_core::cluster::{
    AgentId, Attributes, Launch, Offer, OfferId, ReportedState, StatusUpdate,
};
use aurora_core::resources::Resources;
use aurora_proto::v1;

use crate::random::Random;

/// A process on an agent.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) job: String,
    pub(crate) instance: u32,
    pub(crate) resources: Resources,
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) state: ReportedState,
    /// Statuses that the scheduler has not acknowledged, oldest first.
    pub(crate) unacknowledged: VecDeque<(u64, ReportedState)>,
}

impl Process {
    pub(crate) fn lives(&self) -> bool {
        matches!(self.state, ReportedState::Starting | ReportedState::Running)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SimAgent {
    pub(crate) id: AgentId,
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) total: Resources,
    /// What runs or has run here, by task id, until its end is acknowledged.
    pub(crate) processes: BTreeMap<String, Process>,
    /// Launches that the master has sent and that have not arrived.
    pub(crate) on_the_way: BTreeMap<String, (Resources, BTreeSet<u16>)>,
    pub(crate) reachable: bool,
    pub(crate) gone: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SimOffer {
    pub(crate) agent: usize,
    pub(crate) resources: Resources,
    pub(crate) ports: BTreeSet<u16>,
    pub(crate) made: i64,
}

/// The master and its agents.
#[derive(Debug, Default)]
pub(crate) struct SimCluster {
    pub(crate) agents: Vec<SimAgent>,
    pub(crate) offers: BTreeMap<OfferId, SimOffer>,
    /// Offers that the scheduler has used or given back.
    pub(crate) spent: BTreeSet<OfferId>,
    pub(crate) next_offer: u64,
    pub(crate) next_agent: u64,
    pub(crate) next_token: u64,
}

pub(crate) const FIRST_PORT: u16 = 31_000;
const PORTS: u16 = 12;

impl SimCluster {
    pub(crate) fn add_agent(&mut self, random: &mut Random) {
        let n = self.next_agent;
        self.next_agent += 1;
        let host = format!("host{n}");
        let mut attributes = Attributes::new();
        attributes.insert("host".to_owned(), BTreeSet::from([host]));
        if random.per_mille(800) {
            let rack = format!("r{}", random.below(3));
            attributes.insert("rack".to_owned(), BTreeSet::from([rack]));
        }
        if random.per_mille(100) {
            let dedicated = BTreeSet::from(["role0/db".to_owned()]);
            attributes.insert("dedicated".to_owned(), dedicated);
        }
        self.agents.push(SimAgent {
            id: format!("agent{n}").into(),
            attributes: Arc::new(attributes),
            total: Resources {
                cpu_millis: random.between(2_000, 8_000),
                ram: random.between(1, 8) << 30,
                disk: 100 << 30,
                gpu: 0,
            },
            processes: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            reachable: true,
            gone: false,
        });
    }

    pub(crate) fn agent_index(&self, id: &AgentId) -> Option<usize> {
        self.agents.iter().position(|agent| agent.id == *id)
    }

    pub(crate) fn find_process(&self, task_id: &str) -> Option<(usize, &Process)> {
        self.agents.iter().enumerate().find_map(|(i, agent)| {
            let process = agent.processes.get(task_id)?;
            Some((i, process))
        })
    }

    /// What the agent has that nothing uses and no offer holds.
    pub(crate) fn free(&self, at: usize) -> (Resources, BTreeSet<u16>) {
        let agent = &self.agents[at];
        let mut left = agent.total;
        let mut ports: BTreeSet<u16> = (FIRST_PORT..FIRST_PORT + PORTS).collect();
        let running = agent.processes.values().filter(|process| process.lives());
        for process in running {
            left -= process.resources;
            ports.retain(|port| !process.ports.contains(port));
        }
        for (resources, taken) in agent.on_the_way.values() {
            left -= *resources;
            ports.retain(|port| !taken.contains(port));
        }
        for offer in self.offers.values().filter(|offer| offer.agent == at) {
            left -= offer.resources;
            ports.retain(|port| !offer.ports.contains(port));
        }
        (left, ports)
    }

    /// Offers what is free on every agent, sometimes in two parts.
    pub(crate) fn make_offers(&mut self, random: &mut Random, now: i64) -> Vec<Offer> {
        let mut made = Vec::new();
        for at in 0..self.agents.len() {
            let agent = &self.agents[at];
            if agent.gone || !agent.reachable {
                continue;
            }
            let (free, ports) = self.free(at);
            if free.cpu_millis < 100 || free.ram < 64 << 20 || random.per_mille(100) {
                continue;
            }
            if random.per_mille(150) {
                let half = Resources {
                    cpu_millis: free.cpu_millis / 2,
                    ram: free.ram / 2,
                    disk: free.disk / 2,
                    gpu: 0,
                };
                let middle = FIRST_PORT + PORTS / 2;
                let (low, high) = ports.into_iter().partition(|port| *port < middle);
                made.push(self.offer(at, half, low, now));
                made.push(self.offer(at, free - half, high, now));
            } else {
                made.push(self.offer(at, free, ports, now));
            }
        }
        made
    }

    fn offer(&mut self, at: usize, resources: Resources, ports: BTreeSet<u16>, made: i64) -> Offer {
        let id: OfferId = format!("offer{}", self.next_offer).into();
        self.next_offer += 1;
        let agent = &self.agents[at];
        let offer = Offer {
            id: Arc::clone(&id),
            agent_id: Arc::clone(&agent.id),
            host: agent.id.replace("agent", "host").into(),
            attributes: Arc::clone(&agent.attributes),
            resources,
            ports: ports.iter().map(|port| *port..=*port).collect(),
        };
        let held = SimOffer {
            agent: at,
            resources,
            ports,
            made,
        };
        self.offers.insert(id, held);
        offer
    }

    /// Starts the process of a launch that has arrived.
    pub(crate) fn start(&mut self, at: usize, launch: &Launch) {
        let agent = &mut self.agents[at];
        agent.on_the_way.remove(&launch.task_id);
        let mut process = Process {
            job: aurora_core::ids::job_path(&launch.job),
            instance: launch.instance,
            resources: launch.resources,
            ports: launch.ports.iter().map(|(_, port)| *port).collect(),
            state: ReportedState::Starting,
            unacknowledged: VecDeque::new(),
        };
        let token = self.next_token;
        self.next_token += 1;
        process
            .unacknowledged
            .push_back((token, ReportedState::Starting));
        agent.processes.insert(launch.task_id.clone(), process);
    }

    /// A process comes into a state. Returns whether it lived until then.
    pub(crate) fn set_state(&mut self, at: usize, task_id: &str, state: ReportedState) -> bool {
        let token = self.next_token;
        let Some(process) = self.agents[at].processes.get_mut(task_id) else {
            return false;
        };
        if !process.lives() || process.state == state {
            return false;
        }
        self.next_token += 1;
        process.state = state;
        process.unacknowledged.push_back((token, state));
        true
    }

    pub(crate) fn acknowledge(&mut self, at: usize, task_id: &str, token: u64) {
        let agent = &mut self.agents[at];
        let Some(process) = agent.processes.get_mut(task_id) else {
            return;
        };
        if process.unacknowledged.front().map(|(token, _)| *token) == Some(token) {
            process.unacknowledged.pop_front();
        }
        if process.unacknowledged.is_empty() && !process.lives() {
            agent.processes.remove(task_id);
        }
    }

    /// The oldest status of each task that has not been acknowledged.
    pub(crate) fn to_resend(&self, at: usize) -> Vec<StatusUpdate> {
        let agent = &self.agents[at];
        if !agent.reachable || agent.gone {
            return Vec::new();
        }
        let oldest = agent.processes.iter().filter_map(|(task_id, process)| {
            let (token, state) = process.unacknowledged.front()?;
            Some(StatusUpdate {
                task_id: task_id.clone(),
                state: *state,
                agent_id: Some(Arc::clone(&agent.id)),
                message: String::new(),
                token: token.to_be_bytes().to_vec(),
            })
        });
        oldest.collect()
    }

    /// What the master says about one task, if it is asked.
    pub(crate) fn latest(&self, task_id: &str, agent: Option<&AgentId>) -> StatusUpdate {
        let at = agent
            .and_then(|id| self.agent_index(id))
            .filter(|at| !self.agents[*at].gone);
        let state = match at.map(|at| &self.agents[at]) {
            None => ReportedState::Lost,
            Some(agent) if !agent.reachable => ReportedState::Unreachable,
            Some(agent) => match agent.processes.get(task_id) {
                // The master knows only what the agent has been able to report.
                Some(process) => process
                    .unacknowledged
                    .front()
                    .map_or(process.state, |(_, state)| *state),
                None if agent.on_the_way.contains_key(task_id) => ReportedState::Starting,
                None => ReportedState::Lost,
            },
        };
        StatusUpdate {
            task_id: task_id.to_owned(),
            state,
            agent_id: agent.cloned(),
            message: "reconciliation".to_owned(),
            token: Vec::new(),
        }
    }

    /// Every live process, with its agent.
    pub(crate) fn live(&self) -> impl Iterator<Item = (&SimAgent, &String, &Process)> {
        self.agents.iter().flat_map(|agent| {
            let live = agent.processes.iter().filter(|(_, p)| p.lives());
            live.map(move |(id, process)| (agent, id, process))
        })
    }
}

/// An independent reading of a task's demands on a host's attributes. `others` are the hosts of
/// the job's other placed instances.
pub(crate) fn attributes_allow(
    config: &v1::TaskConfig,
    host: &Attributes,
    others: &[Arc<Attributes>],
) -> bool {
    use v1::placement_constraint::Kind;
    let wants_dedicated = config
        .constraints
        .iter()
        .any(|c| c.attribute == "dedicated");
    if host.contains_key("dedicated") && !wants_dedicated {
        return false;
    }
    config.constraints.iter().all(|constraint| {
        let mine = host.get(&constraint.attribute);
        match constraint.kind.as_ref().unwrap() {
            Kind::Value(value) => {
                let found = mine.is_some_and(|of| value.values.iter().any(|v| of.contains(v)));
                found != value.negated
            }
            Kind::Limit(limit) => mine.is_some_and(|of| {
                of.iter().all(|v| {
                    let same = |a: &&Arc<Attributes>| {
                        a.get(&constraint.attribute)
                            .is_some_and(|of| of.contains(v))
                    };
                    others.iter().filter(same).count() < limit.limit as usize
                })
            }),
        }
    })
}
