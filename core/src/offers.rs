//! The offers that stand, and the order in which hosts are tried.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::{Agent, Offered};
use crate::cluster::{Effect, Offer, OfferId};
use crate::config::Shape;
use crate::groups::GroupKey;
use crate::ids::{AgentIdx, JobIdx};
use crate::ports;
use crate::resources::Resources;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Looks at a host for a waiting shape at most, for one batch of offers. Shapes beyond it are
/// woken unseen: a turn too many is better than a wait too long.
const WAKE_LOOKS: usize = 100_000;
/// Rescinds remembered of offers that were not there; they may have overtaken their offer.
const EARLY_RESCINDS: usize = 1_000;

/// Standing offers by id, and their agents by free cores.
#[derive(Debug, Default)]
pub(crate) struct OfferTable {
    held: BTreeMap<OfferId, Held>,
    /// The fullest host that fits comes first: bin packing.
    by_cpu: BTreeSet<(u64, AgentIdx)>,
    /// Shapes that no host here would take; nothing but a new offer changes that.
    refused: BTreeSet<Shape>,
    rescinded_early: BTreeSet<OfferId>,
    /// The same, the oldest first.
    rescind_order: VecDeque<OfferId>,
}

#[derive(Debug)]
struct Held {
    agent: AgentIdx,
    resources: Resources,
    ports: Vec<RangeInclusive<u16>>,
    /// Absent: it may be held for ever.
    expires: Option<Timestamp>,
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
        if before != after {
            self.by_cpu.remove(&(before, agent));
            self.by_cpu.insert((after, agent));
        }
    }

    /// Takes all offers of an agent out; `cpu_millis` is what it had available.
    pub(crate) fn remove_agent(&mut self, agent: AgentIdx, offered: &Offered) {
        self.by_cpu.remove(&(offered.available.cpu_millis, agent));
        for offer in &offered.offers {
            self.held.remove(offer);
        }
    }

    /// Whether it is known that no host here would take the shape.
    pub(crate) fn refuses(&self, shape: Shape) -> bool {
        self.refused.contains(&shape)
    }

    /// Every host was asked, and none would take the shape.
    pub(crate) fn note_refusal(&mut self, shape: Shape) {
        // With a limit in it, the end of one of the job's own tasks may change the answer.
        if shape.job.is_none() {
            self.refused.insert(shape);
        }
    }

    fn clear(&mut self) {
        self.held.clear();
        self.by_cpu.clear();
        self.refused.clear();
        self.rescinded_early.clear();
        self.rescind_order.clear();
    }

    fn note_early_rescind(&mut self, id: &OfferId) {
        if self.rescinded_early.insert(Arc::clone(id)) {
            self.rescind_order.push_back(Arc::clone(id));
        }
        if self.rescind_order.len() > EARLY_RESCINDS
            && let Some(oldest) = self.rescind_order.pop_front()
        {
            self.rescinded_early.remove(&oldest);
        }
    }
}

impl Scheduler {
    pub(crate) fn add_offers(&mut self, now: Timestamp, offers: Vec<Offer>) {
        // An offer that comes late from before a disconnect is void.
        if !self.connected {
            return;
        }
        let mut touched = BTreeSet::new();
        for offer in offers {
            self.counters.offers_received += 1;
            let rescinded = self.offers.rescinded_early.contains(&offer.id);
            if rescinded || self.offers.held.contains_key(&offer.id) {
                continue;
            }
            touched.insert(self.add_offer(now, offer));
        }
        if !touched.is_empty() {
            self.offers.refused.clear();
            self.wake_groups(&touched);
        }
    }

    fn add_offer(&mut self, now: Timestamp, offer: Offer) -> AgentIdx {
        let agent = self.meet_agent(now, &offer);
        let jitter = u64::try_from(self.settings.offer_hold_jitter.as_millis()).unwrap_or(0);
        let jitter = Duration::from_millis(self.random_below(jitter.saturating_add(1)));
        let hold = self.settings.offer_hold.saturating_add(jitter);
        let held = Held {
            agent,
            resources: offer.resources,
            ports: offer.ports,
            expires: (!self.settings.hold_offers_forever).then(|| now + hold),
        };
        self.offers.held.insert(Arc::clone(&offer.id), held);
        let mut ids = self.offer_ids(agent);
        ids.push(offer.id);
        self.set_offered(agent, ids);
        self.watch_expiry(agent);
        agent
    }

