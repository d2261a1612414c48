//! The jobs of a `dev` session: submits them, tells what becomes of them, follows their output.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use aurora_proto::v1::{ReadTaskLogRequest, Task, TaskState};
use tokio::{task::JoinSet, time};

use crate::{
    api::{Api, request::Requester},
    commands::{
        job::create,
        task::log_stream::{LogLine, LogReader},
    },
    error::CliResult,
    evaluate::DeclaredJob,
    exit_status::ExitStatus,
    job_key::JobKey,
    output::Output,
    task_state::{Phase, has_ended, name, newest, phase, reason},
};

const FIRST_POLL: Duration = Duration::from_millis(50);
const LAST_POLL: Duration = Duration::from_millis(1_000);
/// More streams at a time are no use to a reader.
const MAX_FOLLOWED: usize = 64;
/// How long the output of ended tasks may take to arrive.
const LAST_OUTPUT: Duration = Duration::from_secs(10);

/// How the jobs ended.
pub(super) enum Outcome {
    AllFinished,
    SomeFailed(String),
}

/// A job of the session.
#[derive(Debug)]
struct DevJob {
    key: JobKey,
    instances: u64,
    service: bool,
    states: HashMap<String, TaskState>,
}

pub(super) struct DevJobs {
    api: Api,
    output: Output,
    jobs: Vec<DevJob>,
    /// Jobs that were not submitted, with the reason.
    skipped: Vec<String>,
    followed: HashSet<String>,
    readers: JoinSet<()>,
}

impl DevJobs {
    pub(super) fn new(api: Api, output: Output) -> Self {
        Self {
            api,
            output,
            jobs: Vec::new(),
            skipped: Vec::new(),
            followed: HashSet::new(),
            readers: JoinSet::new(),
        }
    }

    /// Submits the jobs that can be run here.
    pub(super) async fn submit_all(&mut self, jobs: Vec<DeclaredJob>) -> CliResult {
        for job in jobs {
            self.submit(job).await?;
        }
        Ok(())
    }

    async fn submit(&mut self, job: DeclaredJob) -> CliResult {
        let key = job.key.clone();
        if !job.unsupported.is_empty() {
            self.skip(format!(
                "{key}: not run by this release: {}",
                job.unsupported.join("; ")
            ));
            return Ok(());
        }
        if key.cluster != self.api.cluster {
            self.skip(format!("{key}: this is the cluster `{}`", self.api.cluster));
            self.output
                .hint(&format!("start with --cluster-name {}", key.cluster));
            return Ok(());
        }
        let instances = u64::from(job.config.instances);
        let service = job.config.task.as_ref().is_some_and(|task| task.service);
        match create::submit(&self.api, job, &Requester::random("aurora-rs dev")?).await {
            Ok((_, instances)) => self.output.note(&format!("{key}/{instances} created")),
            // As with a data directory of an earlier session.
            Err(error) if error.status() == ExitStatus::Refused => {
                let tasks = self.api.tasks_of(&key, None).await?;
                if tasks.iter().all(has_ended) {
                    self.skip(format!("{key}: {error}"));
                    return Ok(());
                }
                self.output.warning(&format!(
                    "{key} is there already and goes on as it is; to run what the file says now, \
                     end it first with `aurora-rs job killall {key}`"
                ));
            }
            Err(error) => return Err(error),
        }
        self.jobs.push(DevJob {
            key,
            instances,
            service,
            states: HashMap::new(),
        });
        Ok(())
    }

    fn skip(&mut self, why: String) {
        self.output.warning(&format!("skipped {why}"));
        self.skipped.push(why);
    }

    /// Tells what happens until every job has ended and its output is shown.
    pub(super) async fn follow_until_done(mut self) -> CliResult<Outcome> {
        if let Some(service) = self.jobs.iter().find(|job| job.service) {
            self.output
                .warning(&format!("{} is a service and will not end", service.key));
        }
        let mut pause = FIRST_POLL;
        loop {
            let (changed, results) = self.look().await?;
            if let Some(results) = results {
                // Best effort: a task may have left a process that keeps its output open.
                drop(time::timeout(LAST_OUTPUT, self.readers.join_all()).await);
                return Ok(outcome(&results, &self.skipped));
            }
            pause = next_pause(pause, changed);
            time::sleep(pause).await;
        }
    }

