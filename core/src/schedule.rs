//! The rounds of placement: ready groups take turns at the standing offers.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_proto::v1::TaskState;

use crate::cluster::{Effect, Launch};
use crate::groups::GroupKey;
use crate::ids::{AgentIdx, ConfigIdx, TaskNumber};
use crate::placement::{AttributeCounts, Request, count_attributes};
use crate::ports;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Tasks of one group placed in one turn at most.
const TURN: usize = 64;

/// Launches by agent, until the end of the step.
type Launches = BTreeMap<AgentIdx, Vec<Launch>>;

/// How a group's turn ended.
enum Turn {
    /// The group is empty or has had its share.
    Done,
    /// No host would take the next task.
    Stuck,
}

impl Scheduler {
    pub(crate) fn request(&self, config: ConfigIdx) -> Request<'_> {
        let config = self.state.config(config);
        Request {
            config,
            resources: config.resources + self.settings.executor_overhead,
        }
    }

    /// Places waiting tasks, up to the step's limit.
    pub(crate) fn schedule(&mut self, now: Timestamp) {
        let mut budget = self.settings.max_placements_per_step;
        let mut launches = Launches::new();
        while budget > 0 && self.offers.any() {
            let Some(key) = self.groups.pop_ready() else {
                break;
            };
            self.counters.schedule_attempts += 1;
            let before = budget;
            let turn = self.take_turn(now, key, &mut budget, &mut launches);
            let placed = before - budget;
            match turn {
                Turn::Done => self.groups.end_turn(key),
                Turn::Stuck => {
                    if placed == 0 {
                        self.counters.schedule_attempts_no_match += 1;
                    }
                    let until = self.groups.wait(
                        key,
                        now,
                        self.settings.initial_schedule_delay,
                        self.settings.max_schedule_delay,
                        placed > 0,
                    );
                    self.timers.set(until, Timer::WakeGroup(key));
                }
            }
        }
        self.accept(launches);
    }

    /// Gives one group its turn: hosts are tried in one sweep, since a host that refused one
    /// task of the group refuses them all.
    fn take_turn(
        &mut self,
        now: Timestamp,
        key: GroupKey,
        budget: &mut usize,
        launches: &mut Launches,
    ) -> Turn {
        let needed = self.request(key.1).resources.cpu_millis;
        let mut counts = self.attribute_counts(key);
        let mut left = TURN.min(*budget);
        // Everything up to here in the order of free cores has refused or is full.
        let mut frontier = None;
        let mut host = None;
        while let Some(number) = self.next_pending(key) {
            if left == 0 {
                return Turn::Done;
            }
            let agent = loop {
                if let Some(agent) = host.filter(|agent| self.fits_on(key.1, *agent, &counts)) {
                    break agent;
                }
                frontier = self.offers.next_candidate(needed, frontier);
                let Some((_, agent)) = frontier else {
                    return Turn::Stuck;
                };
                host = Some(agent);
            };
            let launch = self.place(now, number, agent, &mut counts);
            launches.entry(agent).or_default().extend(launch);
            self.pop_pending(key);
            left -= 1;
            *budget -= 1;
        }
        Turn::Done
    }

    fn fits_on(&self, config: ConfigIdx, agent: AgentIdx, counts: &AttributeCounts) -> bool {
        let agent = self.state.agent(agent);
        let request = self.request(config);
        agent
            .offered
            .as_ref()
            .is_some_and(|offered| request.fits(agent, offered, counts))
    }

    /// Returns the group's first task that is still pending, dropping others before it.
    fn next_pending(&mut self, key: GroupKey) -> Option<TaskNumber> {
        loop {
            let number = *self.groups.get(key)?.queue.front()?;
            if self.task_state(number) == Some(TaskState::Pending) {
                return Some(number);
            }
            self.pop_pending(key);
        }
    }

    fn pop_pending(&mut self, key: GroupKey) {
        if let Some(group) = self.groups.get_mut(key) {
            group.queue.pop_front();
        }
    }

    /// Gives the task to the agent.
    fn place(
        &mut self,
        now: Timestamp,
        number: TaskNumber,
        agent_idx: AgentIdx,
        counts: &mut AttributeCounts,
    ) -> Option<Launch> {
        let config_idx = self.state.tasks.get(&number)?.config;
        let resources = self.request(config_idx).resources;
        let config = self.state.config(config_idx);
        let proto = Arc::clone(&config.proto);
        let config_digest = config.digest;
        count_attributes(counts, &config.constraints, self.state.agent(agent_idx));

        let agent = self.state.agent_mut(agent_idx);
        let start = agent.next_port;
        let offered = agent.offered.as_mut()?;
        let before = offered.available.cpu_millis;
        offered.available -= resources;
        let after = offered.available.cpu_millis;
        let assigned = ports::take(&mut offered.ports, proto.ports.len(), start)?;
        if let Some(last) = assigned.last() {
            agent.next_port = last.wrapping_add(1);
        }
        if !agent.stored {
            agent.stored = true;
            let id = Arc::clone(&agent.id);
            self.state.dirty.agents.insert(id);
        }
        self.offers.reindex(agent_idx, before, after);
        self.counters.placements += 1;
        self.state.update_task(number, |task| {
            task.agent = Some(agent_idx);
            task.ports = assigned.clone().into_boxed_slice();
        });
        self.change_state(now, number, TaskState::Assigned, "");

        let task = self.state.tasks.get(&number)?;
        Some(Launch {
            task_id: self.task_id(task),
            job: self.state.job(task.job).key.clone(),
            instance: task.instance,
            ports: proto.ports.iter().cloned().zip(assigned).collect(),
            config: proto,
            config_digest,
            resources,
        })
    }

    /// Uses the offers: all launches of one agent go out together.
    fn accept(&mut self, launches: Launches) {
        for (agent_idx, launches) in launches {
            let agent = self.state.agent_mut(agent_idx);
            let Some(offered) = agent.offered.take() else {
                continue;
            };
            let agent_id = Arc::clone(&agent.id);
            self.offers.remove_agent(agent_idx, &offered);
            self.effects.push(Effect::Accept {
                agent_id,
                offers: offered.offers,
                launches,
            });
        }
    }

    /// Counts the job's instances by the attributes that the configuration limits.
    pub(crate) fn attribute_counts(&self, key: GroupKey) -> AttributeCounts {
        let mut counts = AttributeCounts::new();
        let constraints = &self.state.config(key.1).constraints;
        let limits = constraints
            .iter()
            .any(|constraint| matches!(constraint, crate::config::Constraint::Limit { .. }));
        if limits {
            let active = self.state.job(key.0).active.values();
            for task in active.filter_map(|number| self.state.tasks.get(number)) {
                if let Some(agent) = task.agent.filter(|_| task.is_on_agent()) {
                    count_attributes(&mut counts, constraints, self.state.agent(agent));
                }
            }
        }
        counts
    }
}
