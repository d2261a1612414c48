//! The life of executors: start, idleness, absence, end.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use aurora_core::cluster::ReportedState;
use aurora_mesos::agent_endpoint::ExecutorKey;
use aurora_mesos::v1::executor::{Event, event};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::credentials::{hash_token, new_token};
use super::error::EmbeddedError;
use super::executor_dir::{ExecutorDir, ExecutorRecord, ExecutorStart};
use super::journal::Journal;
use super::leftovers::kill_leftovers;
use super::process::ProcessHandle;
use super::slot::{Link, Slot, SlotId};
use super::state::{Command, Report, State};
use super::updates::shutdown_event;

const HEARTBEAT: Duration = Duration::from_secs(60);
const KILL_AGAIN: Duration = Duration::from_secs(5);
// What an executor sent with its last breath may still be in a socket.
const LAST_WORDS: Duration = Duration::from_millis(50);
const MAX_ROLE_IN_ID: usize = 64;
const MAX_BURIED_EXECUTORS: usize = 16;

impl State {
    /// Returns the executor of a role, which is started if there is none.
    pub(super) fn slot_for(&mut self, agent: usize, role: &str) -> Result<SlotId, EmbeddedError> {
        let key = (agent, role.to_owned());
        if let Some(id) = self.slot_of_role.get(&key)
            && self.slots.get(id).is_some_and(Slot::takes_tasks)
        {
            return Ok(*id);
        }
        let id = self.start_executor(agent, role)?;
        self.slot_of_role.insert(key, id);
        Ok(id)
    }

    fn start_executor(&mut self, agent_index: usize, role: &str) -> Result<SlotId, EmbeddedError> {
        let Some(agent) = self.agents.get(agent_index) else {
            return Err(EmbeddedError::NoSuchAgent(agent_index));
        };
        let executor_id = new_executor_id(agent_index, role)?;
        let executors_dir = agent.dir.join("executors");
        let dir = ExecutorDir::create(&executors_dir, &executor_id)
            .map_err(EmbeddedError::file("make a directory in", &executors_dir))?;
        let token = new_token(&executor_id)?;
        let hash = hash_token(&token);
        let mut record = ExecutorRecord {
            framework_id: self.framework_id.clone(),
            executor_id: executor_id.clone(),
            role: role.to_owned(),
            token_sha256: hex::encode(hash),
            pid: None,
            start_time: None,
        };
        let key = Arc::new(ExecutorKey {
            framework_id: self.framework_id.clone(),
            executor_id,
        });
        // It may call as soon as it runs.
        self.credentials.admit(Arc::clone(&key), hash);
        let start = ExecutorStart {
            command: &self.config.executor,
            token: &token,
            agent_id: &agent.id,
            endpoint: &self.endpoint.address,
            endpoint_file: &self.endpoint.file,
            timeouts: &self.config.timeouts,
        };
        let (journal, process, child) = match start_process(&dir, &start, &mut record) {
            Ok(started) => started,
            Err(error) => {
                self.credentials.revoke(&key.executor_id);
                dir.delete().unwrap_or_default();
                return Err(EmbeddedError::file("start an executor in", dir.path())(
                    error,
                ));
            }
        };
        self.metrics.executor_starts.add(1);
        tracing::info!(
            executor = key.executor_id,
            pid = process.name.pid,
            "started an executor"
        );
        let deadline = Instant::now() + self.config.timeouts.registration;
        let slot = Slot {
            process: Some(process),
            link: Link::Awaited { deadline },
            ..Slot::new(agent_index, role.to_owned(), key, dir, journal)
        };
        Ok(self.add_slot(slot, Some(child)))
    }