    /// Tells what happens until the session is stopped.
    pub(super) async fn follow_for_ever(mut self) -> CliResult {
        let mut pause = FIRST_POLL;
        let mut hinted = self.jobs.is_empty();
        loop {
            let (changed, results) = self.look().await?;
            if results.is_some() && !hinted {
                hinted = true;
                self.output
                    .note("all jobs have ended; Ctrl-C to stop the scheduler");
            }
            pause = next_pause(pause, changed);
            time::sleep(pause).await;
        }
    }

    /// Looks at every job once: tells what changed and, once all have ended, returns how.
    async fn look(&mut self) -> CliResult<(bool, Option<Vec<String>>)> {
        let mut changed = false;
        let (mut all_ended, mut failures) = (true, Vec::new());
        for index in 0..self.jobs.len() {
            let key = self.jobs[index].key.clone();
            let tasks = self.api.tasks_of(&key, None).await?;
            for task in tasks.iter().rev() {
                changed |= self.tell(index, task);
            }
            let newest = newest(&tasks);
            let job = &self.jobs[index];
            let ended = newest.values().filter(|task| has_ended(task)).count() as u64;
            all_ended &= ended >= job.instances;
            failures.extend(failed(&key, &newest));
        }
        while self.readers.try_join_next().is_some() {}
        Ok((changed, all_ended.then_some(failures)))
    }

    /// Tells the state of a task if it is new.
    fn tell(&mut self, index: usize, task: &Task) -> bool {
        let state = task.state();
        let job = &mut self.jobs[index];
        if job.states.get(&task.task_id) == Some(&state) {
            return false;
        }
        job.states.insert(task.task_id.clone(), state);
        let label = format!("{}/{}", job.key, task.instance);
        let host = if task.host.is_empty() {
            String::new()
        } else {
            format!(" on {}", task.host)
        };
        let words = match phase(state) {
            Phase::Finished | Phase::Ended => reason(task),
            Phase::Waiting | Phase::Running | Phase::Ending => name(state).to_owned(),
        };
        self.output.note(&format!("{label} {words}{host}"));
        let has_run = match phase(state) {
            Phase::Running | Phase::Ending => true,
            Phase::Finished | Phase::Ended => !task.host.is_empty(),
            Phase::Waiting => false,
        };
        if has_run {
            self.follow(label, &task.task_id);
        }
        true
    }

    /// Starts to show the output of a task.
    fn follow(&mut self, label: String, task_id: &str) {
        if self.followed.contains(task_id) {
            return;
        }
        if self.readers.len() >= MAX_FOLLOWED {
            if self.readers.len() == MAX_FOLLOWED && self.followed.insert(task_id.to_owned()) {
                self.output.note(&format!(
                    "{label}: output not shown, as that of {MAX_FOLLOWED} tasks is; use \
                     `aurora-rs task logs`"
                ));
            }
            return;
        }
        self.followed.insert(task_id.to_owned());
        let (api, output) = (self.api.clone(), self.output);
        let request = ReadTaskLogRequest {
            task_id: task_id.to_owned(),
            follow: true,
            ..ReadTaskLogRequest::default()
        };
        self.readers.spawn(async move {
            let mut take = |line: LogLine| show(output, &label, &line);
            let read = LogReader::new(request)
                .read(&api, LAST_OUTPUT, &mut take)
                .await;
            if let Err(error) = read
                && error.status() != ExitStatus::InvalidParameter
            {
                output.warning(&format!("{label}: {error}"));
            }
        });
    }
}

fn show(output: Output, label: &str, line: &LogLine) -> CliResult {
    let mut bytes = format!("{label} {} | ", line.file.process).into_bytes();
    bytes.extend_from_slice(&line.text);
    if bytes.last() != Some(&b'\n') {
        bytes.push(b'\n');
    }
    output.bytes(&bytes)
}

fn next_pause(pause: Duration, changed: bool) -> Duration {
    if changed {
        FIRST_POLL
    } else {
        (pause * 3 / 2).min(LAST_POLL)
    }
}

fn failed(key: &JobKey, newest: &BTreeMap<u32, &Task>) -> Vec<String> {
    newest
        .values()
        .filter(|task| phase(task.state()) == Phase::Ended)
        .map(|task| format!("{key}/{} {}", task.instance, reason(task)))
        .collect()
}

fn outcome(failures: &[String], skipped: &[String]) -> Outcome {
    if failures.is_empty() && skipped.is_empty() {
        return Outcome::AllFinished;
    }
    let mut parts = Vec::new();
    if !failures.is_empty() {
        parts.push(format!("not finished: {}", failures.join("; ")));
    }
    if !skipped.is_empty() {
        parts.push(format!("not run: {}", skipped.join("; ")));
    }
    Outcome::SomeFailed(parts.join("; "))
}
