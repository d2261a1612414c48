//! Everything that is kept, with the indexes over it. Each change of an entity goes through a
//! `put` or `remove` here, live and at recovery alike, and is marked for the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use aurora_proto::v1::{self, TaskState};
use slab::Slab;

use crate::agent::Agent;
use crate::config::{Config, ConfigDigest};
use crate::ids::{AgentIdx, ConfigIdx, JobIdx, TaskNumber};
use crate::job::Job;
use crate::task::Task;
use crate::task_table::TaskTable;
use crate::time::Timestamp;

/// An answered mutation, remembered for retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnsweredRequest {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) answered: Timestamp,
    pub(crate) method: String,
    pub(crate) response: Vec<u8>,
}

/// What `Meta` keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) cluster_name: String,
    pub(crate) created: Timestamp,
    pub(crate) epoch: u32,
    pub(crate) next_task: u64,
}

/// The keys of records that the store does not have in their present form.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) meta: bool,
    pub(crate) jobs: BTreeSet<Arc<str>>,
    pub(crate) configs: BTreeSet<ConfigDigest>,
    /// In the order in which they were changed first; each once.
    pub(crate) tasks: Vec<TaskNumber>,
    pub(crate) requests: BTreeSet<String>,
    pub(crate) agents: BTreeSet<Arc<str>>,
    pub(crate) frameworks: BTreeSet<String>,
}

/// The kept state.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) meta: Option<Meta>,
    pub(crate) jobs: Slab<Job>,
    pub(crate) jobs_by_path: BTreeMap<Arc<str>, JobIdx>,
    pub(crate) configs: Slab<Config>,
    pub(crate) configs_by_digest: BTreeMap<ConfigDigest, ConfigIdx>,
    pub(crate) tasks: TaskTable,
    pub(crate) agents: Slab<Agent>,
    pub(crate) agents_by_id: BTreeMap<Arc<str>, AgentIdx>,
    pub(crate) requests: BTreeMap<String, AnsweredRequest>,
    /// Oldest first.
    pub(crate) request_order: VecDeque<(Timestamp, String)>,
    /// What the answers take, in bytes.
    pub(crate) request_bytes: usize,
    pub(crate) frameworks: BTreeMap<String, String>,
    /// Tasks by state, for metrics; indexed by the state's number.
    pub(crate) tasks_by_state: [u64; 16],
    pub(crate) dirty: Dirty,
}

/// What the indexes hold of a task.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    job: JobIdx,
    config: ConfigIdx,
    instance: u32,
    state: TaskState,
    ended: Option<Timestamp>,
    agent: Option<AgentIdx>,
    on_agent: bool,
}

impl Place {
    fn of(task: &Task) -> Self {
        Self {
            job: task.job,
            config: task.config,
            instance: task.instance,
            state: task.state,
            ended: task.is_terminal().then(|| task.since()),
            agent: task.agent,
            on_agent: task.is_on_agent(),
        }
    }
}

impl State {
    pub(crate) fn job(&self, idx: JobIdx) -> &Job {
        self.jobs
            .get(idx.index())
            .expect("a job is removed only after its last task")
    }

    /// For changes of a job's own fields; marks it for the store.
    pub(crate) fn job_mut(&mut self, idx: JobIdx) -> &mut Job {
        let job = self
            .jobs
            .get_mut(idx.index())
            .expect("a job is removed only after its last task");
        self.dirty.jobs.insert(Arc::clone(&job.path));
        job
    }

    pub(crate) fn job_idx(&self, path: &str) -> Option<JobIdx> {
        self.jobs_by_path.get(path).copied()
    }

    pub(crate) fn config(&self, idx: ConfigIdx) -> &Config {
        self.configs
            .get(idx.index())
            .expect("a configuration outlives its users")
    }

    pub(crate) fn agent(&self, idx: AgentIdx) -> &Agent {
        self.agents
            .get(idx.index())
            .expect("agents are never removed while they are used")
    }

    pub(crate) fn agent_mut(&mut self, idx: AgentIdx) -> &mut Agent {
        self.agents
            .get_mut(idx.index())
            .expect("agents are never removed while they are used")
    }

    /// Returns the place of a configuration, which is made if it is not there yet. The caller
    /// has to give it a user in the same step.
    pub(crate) fn intern_config(&mut self, proto: v1::TaskConfig) -> ConfigIdx {
        let config = Config::new(proto);
        if let Some(idx) = self.configs_by_digest.get(&config.digest) {
            return *idx;
        }
        self.insert_config(config)
    }

    /// Adds a configuration that is not there yet.
    pub(crate) fn insert_config(&mut self, config: Config) -> ConfigIdx {
        let digest = config.digest;
        let idx = ConfigIdx::new(self.configs.insert(config));
        self.configs_by_digest.insert(digest, idx);
        self.dirty.configs.insert(digest);
        idx
    }

    pub(crate) fn retain_config(&mut self, idx: ConfigIdx) {
        if let Some(config) = self.configs.get_mut(idx.index()) {
            config.users += 1;
        }
    }

    pub(crate) fn release_config(&mut self, idx: ConfigIdx) {
        let Some(config) = self.configs.get_mut(idx.index()) else {
            return;
        };
        config.users = config.users.saturating_sub(1);
        if config.users == 0 {
            let digest = config.digest;
            self.configs.remove(idx.index());
            self.configs_by_digest.remove(&digest);
            self.dirty.configs.insert(digest);
        }
    }

