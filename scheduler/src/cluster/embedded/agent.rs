//! One agent's resources: what is free, what is offered, and which offers still stand.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use aurora_core::cluster::{AgentId, Attributes, Offer, OfferId};
use aurora_core::resources::Resources;
use tokio::time::Instant;

use super::port_ranges::PortRanges;

// More than a core that takes part in placement leaves standing: it uses all of an agent's offers
// at once.
const MAX_STANDING_OFFERS: usize = 16;
const MAX_RECALLED_OFFERS: usize = 1024;

/// Resources and ports that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    /// The scalar resources.
    pub(super) resources: Resources,
    /// The ports.
    pub(super) ports: PortRanges,
}

impl Pool {
    fn append(&mut self, other: Self) {
        self.resources += other.resources;
        self.ports.append(other.ports);
    }

    /// Takes what a task needs, or nothing.
    pub(super) fn take(&mut self, resources: &Resources, ports: &[u16]) -> bool {
        if !self.resources.fits(resources) {
            return false;
        }
        for (n_taken, port) in ports.iter().enumerate() {
            if !self.ports.take(*port) {
                for taken in ports.iter().take(n_taken) {
                    self.ports.insert(*taken..=*taken);
                }
                return false;
            }
        }
        self.resources -= *resources;
        true
    }

    // A task needs some of both, so that less is of no use to anybody.
    fn is_useful(&self) -> bool {
        self.resources.cpu_millis > 0 && self.resources.ram > 0
    }
}

/// What came of new offers.
#[derive(Debug, Default)]
pub(super) struct OfferChanges {
    /// Offers that no longer stand.
    pub(super) rescinded: Vec<OfferId>,
    /// The offer to be made.
    pub(super) made: Option<Offer>,
}

/// What an accepted set of offers holds.
#[derive(Debug)]
pub(super) struct Accepted {
    /// To be used up; the rest goes to [`AgentState::give_back`].
    pub(super) pool: Pool,
    /// Offers that had to be drawn in though the core did not name them.
    pub(super) rescinded: Vec<OfferId>,
}

/// One agent.
#[derive(Debug)]
pub(super) struct AgentState {
    /// Its id, the same after a restart.
    pub(super) id: AgentId,
    /// Its host name, as tasks see it.
    pub(super) host: Arc<str>,
    /// Its attributes.
    pub(super) attributes: Arc<Attributes>,
    /// Where it keeps sandboxes and executors.
    pub(super) dir: PathBuf,
    free: Pool,
    // What recovered tasks hold beyond what there is: the agent may have shrunk since.
    owed: Resources,
    // All that are the agent's to give; recovered tasks may hold others.
    ports: PortRanges,
    standing: HashMap<OfferId, Pool>,
    // Offers that we rescinded ourselves; an accept may be under way to us.
    recalled: HashSet<OfferId>,
    recalled_order: VecDeque<OfferId>,
    changed: bool,
    quiet_until: Option<Instant>,
}

impl AgentState {
    /// Makes an agent with everything free.
    pub(super) fn new(
        id: AgentId,
        host: Arc<str>,
        attributes: Arc<Attributes>,
        dir: PathBuf,
        free: Pool,
    ) -> Self {
        Self {
            id,
            host,
            attributes,
            dir,
            ports: free.ports.clone(),
            free,
            owed: Resources::default(),
            standing: HashMap::new(),
            recalled: HashSet::new(),
            recalled_order: VecDeque::new(),
            changed: true,
            quiet_until: None,
        }
    }

    /// Takes what a task that runs since before a restart holds, as far as it is still there.
    pub(super) fn take_recovered(&mut self, resources: &Resources, ports: &[u16]) {
        self.owed += *resources - self.free.resources;
        self.free.resources -= *resources;
        for port in ports {
            self.free.ports.take(*port);
        }
    }

    /// Gives back what a task held.
    pub(super) fn release(&mut self, resources: &Resources, ports: &[u16]) {
        self.free.resources += *resources - self.owed;
        self.owed -= *resources;
        for port in ports.iter().filter(|port| self.ports.contains(**port)) {
            self.free.ports.insert(*port..=*port);
        }
        self.changed = true;
    }

    /// Gives back what a use of offers left.
    pub(super) fn give_back(&mut self, rest: Pool) {
        self.free.append(rest);
        self.changed = true;
    }

    /// Draws in offers; names the one that does not stand, if any.
    pub(super) fn accept(&mut self, named: &[OfferId]) -> Result<Accepted, OfferId> {
        let mut pool = Pool::default();
        let mut recalled = false;
        let mut unknown = None;
        for offer in named {
            if let Some(contents) = self.standing.remove(offer) {
                pool.append(contents);
            } else if self.recalled.contains(offer) {
                recalled = true;
            } else {
                unknown = Some(Arc::clone(offer));
            }
        }
        if let Some(unknown) = unknown {
            self.give_back(pool);
            return Err(unknown);
        }
        let mut rescinded = Vec::new();
        if recalled {
            // What it held is in another offer by now, or free.
            rescinded = self.recall_all();
            pool.append(std::mem::take(&mut self.free));
        }
        Ok(Accepted { pool, rescinded })
    }

    /// Takes an offer back; it comes again at `until`, or as soon as something changes.
    pub(super) fn decline(&mut self, offer: &OfferId, until: Instant) {
        if let Some(contents) = self.standing.remove(offer) {
            self.free.append(contents);
            self.quiet_until = Some(until);
        }
    }