    /// Takes an executor in and watches its process.
    pub(super) fn add_slot(&mut self, slot: Slot, child: Option<Child>) -> SlotId {
        self.next_slot += 1;
        let id = self.next_slot;
        if let Some(process) = slot.process.clone() {
            let commands = self.commands.clone();
            let stop = self.stop.clone();
            self.metrics.executors.add(1);
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    status = process.ended(child) => {
                        // The owner may be gone by now, and with it the interest.
                        commands.send(Command::ExecutorEnded(id, status)).unwrap_or_default();
                    }
                }
            });
        }
        self.slot_of_executor
            .insert(slot.key.executor_id.clone(), id);
        self.slots.insert(id, slot);
        id
    }

    /// Begins to clear up after an executor whose process is gone.
    pub(super) fn executor_ended(&mut self, id: SlotId, status: Option<ExitStatus>) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        slot.link = Link::Gone;
        if slot.end.is_empty() {
            let how = status.map_or_else(|| "status unknown".to_owned(), |s| s.to_string());
            slot.end = format!("the task's executor ended ({how})");
        }
        let end = slot.end.as_str();
        tracing::info!(
            executor = slot.key.executor_id,
            n_tasks = slot.tasks.len(),
            end
        );
        let tasks = slot.tasks.clone();
        let commands = self.commands.clone();
        tokio::spawn(async move {
            tokio::time::sleep(LAST_WORDS).await;
            let cleared = tokio::task::spawn_blocking(move || kill_leftovers(&tasks)).await;
            if let Err(error) = cleared {
                tracing::error!(%error, "failed to end what an executor left behind");
            }
            commands
                .send(Command::LeftoversEnded(id))
                .unwrap_or_default();
        });
    }

    /// Reports the tasks of an executor of which nothing runs any more.
    pub(super) fn leftovers_ended(&mut self, id: SlotId) {
        let Some(mut slot) = self.slots.remove(&id) else {
            return;
        };
        self.credentials.revoke(&slot.key.executor_id);
        self.slot_of_executor.remove(&slot.key.executor_id);
        let role = (slot.agent, std::mem::take(&mut slot.role));
        if self.slot_of_role.get(&role) == Some(&id) {
            self.slot_of_role.remove(&role);
        }
        let mut n_lost = 0_u64;
        for task_id in &slot.tasks {
            let Some(entry) = self.tasks.get(task_id) else {
                continue;
            };
            if entry.has_ended() {
                // Forgotten once the core has acknowledged it.
                continue;
            }
            let agent = Some(entry.agent);
            let state = match entry.kill {
                Some(_) => ReportedState::Killed,
                None if slot.has_subscribed => ReportedState::Lost,
                // The executor cannot start: as a failure it is tried again ever more slowly.
                None => ReportedState::Failed,
            };
            n_lost += 1;
            self.forget(task_id);
            self.report(
                task_id,
                state,
                Report {
                    agent,
                    message: &slot.end,
                    token: &[],
                },
            );
        }
        if n_lost > 0 {
            self.metrics.executor_losses.add(1);
        }
        let n_alive = self
            .slots
            .values()
            .filter(|slot| slot.process.is_some())
            .count();
        self.metrics.executors.set(n_alive as u64);
        self.clear_directory(&slot, n_lost > 0);
        if self.slots.is_empty()
            && let Some(done) = self.all_ended.take()
        {
            done.send(()).unwrap_or_default();
        }
    }

    // The output of an executor that took tasks with it is kept, for whoever wants to know why.
    fn clear_directory(&self, slot: &Slot, keep_output: bool) {
        let cleared = match self.agents.get(slot.agent) {
            Some(agent) if keep_output => slot.dir.bury().and_then(|()| {
                ExecutorDir::prune_buried(&agent.dir.join("executors"), MAX_BURIED_EXECUTORS)
            }),
            Some(_) | None => slot.dir.delete(),
        };
        if let Err(error) = cleared {
            tracing::warn!(%error, "failed to clear an executor's directory");
        }
    }

    /// Looks after what time brings.
    pub(super) fn tick(&mut self, now: Instant) {
        let beat = self.next_heartbeat <= now;
        if beat {
            self.next_heartbeat = now + HEARTBEAT;
        }
        let timeouts = self.config.timeouts;
        for (id, slot) in &mut self.slots {
            // Whatever could not be written or sent is tried again.
            self.dirty.insert(*id);
            match &slot.link {
                Link::Up(events) if events.is_closed() => {
                    slot.link = Link::Awaited {
                        deadline: now + timeouts.return_within,
                    };
                }
                Link::Up(_) if slot.idle_since.is_some_and(|at| at + timeouts.idle <= now) => {
                    end(slot, now + timeouts.shutdown_grace, "the executor was idle");
                }
                Link::Up(_) if beat => slot.push(heartbeat_event()),
                Link::Awaited { deadline } if *deadline <= now => {
                    end(slot, now, "the task's executor did not subscribe in time");
                }
                Link::Ending { kill_at, .. } if *kill_at <= now => {
                    if let Some(process) = &slot.process {
                        process.kill();
                    }
                    slot.link = Link::Ending {
                        kill_at: now + KILL_AGAIN,
                        events: None,
                    };
                }
                Link::Up(_) | Link::Awaited { .. } | Link::Ending { .. } | Link::Gone => {}
            }
        }
    }

    /// Ends every executor; `done` hears of it.
    pub(super) fn end_all(&mut self, done: oneshot::Sender<()>) {
        // The core may no longer answer, and executors wait for it with their end.
        let unacknowledged: Vec<_> = self
            .tasks
            .iter()
            .flat_map(|(task_id, entry)| {
                entry
                    .unacknowledged
                    .iter()
                    .map(|(uuid, _)| (Arc::clone(task_id), uuid.clone()))
            })
            .collect();
        for (task_id, uuid) in unacknowledged {
            self.acknowledge(&task_id, &uuid);
        }
        let kill_at = Instant::now() + self.config.timeouts.shutdown_grace;
        for slot in self.slots.values_mut() {
            for task_id in &slot.tasks {
                if let Some(entry) = self.tasks.get_mut(task_id) {
                    entry.kill = Some(super::task_entry::KillOrder { grace: None });
                }
            }
            end(slot, kill_at, "the cluster was stopped");
        }
        self.dirty.extend(self.slots.keys());
        if self.slots.is_empty() {
            done.send(()).unwrap_or_default();
        } else {
            self.all_ended = Some(done);
        }
    }
}