    /// Adds a job; its configuration gains a user.
    pub(crate) fn insert_job(&mut self, job: Job) -> JobIdx {
        self.retain_config(job.config);
        let path = Arc::clone(&job.path);
        let idx = JobIdx::new(self.jobs.insert(job));
        self.dirty.jobs.insert(Arc::clone(&path));
        self.jobs_by_path.insert(path, idx);
        idx
    }

    /// Removes a job that has no tasks any more.
    pub(crate) fn remove_job(&mut self, idx: JobIdx) {
        let Some(job) = self.jobs.try_remove(idx.index()) else {
            return;
        };
        self.jobs_by_path.remove(&job.path);
        self.dirty.jobs.insert(job.path);
        self.release_config(job.config);
    }

    /// Adds a task; its configuration, job and agent gain it.
    pub(crate) fn insert_task(&mut self, mut task: Task) {
        self.retain_config(task.config);
        self.index_task(task.number, Place::of(&task));
        self.dirty.tasks.push(task.number);
        task.dirty = true;
        self.tasks.insert(task.number, task);
    }

    /// Changes a task; every index follows. Its number, job, configuration and instance stay.
    pub(crate) fn update_task(&mut self, number: TaskNumber, change: impl FnOnce(&mut Task)) {
        let Some(task) = self.tasks.get_mut(&number) else {
            return;
        };
        let before = Place::of(task);
        change(task);
        let after = Place::of(task);
        if !std::mem::replace(&mut task.dirty, true) {
            self.dirty.tasks.push(number);
        }
        if before != after {
            self.unindex_task(number, before);
            self.index_task(number, after);
        }
    }

    pub(crate) fn remove_task(&mut self, number: TaskNumber) {
        let Some(task) = self.tasks.remove(&number) else {
            return;
        };
        self.unindex_task(number, Place::of(&task));
        if !task.dirty {
            self.dirty.tasks.push(number);
        }
        self.release_config(task.config);
    }

    fn index_task(&mut self, number: TaskNumber, place: Place) {
        self.tasks_by_state[place.state as usize] += 1;
        let job = self
            .jobs
            .get_mut(place.job.index())
            .expect("a job is removed only after its last task");
        job.counts[place.state as usize] += 1;
        match place.ended {
            Some(at) => job.ended.insert((at, number)),
            None => job.active.insert(place.instance, number).is_none(),
        };
        let Some(agent) = place.agent else { return };
        let resources = self.config(place.config).resources;
        let agent = self.agent_mut(agent);
        agent.users += 1;
        if place.on_agent {
            agent.tasks.insert(number);
            agent.used += resources;
        }
    }

    fn unindex_task(&mut self, number: TaskNumber, place: Place) {
        self.tasks_by_state[place.state as usize] -= 1;
        let job = self
            .jobs
            .get_mut(place.job.index())
            .expect("a job is removed only after its last task");
        job.counts[place.state as usize] -= 1;
        if let Some(at) = place.ended {
            job.ended.remove(&(at, number));
        } else if job.active.get(&place.instance) == Some(&number) {
            job.active.remove(&place.instance);
        }
        let Some(agent) = place.agent else { return };
        let resources = self.config(place.config).resources;
        let agent = self.agent_mut(agent);
        agent.users -= 1;
        if place.on_agent {
            agent.tasks.remove(&number);
            agent.used -= resources;
        }
    }

    /// Returns the next number for a task.
    pub(crate) fn next_task_number(&mut self) -> TaskNumber {
        let meta = self
            .meta
            .as_mut()
            .expect("`start` makes or checks the meta record");
        let number = TaskNumber(meta.next_task);
        meta.next_task += 1;
        self.dirty.meta = true;
        number
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.meta.as_ref().map_or(0, |meta| meta.epoch)
    }

    pub(crate) fn insert_agent(&mut self, agent: Agent) -> AgentIdx {
        let id = Arc::clone(&agent.id);
        let idx = AgentIdx::new(self.agents.insert(agent));
        self.agents_by_id.insert(id, idx);
        idx
    }

    /// Forgets the agents that are asked for, where no task refers to them and they offer
    /// nothing.
    pub(crate) fn forget_agents(&mut self, asked: impl Fn(&Agent) -> bool) {
        let idle: Vec<AgentIdx> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.users == 0 && agent.offered.is_none() && asked(agent))
            .map(|(idx, _)| AgentIdx::new(idx))
            .collect();
        for idx in idle {
            self.remove_agent(idx);
        }
    }

    fn remove_agent(&mut self, idx: AgentIdx) {
        let Some(agent) = self.agents.try_remove(idx.index()) else {
            return;
        };
        self.agents_by_id.remove(&agent.id);
        if agent.stored {
            self.dirty.agents.insert(agent.id);
        }
    }

    pub(crate) fn remember_request(&mut self, id: String, request: AnsweredRequest) {
        self.request_order.push_back((request.answered, id.clone()));
        self.dirty.requests.insert(id.clone());
        self.request_bytes += request.response.len();
        self.requests.insert(id, request);
    }

    pub(crate) fn forget_oldest_request(&mut self) {
        if let Some((_, id)) = self.request_order.pop_front() {
            if let Some(request) = self.requests.remove(&id) {
                self.request_bytes -= request.response.len();
            }
            self.dirty.requests.insert(id);
        }
    }

    pub(crate) fn count(&self, state: TaskState) -> u64 {
        self.tasks_by_state[state as usize]
    }
}