    /// Makes an offer of what is free, if now is the time for one.
    pub(super) fn make_offer(
        &mut self,
        now: Instant,
        next_id: impl FnOnce() -> OfferId,
    ) -> OfferChanges {
        let mut changes = OfferChanges::default();
        let due = self.changed || self.quiet_until.is_some_and(|until| until <= now);
        if !due || !self.free.is_useful() {
            return changes;
        }
        self.changed = false;
        self.quiet_until = None;
        if self.standing.len() >= MAX_STANDING_OFFERS {
            changes.rescinded = self.recall_all();
        }
        let contents = std::mem::take(&mut self.free);
        let offer = Offer {
            id: next_id(),
            agent_id: Arc::clone(&self.id),
            host: Arc::clone(&self.host),
            attributes: Arc::clone(&self.attributes),
            resources: contents.resources,
            ports: contents.ports.as_ranges().to_vec(),
        };
        self.standing.insert(Arc::clone(&offer.id), contents);
        changes.made = Some(offer);
        changes
    }

    fn recall_all(&mut self) -> Vec<OfferId> {
        let mut ids = Vec::with_capacity(self.standing.len());
        for (id, contents) in std::mem::take(&mut self.standing) {
            self.free.append(contents);
            self.recalled.insert(Arc::clone(&id));
            self.recalled_order.push_back(Arc::clone(&id));
            ids.push(id);
        }
        while self.recalled_order.len() > MAX_RECALLED_OFFERS {
            if let Some(oldest) = self.recalled_order.pop_front() {
                self.recalled.remove(&oldest);
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool(cpu_millis: u64, ports: &[u16]) -> Pool {
        let mut pool = Pool {
            resources: Resources {
                cpu_millis,
                ram: cpu_millis,
                disk: 0,
                gpu: 0,
            },
            ports: PortRanges::default(),
        };
        for port in ports {
            pool.ports.insert(*port..=*port);
        }
        pool
    }

    struct Subject {
        agent: AgentState,
        now: Instant,
        n_offers: u32,
    }

    impl Subject {
        fn new(free: Pool) -> Self {
            let agent =
                AgentState::new("a".into(), "h".into(), Arc::default(), PathBuf::new(), free);
            Self {
                agent,
                now: Instant::now(),
                n_offers: 0,
            }
        }

        fn offer(&mut self) -> OfferChanges {
            self.n_offers += 1;
            let id = format!("o{}", self.n_offers);
            self.agent.make_offer(self.now, || id.into())
        }
    }

    #[test]
    fn what_an_accept_leaves_is_offered_again_at_once() {
        let mut subject = Subject::new(pool(4, &[1, 2, 3]));
        let offer = subject.offer().made.unwrap();
        assert!(subject.offer().made.is_none());
        let mut accepted = subject
            .agent
            .accept(std::slice::from_ref(&offer.id))
            .unwrap();
        assert!(accepted.pool.take(&pool(1, &[]).resources, &[2]));
        assert!(
            !accepted.pool.take(&pool(1, &[]).resources, &[3, 2]),
            "a port is used up"
        );
        subject.agent.give_back(accepted.pool);
        let rest = subject.offer().made.unwrap();
        assert_eq!(
            (rest.resources.cpu_millis, rest.ports),
            (3, vec![1..=1, 3..=3])
        );
        assert_eq!(
            subject
                .agent
                .accept(std::slice::from_ref(&offer.id))
                .unwrap_err(),
            offer.id
        );
    }

    #[test]
    fn a_declined_offer_comes_back_later_or_with_a_change() {
        let mut subject = Subject::new(pool(4, &[]));
        let until = subject.now + Duration::from_secs(1);
        let offer = subject.offer().made.unwrap();
        subject.agent.decline(&offer.id, until);
        assert!(subject.offer().made.is_none());
        subject.now = until;
        let again = subject.offer().made.unwrap();
        subject
            .agent
            .decline(&again.id, until + Duration::from_secs(1));
        subject.agent.release(&pool(1, &[]).resources, &[]);
        assert_eq!(subject.offer().made.unwrap().resources.cpu_millis, 5);
    }

    #[test]
    fn an_agent_that_has_shrunk_offers_no_more_than_it_has() {
        let mut subject = Subject::new(pool(2, &[1, 2]));
        let held = pool(3, &[]).resources;
        subject.agent.take_recovered(&held, &[1, 9]);
        subject.agent.take_recovered(&held, &[]);
        assert!(subject.offer().made.is_none());
        subject.agent.release(&held, &[1, 9]);
        assert!(subject.offer().made.is_none(), "the other holds more");
        subject.agent.release(&held, &[]);
        let offer = subject.offer().made.unwrap();
        assert_eq!((offer.resources.cpu_millis, offer.ports), (2, vec![1..=2]));
    }

    #[test]
    fn many_small_offers_become_one_and_a_crossing_accept_still_counts() {
        let mut subject = Subject::new(pool(1, &[]));
        let first = subject.offer().made.unwrap();
        let mut rescinded = Vec::new();
        let mut last = first.clone();
        for _ in 0..MAX_STANDING_OFFERS {
            subject.agent.release(&pool(1, &[]).resources, &[]);
            let changes = subject.offer();
            rescinded.extend(changes.rescinded);
            last = changes.made.unwrap();
        }
        assert_eq!(rescinded.len(), MAX_STANDING_OFFERS);
        assert_eq!(last.resources.cpu_millis, 17);
        let accepted = subject.agent.accept(&[first.id]).unwrap();
        assert_eq!(accepted.pool.resources.cpu_millis, 17);
        assert_eq!(accepted.rescinded, [last.id]);
    }
}
