//! `ListTasks` and `QueryTasks`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use aurora_proto::v1::{self, TaskState};

use crate::call::ApiError;
use crate::calls::instance_filter;
use crate::ids::{JobIdx, TaskNumber};
use crate::instances::InstanceSet;
use crate::query::jobs::digest_text;
use crate::query::{JobPattern, bad_token, page_size};
use crate::scheduler::Scheduler;
use crate::task::Task;

/// A request's filters, ready to be matched.
struct Filter {
    pattern: JobPattern,
    instances: Option<InstanceSet>,
    states: BTreeSet<i32>,
    /// Present where the request names tasks; of those, the ones that exist.
    ids: Option<BTreeSet<TaskNumber>>,
    hosts: BTreeSet<String>,
}

/// A page in the making.
struct Page {
    size: usize,
    bare: bool,
    response: v1::ListTasksResponse,
}

impl Scheduler {
    /// Lists tasks by job, instance and age, the newest attempt first.
    ///
    /// # Errors
    /// If a filter or the page token cannot be read.
    pub fn list_tasks(
        &self,
        request: &v1::ListTasksRequest,
    ) -> Result<v1::ListTasksResponse, ApiError> {
        let filter = self.task_filter(request)?;
        let after = parse_token(&request.page_token)?;
        let mut page = Page {
            size: page_size(request.page_size),
            bare: request.without_configs,
            response: v1::ListTasksResponse::default(),
        };
        if let Some(ids) = &filter.ids {
            self.fill_page(
                &mut page,
                &filter,
                after.as_ref(),
                self.in_order(ids.iter()),
            );
            return Ok(page.response);
        }
        let start = after.as_ref().map_or("", |(path, _, _)| path.as_str());
        for (_, idx) in self.jobs_from(start, &filter.pattern) {
            let job = self.state.job(*idx);
            if !filter.pattern.matches(&job.key) {
                continue;
            }
            let numbers: Vec<TaskNumber> = job.task_numbers().collect();
            let tasks = self.in_order(numbers.iter());
            if self.fill_page(&mut page, &filter, after.as_ref(), tasks) {
                break;
            }
        }
        Ok(page.response)
    }

    /// Adds the tasks that match to the page. Returns whether it is full and more follows.
    fn fill_page(
        &self,
        page: &mut Page,
        filter: &Filter,
        after: Option<&Position>,
        tasks: Vec<&Task>,
    ) -> bool {
        for task in tasks {
            let seen = after.is_some_and(|(path, instance, number)| {
                let position = (&*self.state.job(task.job).path, task.instance);
                (position, u64::MAX - task.number.0) <= ((path.as_str(), *instance), *number)
            });
            if seen || !self.task_matches(filter, task) {
                continue;
            }
            if page.response.tasks.len() == page.size {
                page.response.next_page_token = token_of(&page.response);
                return true;
            }
            self.push_task(&mut page.response, task, page.bare);
        }
        false
    }

    /// Tasks by job, instance and age, the newest attempt first.
    fn in_order<'a>(&'a self, numbers: impl Iterator<Item = &'a TaskNumber>) -> Vec<&'a Task> {
        let mut tasks: Vec<&Task> = numbers
            .filter_map(|number| self.state.tasks.get(number))
            .collect();
        tasks.sort_unstable_by(|one, other| {
            let path = |task: &Task| &*self.state.job(task.job).path;
            let jobs = if one.job == other.job {
                std::cmp::Ordering::Equal
            } else {
                path(one).cmp(path(other))
            };
            jobs.then(one.instance.cmp(&other.instance))
                .then(other.number.cmp(&one.number))
        });
        tasks
    }

    /// Returns one task by id.
    pub fn get_task(&self, id: &str) -> Option<v1::Task> {
        self.find_task(id).map(|task| self.task_to_proto(task))
    }

    /// Jobs by path from `start` on: one at most if the pattern names it in full.
    fn jobs_from(
        &self,
        start: &str,
        pattern: &JobPattern,
    ) -> impl Iterator<Item = (&Arc<str>, &JobIdx)> {
        let exact = pattern.exact_path();
        let first = exact.as_deref().map_or(start, |exact| exact.max(start));
        let last = match exact.as_deref() {
            Some(exact) if exact >= first => Bound::Included(exact),
            Some(_) => Bound::Excluded(first),
            None => Bound::Unbounded,
        };
        self.state
            .jobs_by_path
            .range::<str, _>((Bound::Included(first), last))
    }