fn start_process(
    dir: &ExecutorDir,
    start: &ExecutorStart<'_>,
    record: &mut ExecutorRecord,
) -> io::Result<(Journal, ProcessHandle, Child)> {
    let journal = Journal::create(dir.journal(), std::iter::empty())?;
    // Written before the start, so that a scheduler killed in between finds its executor.
    dir.write_record(record)?;
    let mut child = dir.spawn(start, record)?;
    let process = match i32::try_from(child.id()).map_err(io::Error::other) {
        Ok(pid) => ProcessHandle::open(pid),
        Err(error) => Err(error),
    };
    let process = match process {
        Ok(process) => process,
        Err(error) => {
            child
                .kill()
                .and_then(|()| child.wait().map(drop))
                .unwrap_or_default();
            return Err(error);
        }
    };
    record.pid = Some(process.name.pid);
    record.start_time = Some(process.name.start_time);
    if let Err(error) = dir.write_record(record) {
        // It is found through its environment then.
        tracing::warn!(%error, "failed to note the process of an executor");
    }
    Ok((journal, process, child))
}

// Asks an executor to end, as far as it can hear us.
fn end(slot: &mut Slot, kill_at: Instant, why: &str) {
    slot.link = match std::mem::replace(&mut slot.link, Link::Gone) {
        // After what is queued, which may be the acknowledgements that it waits for.
        Link::Up(events) => {
            slot.push(shutdown_event());
            Link::Ending {
                kill_at,
                events: Some(events),
            }
        }
        Link::Awaited { .. } => Link::Ending {
            kill_at: Instant::now(),
            events: None,
        },
        ended @ (Link::Ending { .. } | Link::Gone) => {
            slot.link = ended;
            return;
        }
    };
    why.clone_into(&mut slot.end);
}

fn heartbeat_event() -> Event {
    Event {
        r#type: Some(event::Type::Heartbeat.into()),
        ..Event::default()
    }
}

fn new_executor_id(agent: usize, role: &str) -> Result<String, EmbeddedError> {
    let mut nonce = [0; 6];
    getrandom::fill(&mut nonce).map_err(EmbeddedError::Random)?;
    let role: String = role
        .chars()
        .take(MAX_ROLE_IN_ID)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    Ok(format!("{role}-{agent}-{}", hex::encode(nonce)))
}
