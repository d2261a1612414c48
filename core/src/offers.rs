//! The offers that stand, and the order in which hosts are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::{Agent, Offered};
use crate::cluster::{Effect, Offer, OfferId};
use crate::ids::AgentIdx;
use crate::resources::Resources;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Waiting groups looked at for one batch of offers at most.
const WAKE_SCAN: usize = 1_000;

/// Standing offers by id, and their agents by free cores.
#[derive(Debug, Default)]
pub(crate) struct OfferTable {
    held: BTreeMap<OfferId, Held>,
    /// The fullest host that fits comes first: bin packing.
    by_cpu: BTreeSet<(u64, AgentIdx)>,
    generation: u64,
}

#[derive(Debug)]
struct Held {
    agent: AgentIdx,
    resources: Resources,
    ports: Vec<RangeInclusive<u16>>,
}

impl OfferTable {
    /// Whether any offer stands.
    pub(crate) fn any(&self) -> bool {
        !self.by_cpu.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Returns the first agent after `after` in the order of free cores with at least so many.
    pub(crate) fn next_candidate(
        &self,
        cpu_millis: u64,
        after: Option<(u64, AgentIdx)>,
    ) -> Option<(u64, AgentIdx)> {
        use std::ops::Bound;
        let start = match after {
            Some(at) => Bound::Excluded(at),
            None => Bound::Included((cpu_millis, AgentIdx(0))),
        };
        self.by_cpu.range((start, Bound::Unbounded)).next().copied()
    }

    /// An agent's free cores have changed.
    pub(crate) fn reindex(&mut self, agent: AgentIdx, before: u64, after: u64) {
        self.by_cpu.remove(&(before, agent));
        self.by_cpu.insert((after, agent));
    }

    /// Takes all offers of an agent out; `cpu_millis` is what it had available.
    pub(crate) fn remove_agent(&mut self, agent: AgentIdx, offered: &Offered) {
        self.by_cpu.remove(&(offered.available.cpu_millis, agent));
        for offer in &offered.offers {
            self.held.remove(offer);
        }
    }

    fn clear(&mut self) {
        self.held.clear();
        self.by_cpu.clear();
    }
}

impl Scheduler {
    pub(crate) fn add_offers(&mut self, now: Timestamp, offers: Vec<Offer>) {
        let mut touched = BTreeSet::new();
        for offer in offers {
            self.counters.offers_received += 1;
            if self.offers.held.contains_key(&offer.id) {
                continue;
            }
            touched.insert(self.add_offer(now, offer));
        }
        self.wake_groups(&touched);
    }

    fn add_offer(&mut self, now: Timestamp, offer: Offer) -> AgentIdx {
        let agent = self.meet_agent(&offer);
        let held = Held {
            agent,
            resources: offer.resources,
            ports: offer.ports,
        };
        self.offers.held.insert(Arc::clone(&offer.id), held);
        let mut ids = self
            .state
            .agent(agent)
            .offered
            .as_ref()
            .map(|offered| offered.offers.clone())
            .unwrap_or_default();
        ids.push(offer.id);
        self.set_offered(agent, ids);
        if !self.settings.hold_offers_forever {
            let jitter = u64::try_from(self.settings.offer_hold_jitter.as_millis()).unwrap_or(0);
            let jitter = Duration::from_millis(self.random_below(jitter + 1));
            let generation = self.offers.generation;
            let at = now + self.settings.offer_hold + jitter;
            self.timers.set(at, Timer::OfferExpiry(agent, generation));
        }
        agent
    }

    fn meet_agent(&mut self, offer: &Offer) -> AgentIdx {
        let Some(idx) = self.state.agents_by_id.get(&offer.agent_id).copied() else {
            return self.state.insert_agent(Agent::new(
                Arc::clone(&offer.agent_id),
                Arc::clone(&offer.host),
                Arc::clone(&offer.attributes),
            ));
        };
        let agent = self.state.agent_mut(idx);
        if agent.host != offer.host || agent.attributes != offer.attributes {
            agent.host = Arc::clone(&offer.host);
            agent.attributes = Arc::clone(&offer.attributes);
            if agent.stored {
                self.state.dirty.agents.insert(Arc::clone(&offer.agent_id));
            }
        }
        idx
    }

    /// Makes these the agent's offers, from what is held of them.
    fn set_offered(&mut self, agent: AgentIdx, offers: Vec<OfferId>) {
        if let Some(before) = self.state.agent_mut(agent).offered.take() {
            self.offers
                .by_cpu
                .remove(&(before.available.cpu_millis, agent));
        }
        if offers.is_empty() {
            return;
        }
        self.offers.generation += 1;
        let mut offered = Offered {
            generation: self.offers.generation,
            ..Offered::default()
        };
        for held in offers.iter().filter_map(|id| self.offers.held.get(id)) {
            offered.available += held.resources;
            offered.ports.extend(held.ports.iter().cloned());
        }
        offered.ports.sort_by_key(|range| *range.start());
        offered.offers = offers;
        self.offers
            .by_cpu
            .insert((offered.available.cpu_millis, agent));
        self.state.agent_mut(agent).offered = Some(offered);
    }

    pub(crate) fn rescind_offer(&mut self, id: &OfferId) {
        let Some(held) = self.offers.held.remove(id) else {
            return;
        };
        self.counters.offers_rescinded += 1;
        let mut ids = self
            .state
            .agent(held.agent)
            .offered
            .as_ref()
            .map(|offered| offered.offers.clone())
            .unwrap_or_default();
        ids.retain(|other| other != id);
        self.set_offered(held.agent, ids);
    }

    /// Every offer is void.
    pub(crate) fn drop_offers(&mut self) {
        self.offers.clear();
        for (_, agent) in &mut self.state.agents {
            agent.offered = None;
        }
    }

    pub(crate) fn expire_offers(&mut self, agent: AgentIdx, generation: u64) {
        let Some(agent_ref) = self.state.agents.get_mut(agent.index()) else {
            return;
        };
        let expired = agent_ref
            .offered
            .take_if(|offered| offered.generation == generation);
        let Some(offered) = expired else { return };
        self.offers.remove_agent(agent, &offered);
        for offer in offered.offers {
            self.counters.offers_declined += 1;
            self.effects.push(Effect::Decline { offer });
        }
    }

    /// Wakes the groups, longest waiting first, that the new offers may have room for.
    fn wake_groups(&mut self, agents: &BTreeSet<AgentIdx>) {
        let mut room: Vec<(AgentIdx, Resources)> = agents
            .iter()
            .filter_map(|idx| Some((*idx, self.state.agent(*idx).offered.as_ref()?.available)))
            .collect();
        let mut woken = Vec::new();
        for key in self.groups.waiting().take(WAKE_SCAN) {
            let request = self.request(key.1);
            let found = room.iter_mut().find(|(idx, room)| {
                room.fits(&request.resources)
                    && request.meets_static_demands(self.state.agent(*idx))
            });
            if let Some((_, room)) = found {
                *room -= request.resources;
                woken.push(key);
            }
        }
        for key in woken {
            self.groups.wake(key);
        }
    }
}