    fn task_filter(&self, request: &v1::ListTasksRequest) -> Result<Filter, ApiError> {
        let ids = (!request.task_ids.is_empty()).then(|| {
            let known = request.task_ids.iter().filter_map(|id| self.find_task(id));
            known.map(|task| task.number).collect()
        });
        Ok(Filter {
            pattern: JobPattern::new(request.filter.as_ref())?,
            instances: instance_filter(&request.instances)?,
            states: request.states.iter().copied().collect(),
            ids,
            hosts: request.hosts.iter().cloned().collect(),
        })
    }

    fn task_matches(&self, filter: &Filter, task: &Task) -> bool {
        let host = || task.agent.map(|agent| &*self.state.agent(agent).host);
        (filter.states.is_empty() || filter.states.contains(&task.state.into()))
            && filter
                .instances
                .as_ref()
                .is_none_or(|set| set.contains(task.instance))
            && (filter.hosts.is_empty() || host().is_some_and(|host| filter.hosts.contains(host)))
            && filter.pattern.matches(&self.state.job(task.job).key)
    }

    fn push_task(&self, response: &mut v1::ListTasksResponse, task: &Task, bare: bool) {
        let config = self.state.config(task.config);
        if !bare {
            response
                .configs
                .entry(digest_text(&config.digest))
                .or_insert_with(|| (*config.proto).clone());
        }
        response.tasks.push(self.task_to_proto(task));
    }

    pub(crate) fn task_to_proto(&self, task: &Task) -> v1::Task {
        let job = self.state.job(task.job);
        let config = self.state.config(task.config);
        let agent = task.agent.map(|agent| self.state.agent(agent));
        let ports: BTreeMap<String, u32> = config
            .proto
            .ports
            .iter()
            .cloned()
            .zip(task.ports.iter().map(|port| u32::from(*port)))
            .collect();
        let ancestor = task.ancestor.map(|number| {
            let number = TaskNumber(number.get());
            let epoch = self
                .state
                .tasks
                .get(&number)
                .map_or(task.epoch, |task| task.epoch);
            crate::ids::task_id(&job.key, task.instance, epoch, number)
        });
        v1::Task {
            task_id: self.task_id(task),
            job: Some(job.key.clone()),
            instance: task.instance,
            state: task.state.into(),
            events: task
                .events
                .iter()
                .map(|event| v1::TaskEvent {
                    timestamp_ms: event.at.0,
                    state: event.state.into(),
                    message: event.message.as_deref().unwrap_or_default().to_owned(),
                })
                .collect(),
            agent_id: agent.map(|agent| agent.id.to_string()).unwrap_or_default(),
            host: agent
                .map(|agent| agent.host.to_string())
                .unwrap_or_default(),
            ports,
            failure_count: task.failures,
            times_partitioned: task.times_partitioned,
            ancestor_id: ancestor.unwrap_or_default(),
            config_digest: digest_text(&config.digest),
        }
    }
}

/// Where a page ended: job, instance, and the complement of the task's number.
type Position = (String, u32, u64);

fn token_of(response: &v1::ListTasksResponse) -> String {
    let Some(task) = response.tasks.last() else {
        return String::new();
    };
    let path = task
        .job
        .as_ref()
        .map(crate::ids::job_path)
        .unwrap_or_default();
    let number = crate::ids::parse_task_id(&task.task_id).map_or(0, |(_, number)| number.0);
    format!("{path}:{}:{number}", task.instance)
}

fn parse_token(token: &str) -> Result<Option<Position>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    let mut parts = token.rsplitn(3, ':');
    let number: u64 = parts
        .next()
        .and_then(|n| n.parse().ok())
        .ok_or_else(bad_token)?;
    let instance = parts
        .next()
        .and_then(|n| n.parse().ok())
        .ok_or_else(bad_token)?;
    let path = parts.next().ok_or_else(bad_token)?.to_owned();
    Ok(Some((path, instance, u64::MAX - number)))
}

/// Whether a task in this state waits for a host.
pub(crate) fn waits(state: TaskState) -> bool {
    matches!(state, TaskState::Pending | TaskState::Throttled)
}
