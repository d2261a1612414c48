//! What must be true of the state after every step, as functions that tests and the simulation
//! call. The names are those of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use aurora_proto::v1::TaskState;

use crate::placement::AttributeCounts;
use crate::resources::Resources;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Returns every invariant that does not hold, in words.
    pub fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_active_instances(&mut found);
        self.check_indexes(&mut found);
        self.check_agents(&mut found);
        self.check_offers(&mut found);
        self.check_pending_are_queued(&mut found);
        found
    }

    /// T1: at most one active task for each instance of a job.
    fn check_active_instances(&self, found: &mut Vec<String>) {
        let mut seen = BTreeSet::new();
        for task in self.state.tasks.values().filter(|task| !task.is_terminal()) {
            if !seen.insert((task.job, task.instance)) {
                found.push(format!(
                    "T1: two active tasks for instance {}",
                    task.instance
                ));
            }
        }
    }

    /// Every index says what the tasks say.
    fn check_indexes(&self, found: &mut Vec<String>) {
        let mut counts = [0_u64; 16];
        let mut users: BTreeMap<_, usize> = BTreeMap::new();
        for task in self.state.tasks.values() {
            counts[task.state as usize] += 1;
            *users.entry(task.config).or_default() += 1;
            let job = self.state.job(task.job);
            let listed = if task.is_terminal() {
                job.ended.contains(&(task.since(), task.number))
            } else {
                job.active.get(&task.instance) == Some(&task.number)
            };
            if !listed {
                found.push(format!(
                    "index: job {} misses task {:?}",
                    job.path, task.number
                ));
            }
            if task.events.last().map(|event| event.state) != Some(task.state) {
                found.push(format!(
                    "history: task {:?} is not in its last state",
                    task.number
                ));
            }
        }
        for (_, job) in &self.state.jobs {
            if job.counts.iter().sum::<u32>() as usize != job.active.len() + job.ended.len() {
                found.push(format!("index: tasks of {} are miscounted", job.path));
            }
            *users.entry(job.config).or_default() += 1;
        }
        if counts != self.state.tasks_by_state {
            found.push("index: tasks by state are miscounted".to_owned());
        }
        for (idx, config) in &self.state.configs {
            let counted = users
                .get(&crate::ids::ConfigIdx::new(idx))
                .copied()
                .unwrap_or(0);
            if counted != config.users || counted == 0 {
                found.push(format!(
                    "index: a configuration has {counted} users, not {}",
                    config.users
                ));
            }
        }
    }

    /// Tasks that were placed are on an agent, and agents know them.
    fn check_agents(&self, found: &mut Vec<String>) {
        for task in self.state.tasks.values() {
            let on_agent = task.is_on_agent();
            if on_agent && task.agent.is_none() {
                found.push(format!("placement: task {:?} is on no agent", task.number));
            }
            let known = task
                .agent
                .is_some_and(|agent| self.state.agent(agent).tasks.contains(&task.number));
            if on_agent != known {
                found.push(format!(
                    "placement: agent's list and task {:?} differ",
                    task.number
                ));
            }
        }
        let mut users: BTreeMap<_, usize> = BTreeMap::new();
        for agent in self.state.tasks.values().filter_map(|task| task.agent) {
            *users.entry(agent.index()).or_default() += 1;
        }
        for (idx, agent) in &self.state.agents {
            if users.get(&idx).copied().unwrap_or(0) != agent.users {
                found.push(format!("index: users of agent {} are miscounted", agent.id));
            }
            let used = agent
                .tasks
                .iter()
                .filter_map(|number| self.state.tasks.get(number))
                .map(|task| self.state.config(task.config).resources)
                .fold(Resources::default(), |sum, resources| sum + resources);
            if used != agent.used {
                found.push(format!(
                    "placement: use of agent {} is miscounted",
                    agent.id
                ));
            }
        }
    }

    /// P3: offers are held for agents that have them, and nothing is promised twice.
    fn check_offers(&self, found: &mut Vec<String>) {
        let mut offers = 0;
        for (_, agent) in &self.state.agents {
            let Some(offered) = &agent.offered else {
                continue;
            };
            offers += offered.offers.len();
            if !self.connected {
                found.push(format!("P3: agent {} offers while disconnected", agent.id));
            }
            let watched = match (offered.expires, agent.expiry_timer) {
                (Some(expires), Some(timer)) => timer <= expires,
                (None, _) => true,
                (Some(_), None) => false,
            };
            if !watched {
                found.push(format!("P3: nothing watches the offers of {}", agent.id));
            }
        }
        if offers != self.offers.len() {
            found.push("P3: held offers and agents' offers differ".to_owned());
        }
    }

    /// P4: the queues hold every pending task and nothing else.
    fn check_pending_are_queued(&self, found: &mut Vec<String>) {
        let pending = self.state.count(TaskState::Pending);
        let mut queued = 0;
        for (key, group) in self.groups.iter() {
            queued += group.queue.len() as u64;
            if let Some(counts) = group.counts()
                && !same_counts(counts, &self.attribute_counts(*key))
            {
                found.push(format!("P2: the limits of group {key:?} are miscounted"));
            }
            if group.queue.is_empty() {
                found.push(format!("P4: group {key:?} is empty"));
            }
            for number in &group.queue {
                let task = self.state.tasks.get(number);
                let belongs = task.is_some_and(|task| {
                    task.state == TaskState::Pending && (task.job, task.config) == *key
                });
                if !belongs {
                    found.push(format!("P4: {number:?} does not belong in {key:?}"));
                }
            }
        }
        if pending != queued {
            found.push(format!("P4: {pending} pending tasks, {queued} in queues"));
        }
    }
}

/// Whether the counts are equal; an attribute without counts is as good as an absent one.
fn same_counts(one: &AttributeCounts, other: &AttributeCounts) -> bool {
    let counted = |(_, of): &(&String, &BTreeMap<String, u32>)| !of.is_empty();
    one.iter().filter(counted).eq(other.iter().filter(counted))
}
