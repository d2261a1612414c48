//! What happens in the cluster: faults at each tick, and how its parts react to messages.

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_core::Input;
use aurora_core::cluster::{ClusterEvent, Effect, Launch, OfferId, ReportedState, StatusUpdate};
use aurora_core::resources::Resources;

use crate::checks::REPEATS;
use crate::plant::Plant;
use crate::world::{Event, TICK, World};

impl World {
    pub(crate) fn tick(&mut self) -> Result<(), String> {
        self.at(self.now + TICK, Event::Tick);
        self.traffic();
        if self.random.per_mille(self.faults.scheduler_crash) {
            self.crash()?;
        }
        if self.random.per_mille(self.faults.disconnect) && self.connected {
            self.fault("disconnect");
            self.lose_connection();
            self.input(Input::Cluster(ClusterEvent::Disconnected));
            self.plan_reconnect();
        }
        self.trouble_agents()?;
        if self.connected {
            let offers = self.cluster.make_offers(&mut self.random, self.now);
            if !offers.is_empty() {
                self.send_to_scheduler(ClusterEvent::Offers(offers));
            }
            if self.random.per_mille(self.faults.rescind) {
                let offers: Vec<OfferId> = self.cluster.offers.keys().cloned().collect();
                if let Some(offer) = self.random.pick(&offers).cloned() {
                    self.fault("rescind");
                    self.rescind(&offer);
                }
            }
        }
        if (self.now / TICK) % 5 == 0 {
            for at in 0..self.cluster.agents.len() {
                for update in self.cluster.to_resend(at) {
                    self.send_status(update)?;
                }
            }
        }
        self.check_tick()
    }

    fn traffic(&mut self) {
        if !self.quiet && self.random.per_mille(300) {
            let call = self.clients.new_call(&mut self.random, self.now);
            if let Some(id) = call {
                let time = self.now + self.delay();
                self.at(time, Event::CallArrives(id));
            }
        }
        let now = self.now;
        let mut again = Vec::new();
        for (id, outstanding) in &mut self.clients.outstanding {
            if now - outstanding.sent > 10_000 {
                outstanding.sent = now;
                again.push(*id);
            }
        }
        for id in again {
            self.at(now, Event::CallArrives(id));
        }
        let answered = self.clients.answered.len() as u64;
        if answered > 0 && self.random.per_mille(50) {
            let id = REPEATS + self.random.below(answered);
            self.at(self.now, Event::CallArrives(id));
        }
    }

    fn trouble_agents(&mut self) -> Result<(), String> {
        let at = usize::try_from(self.random.below(self.cluster.agents.len() as u64)).unwrap();
        if self.cluster.agents[at].gone {
            return Ok(());
        }
        if self.random.per_mille(self.faults.partition) && self.cluster.agents[at].reachable {
            self.fault("partition");
            self.cluster.agents[at].reachable = false;
            self.rescind_all(at);
            let wait = i64::try_from(self.random.between(1_000, 20_000)).unwrap();
            self.at(self.now + wait, Event::Unreachable(at));
            let back = i64::try_from(self.random.between(2_000, 90_000)).unwrap();
            self.at(self.now + back, Event::AgentBack(at));
        }
        if self.random.per_mille(self.faults.agent_gone) {
            self.fault("agent gone");
            self.rescind_all(at);
            let agent = &mut self.cluster.agents[at];
            agent.gone = true;
            agent.processes.clear();
            agent.on_the_way.clear();
            let id = Arc::clone(&agent.id);
            self.send_to_scheduler(ClusterEvent::AgentGone(id));
            self.cluster.add_agent(&mut self.random);
        }
        if self.random.per_mille(self.faults.agent_reboot) {
            self.fault("agent reboot");
            let tasks: Vec<String> = self.cluster.agents[at].processes.keys().cloned().collect();
            for task_id in tasks {
                self.process_state(at, &task_id, ReportedState::Lost)?;
            }
        }
        Ok(())
    }

    fn rescind_all(&mut self, at: usize) {
        let of_agent = self.cluster.offers.iter().filter(|(_, o)| o.agent == at);
        let offers: Vec<OfferId> = of_agent.map(|(id, _)| id.clone()).collect();
        for offer in offers {
            self.rescind(&offer);
        }
    }