    fn offer_ids(&self, agent: AgentIdx) -> Vec<OfferId> {
        let offered = self.state.agent(agent).offered.as_ref();
        offered
            .map(|offered| offered.offers.clone())
            .unwrap_or_default()
    }

    /// Sets the timer for the agent's offers, unless a sooner one is set.
    fn watch_expiry(&mut self, idx: AgentIdx) {
        let agent = self.state.agent_mut(idx);
        let Some(expires) = agent.offered.as_ref().and_then(|offered| offered.expires) else {
            return;
        };
        if agent.expiry_timer.is_none_or(|timer| timer > expires) {
            agent.expiry_timer = Some(expires);
            self.timers.set(expires, Timer::OfferExpiry(idx));
        }
    }

    fn meet_agent(&mut self, now: Timestamp, offer: &Offer) -> AgentIdx {
        let known = self.state.agents_by_id.get(&offer.agent_id).copied();
        let idx = known.unwrap_or_else(|| {
            self.state.insert_agent(Agent::new(
                Arc::clone(&offer.agent_id),
                Arc::clone(&offer.host),
                Arc::clone(&offer.attributes),
            ))
        });
        let agent = self.state.agent_mut(idx);
        agent.seen = now;
        agent.gone = false;
        if agent.host != offer.host || agent.attributes != offer.attributes {
            agent.host = Arc::clone(&offer.host);
            agent.attributes = Arc::clone(&offer.attributes);
            self.groups.forget_counts();
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
        let mut offered = Offered::default();
        for held in offers.iter().filter_map(|id| self.offers.held.get(id)) {
            offered.available += held.resources;
            offered.ports.extend(held.ports.iter().cloned());
            offered.expires = match (offered.expires, held.expires) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        offered.ports = ports::normalise(offered.ports);
        offered.offers = offers;
        self.offers
            .by_cpu
            .insert((offered.available.cpu_millis, agent));
        self.state.agent_mut(agent).offered = Some(offered);
    }

    pub(crate) fn rescind_offer(&mut self, id: &OfferId) {
        let Some(held) = self.offers.held.remove(id) else {
            self.offers.note_early_rescind(id);
            return;
        };
        self.counters.offers_rescinded += 1;
        let mut ids = self.offer_ids(held.agent);
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

    /// Gives back the agent's offers, together, if the oldest of them is due.
    pub(crate) fn expire_offers(&mut self, now: Timestamp, idx: AgentIdx) {
        let Some(agent) = self.state.agents.get_mut(idx.index()) else {
            return;
        };
        if agent.expiry_timer.is_some_and(|timer| timer <= now) {
            agent.expiry_timer = None;
        }
        let due = |offered: &mut Offered| offered.expires.is_some_and(|expires| expires <= now);
        let Some(offered) = agent.offered.take_if(due) else {
            self.watch_expiry(idx);
            return;
        };
        self.offers.remove_agent(idx, &offered);
        for offer in offered.offers {
            self.counters.offers_declined += 1;
            self.effects.push(Effect::Decline { offer });
        }
    }

    /// Wakes the groups, longest waiting first, that the new offers may have room for.
    fn wake_groups(&mut self, agents: &BTreeSet<AgentIdx>) {
        let mut looks = WAKE_LOOKS;
        let mut woken: Vec<(u64, GroupKey)> = Vec::new();
        for alike in self.groups.waiting().values() {
            let Some((_, (_, config))) = alike.first_key_value() else {
                continue;
            };
            let request = self.request(*config);
            let mut room = 0;
            for idx in agents {
                if looks == 0 || room >= alike.len() as u64 {
                    break;
                }
                looks -= 1;
                let agent = self.state.agent(*idx);
                if let Some(offered) = &agent.offered
                    && offered.available.fits(&request.resources)
                    && request.meets_static_demands(agent)
                {
                    room += offered.available.times(&request.resources);
                }
            }
            let room = if looks == 0 { u64::MAX } else { room };
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            woken.extend(alike.iter().take(room).map(|(place, key)| (*place, *key)));
        }
        woken.sort_unstable();
        for (_, key) in woken {
            self.groups.wake(key);
        }
    }

    /// A task of the job has left its host: what a limit refused may be allowed now.
    pub(crate) fn wake_limited(&mut self, job: JobIdx) {
        let waiting: Vec<GroupKey> = self
            .groups
            .of_job(job)
            .filter(|key| self.state.config(key.1).limited)
            .collect();
        for key in waiting {
            self.groups.wake(key);
        }
    }
}
