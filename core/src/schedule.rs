//! The rounds of placement: ready groups take turns at the standing offers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cluster::{Effect, Launch};
use crate::groups::GroupKey;
use crate::ids::{AgentIdx, ConfigIdx, TaskNumber};
use crate::placement::{AttributeCounts, Change, Request, count_attributes};
use crate::ports;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::timers::Timer;

/// Tasks of one group placed in one turn at most, while others are ready.
const TURN: usize = 64;
/// Hosts looked at in one step at most, give or take one sweep over all of them: a flood of
/// tasks that fit nowhere must not keep calls waiting.
const LOOKS: usize = 100_000;
/// What a turn costs besides its looks.
const TURN_LOOKS: usize = 10;

/// Launches by agent, until the end of the step.
type Launches = BTreeMap<AgentIdx, Vec<Launch>>;

/// What one step's placement may still do, and has done.
struct Round {
    now: Timestamp,
    budget: usize,
    looks: usize,
    launches: Launches,
}

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

    /// Places waiting tasks, up to the step's limits.
    pub(crate) fn schedule(&mut self, now: Timestamp) {
        let mut round = Round {
            now,
            budget: self.settings.max_placements_per_step,
            looks: LOOKS,
            launches: Launches::new(),
        };
        while round.budget > 0 && round.looks > 0 && self.offers.any() {
            let Some((key, shape)) = self.groups.pop_ready() else {
                break;
            };
            self.counters.schedule_attempts += 1;
            round.looks = round.looks.saturating_sub(TURN_LOOKS);
            let before = round.budget;
            let turn = if self.offers.refuses(shape) {
                Turn::Stuck
            } else {
                self.take_turn(key, &mut round)
            };
            let placed = before - round.budget;
            match turn {
                Turn::Done => self.groups.end_turn(key),
                Turn::Stuck => {
                    self.offers.note_refusal(shape);
                    self.wait_for_offers(now, key, placed);
                }
            }
        }
        self.accept(round.launches);
    }

    fn wait_for_offers(&mut self, now: Timestamp, key: GroupKey, placed: usize) {
        if placed == 0 {
            self.counters.schedule_attempts_no_match += 1;
        }
        let timer = self.groups.wait(
            key,
            now,
            self.settings.initial_schedule_delay,
            self.settings.max_schedule_delay,
            placed > 0,
        );
        if let Some(at) = timer {
            self.timers.set(at, Timer::WakeGroup(key));
        }
    }

    /// Gives one group its turn: hosts are tried in one sweep, since a host that refused one
    /// task of the group refuses them all.
    fn take_turn(&mut self, key: GroupKey, round: &mut Round) -> Turn {
        let needed = self.request(key.1).resources.cpu_millis;
        let counted = self.groups.take_counts(key);
        let mut counts = counted.unwrap_or_else(|| self.attribute_counts(key));
        let mut left = round.budget;
        if self.groups.has_ready() {
            left = left.min(TURN);
        }
        // The host that is being filled, with the free cores that the order has it under;
        // everything before it in that order has refused or is full.
        let mut host: Option<(u64, AgentIdx)> = None;
        let turn = loop {
            let Some(number) = self.groups.first(key) else {
                break Turn::Done;
            };
            if left == 0 {
                break Turn::Done;
            }
            let fits = |(_, agent): &(u64, AgentIdx)| self.fits_on(key.1, *agent, &counts);
            let Some((_, agent)) = host.filter(fits) else {
                let next = self.offers.next_candidate(needed, host);
                self.settle(host);
                host = next;
                round.looks = round.looks.saturating_sub(1);
                if host.is_none() {
                    break Turn::Stuck;
                }
                continue;
            };
            if let Some(launch) = self.place(round.now, number, agent, &mut counts) {
                round.launches.entry(agent).or_default().push(launch);
            }
            left -= 1;
            round.budget -= 1;
        };
        self.settle(host);
        if self.state.config(key.1).limited {
            self.groups.keep_counts(key, counts);
        }
        turn
    }

    /// Puts a host that has been filled in its new place in the order.
    fn settle(&mut self, host: Option<(u64, AgentIdx)>) {
        let Some((before, agent)) = host else { return };
        if let Some(offered) = &self.state.agent(agent).offered {
            let after = offered.available.cpu_millis;
            self.offers.reindex(agent, before, after);
        }
    }

    fn fits_on(&self, config: ConfigIdx, agent: AgentIdx, counts: &AttributeCounts) -> bool {
        let agent = self.state.agent(agent);
        let request = self.request(config);
        agent
            .offered
            .as_ref()
            .is_some_and(|offered| request.fits(agent, offered, counts))
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
        let host = self.state.agent(agent_idx);
        count_attributes(counts, &config.constraints, host, Change::Came);

        let agent = self.state.agent_mut(agent_idx);
        let start = agent.next_port;
        let offered = agent.offered.as_mut()?;
        let assigned = ports::take(&mut offered.ports, proto.ports.len(), start)?;
        offered.available -= resources;
        if let Some(last) = assigned.last() {
            agent.next_port = last.wrapping_add(1);
        }
        if !agent.stored {
            agent.stored = true;
            let id = Arc::clone(&agent.id);
            self.state.dirty.agents.insert(id);
        }
        self.counters.placements += 1;
        self.assign(now, number, agent_idx, &assigned);

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
        let config = self.state.config(key.1);
        let constraints = &config.constraints;
        if config.limited {
            let active = self.state.job(key.0).active.values();
            for task in active.filter_map(|number| self.state.tasks.get(number)) {
                if let Some(agent) = task.agent.filter(|_| task.is_on_agent()) {
                    let host = self.state.agent(agent);
                    count_attributes(&mut counts, constraints, host, Change::Came);
                }
            }
        }
        counts
    }
}