    fn rescind(&mut self, offer: &OfferId) {
        self.cluster.offers.remove(offer);
        self.send_to_scheduler(ClusterEvent::Rescinded(Arc::clone(offer)));
    }

    pub(crate) fn report_unreachable(&mut self, at: usize) {
        let agent = &self.cluster.agents[at];
        if agent.reachable || agent.gone {
            return;
        }
        let tasks = agent.processes.keys().chain(agent.on_the_way.keys());
        let tasks: Vec<String> = tasks.cloned().collect();
        let id = Arc::clone(&agent.id);
        for task_id in tasks {
            let update = self.cluster.latest(&task_id, Some(&id));
            self.send_to_scheduler(ClusterEvent::Status(update));
        }
    }

    pub(crate) fn agent_back(&mut self, at: usize) {
        let agent = &mut self.cluster.agents[at];
        if agent.gone || agent.reachable {
            return;
        }
        agent.reachable = true;
        let id = Arc::clone(&agent.id);
        let tasks: Vec<String> = agent.processes.keys().cloned().collect();
        if self.random.per_mille(500) {
            for task_id in tasks {
                let update = self.cluster.latest(&task_id, Some(&id));
                self.send_to_scheduler(ClusterEvent::Status(update));
            }
        }
    }

    pub(crate) fn cluster_receives(&mut self, step: u64, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Accept {
                offers, launches, ..
            } => self.accept(step, &offers, launches)?,
            Effect::Decline { offer } => {
                if !self.cluster.spent.insert(Arc::clone(&offer)) {
                    return Err(format!("P1: {offer} was declined after it was used"));
                }
                self.cluster.offers.remove(&offer);
            }
            Effect::Kill {
                task_id, agent_id, ..
            } => self.kill(task_id, agent_id.as_ref()),
            Effect::Acknowledge {
                task_id,
                agent_id,
                token,
            } => {
                let token = u64::from_be_bytes(token.try_into().unwrap());
                if let Some(at) = agent_id.and_then(|id| self.cluster.agent_index(&id))
                    && self.cluster.agents[at].reachable
                {
                    self.cluster.acknowledge(at, &task_id, token);
                }
            }
            Effect::Reconcile { tasks } => self.answer_reconcile(&tasks),
        }
        Ok(())
    }

    fn answer_reconcile(&mut self, tasks: &[(String, Option<Arc<str>>)]) {
        let mut updates: Vec<StatusUpdate> = tasks
            .iter()
            .map(|(task_id, agent)| self.cluster.latest(task_id, agent.as_ref()))
            .collect();
        if tasks.is_empty() {
            let known = self
                .cluster
                .agents
                .iter()
                .filter(|a| a.reachable && !a.gone);
            for agent in known {
                for task_id in agent.processes.keys() {
                    updates.push(self.cluster.latest(task_id, Some(&agent.id)));
                }
            }
        }
        for update in updates {
            self.send_to_scheduler(ClusterEvent::Status(update));
        }
    }

    fn accept(&mut self, step: u64, ids: &[OfferId], launches: Vec<Launch>) -> Result<(), String> {
        let mut agent = None;
        let mut available = Resources::default();
        let mut ports = BTreeSet::new();
        let mut void = false;
        for id in ids {
            if !self.cluster.spent.insert(Arc::clone(id)) {
                return Err(format!("P1: {id} was used twice"));
            }
            if let Some(offer) = self.cluster.offers.remove(id) {
                if agent.is_some_and(|at| at != offer.agent) {
                    return Err(format!("P1: {id} is of another agent"));
                }
                agent = Some(offer.agent);
                available += offer.resources;
                ports.extend(offer.ports);
            } else {
                let seen = self.rescinded.get(id).is_some_and(|at| *at <= step);
                if seen {
                    return Err(format!("P1: {id} was used after its rescind"));
                }
                void = true;
            }
        }
        let Some(at) = agent.filter(|_| !void) else {
            for launch in launches {
                let update = self.cluster.latest(&launch.task_id, None);
                self.send_to_scheduler(ClusterEvent::Status(update));
            }
            return Ok(());
        };
        for launch in launches {
            if !available.fits(&launch.resources) {
                return Err(format!("P1: {ids:?} are overcommitted"));
            }
            available -= launch.resources;
            let taken: BTreeSet<u16> = launch.ports.iter().map(|(_, port)| *port).collect();
            if taken.len() != launch.ports.len() || !taken.iter().all(|port| ports.remove(port)) {
                return Err(format!("P1: the ports of {} are not free", launch.task_id));
            }
            self.tally.placements += 1;
            if self.random.per_mille(self.faults.launch_lost) {
                self.fault("launch lost");
                continue;
            }
            let sent = (launch.resources, taken);
            let agent = &mut self.cluster.agents[at];
            agent.on_the_way.insert(launch.task_id.clone(), sent);
            self.send_to_agent(at, Event::Launched(at, Box::new(launch)));
        }
        Ok(())
    }

    pub(crate) fn launched(&mut self, at: usize, launch: &Launch) -> Result<(), String> {
        let agent = &mut self.cluster.agents[at];
        if agent.gone || !agent.reachable {
            agent.on_the_way.remove(&launch.task_id);
            return Ok(());
        }
        self.cluster.start(at, launch);
        self.check_live()?;
        self.resend(at, &launch.task_id)?;
        let wait = i64::try_from(self.random.between(5, 500)).unwrap();
        let running = Event::ProcessState(at, launch.task_id.clone(), ReportedState::Running);
        self.at(self.now + wait, running);
        let end = if self.random.per_mille(self.faults.task_fails) {
            ReportedState::Failed
        } else if self.random.per_mille(self.faults.task_finishes) {
            ReportedState::Finished
        } else {
            return Ok(());
        };
        let wait = i64::try_from(self.random.between(100, 90_000)).unwrap();
        let event = Event::ProcessState(at, launch.task_id.clone(), end);
        self.at(self.now + wait, event);
        Ok(())
    }

    fn kill(&mut self, task_id: String, agent: Option<&Arc<str>>) {
        let at = agent
            .and_then(|id| self.cluster.agent_index(id))
            .or_else(|| self.cluster.find_process(&task_id).map(|(at, _)| at));
        let Some(at) = at else { return };
        if self.random.per_mille(self.faults.kill_lost) {
            self.fault("kill lost");
            return;
        }
        self.send_to_agent(at, Event::KillArrives(at, task_id));
    }

    pub(crate) fn kill_arrives(&mut self, at: usize, task_id: &str) {
        if self.cluster.agents[at].reachable {
            let wait = i64::try_from(self.random.between(1, 3_000)).unwrap();
            let killed = Event::ProcessState(at, task_id.to_owned(), ReportedState::Killed);
            self.at(self.now + wait, killed);
        }
    }

    pub(crate) fn process_state(
        &mut self,
        at: usize,
        task_id: &str,
        state: ReportedState,
    ) -> Result<(), String> {
        let by_itself = matches!(state, ReportedState::Failed | ReportedState::Finished);
        if by_itself && self.quiet {
            return Ok(());
        }
        if self.cluster.set_state(at, task_id, state) {
            self.resend(at, task_id)?;
        }
        Ok(())
    }

    fn resend(&mut self, at: usize, task_id: &str) -> Result<(), String> {
        let mut updates = self.cluster.to_resend(at);
        updates.retain(|update| update.task_id == task_id);
        for update in updates {
            self.send_status(update)?;
        }
        Ok(())
    }

    fn send_status(&mut self, update: StatusUpdate) -> Result<(), String> {
        if self.random.per_mille(self.faults.status_lost) {
            self.fault("status lost");
            return Ok(());
        }
        if self.random.per_mille(self.faults.status_doubled) {
            self.fault("status doubled");
            self.send_to_scheduler(ClusterEvent::Status(update.clone()));
        }
        if self.plant == Some(Plant::DropTerminal)
            && matches!(
                update.state,
                ReportedState::Failed | ReportedState::Finished
            )
        {
            return self.forget(&update);
        }
        self.send_to_scheduler(ClusterEvent::Status(update));
        Ok(())
    }

    /// A planted bug: the end of a task is acknowledged and never dealt with.
    fn forget(&mut self, update: &StatusUpdate) -> Result<(), String> {
        let effect = Effect::Acknowledge {
            task_id: update.task_id.clone(),
            agent_id: update.agent_id.clone(),
            token: update.token.clone(),
        };
        self.check_effect(&effect)?;
        self.at(self.now, Event::ToCluster(self.connection, 0, effect));
        Ok(())
    }
}
