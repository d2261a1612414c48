//! Entities to stored records and back.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use aurora_proto::storage::v1 as stored;
use aurora_proto::v1::{self, TaskState};
use prost::Message;

use crate::agent::Agent;
use crate::config::{Config, ConfigDigest};
use crate::ids::TaskNumber;
use crate::job::Job;
use crate::state::{AnsweredRequest, Meta, State};
use crate::store::{FORMAT, Table, Write};
use crate::task::{Event, Task};
use crate::time::Timestamp;

/// The key of the one record of [`Table::Meta`].
pub const META_KEY: &[u8] = b"meta";

/// A record that cannot be what the scheduler wrote.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It does not decode.
    #[error("cannot decode a record of table `{table}`: {source}")]
    Decode {
        /// The table's name.
        table: &'static str,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// It decodes and makes no sense.
    #[error("a record of table `{table}` is not sound: {reason}")]
    Unsound {
        /// The table's name.
        table: &'static str,
        /// Why.
        reason: String,
    },
}

impl State {
    /// Takes in one record, tables in the order of [`Table::ALL`].
    pub(crate) fn load(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let unsound = |reason: &str| LoadError::Unsound {
            table: table.name(),
            reason: format!("key {}: {reason}", String::from_utf8_lossy(key)),
        };
        if table != Table::Meta && self.meta.is_none() {
            return Err(unsound("the store has no meta record"));
        }
        match table {
            Table::Meta => self
                .load_meta(&decode(table, value)?)
                .map_err(|r| unsound(&r))?,
            Table::Configs => self
                .load_config(decode(table, value)?, key)
                .map_err(unsound)?,
            Table::Jobs => self
                .load_job(decode(table, value)?)
                .map_err(|r| unsound(&r))?,
            Table::Agents => self.load_agent(decode(table, value)?),
            Table::Tasks => self.load_task(decode(table, value)?).map_err(unsound)?,
            Table::Requests => self.load_request(decode(table, value)?).map_err(unsound)?,
            Table::Frameworks => {
                let record: stored::FrameworkRecord = decode(table, value)?;
                self.frameworks.insert(record.engine, record.framework_id);
            }
        }
        Ok(())
    }

    fn load_meta(&mut self, record: &stored::Meta) -> Result<(), String> {
        if record.format > FORMAT {
            return Err(format!(
                "its format is {}, and this release reads up to {FORMAT}",
                record.format
            ));
        }
        self.meta = Some(Meta {
            cluster_name: record.cluster_name.clone(),
            created: Timestamp(record.created_ms),
            epoch: record.epoch,
            next_task: record.next_task,
        });
        Ok(())
    }

    fn load_config(
        &mut self,
        record: stored::ConfigRecord,
        key: &[u8],
    ) -> Result<(), &'static str> {
        let mut config = Config::new(record.config.ok_or("no configuration in it")?);
        // The key is what tasks refer to. It stays the name of the configuration even where an
        // older release, which encoded it differently, has chosen it.
        config.digest = key.try_into().map_err(|_| "the key is no SHA-256")?;
        self.insert_config(config);
        Ok(())
    }

    fn load_job(&mut self, record: stored::JobRecord) -> Result<(), String> {
        let state = record.state();
        let key = record.key.ok_or("no key in it")?;
        let config = self
            .digest_to_idx(&record.config_digest)
            .ok_or("its configuration is not in the store")?;
        let path: Arc<str> = crate::ids::job_path(&key).into();
        if self.jobs_by_path.contains_key(&path) {
            return Err("the job is there twice".to_owned());
        }
        self.insert_job(Job {
            path,
            key,
            proto: record.config.ok_or("no job configuration in it")?,
            config,
            version: record.version,
            created: Timestamp(record.created_ms),
            updated: Timestamp(record.updated_ms),
            state,
            events: record
                .events
                .into_iter()
                .map(job_event_from_record)
                .collect(),
            active: BTreeMap::new(),
            ended: BTreeSet::new(),
            counts: [0; 16],
        });
        Ok(())
    }

    fn load_agent(&mut self, record: stored::AgentRecord) {
        let attributes = record
            .attributes
            .into_iter()
            .map(|attribute| (attribute.name, attribute.values.into_iter().collect()))
            .collect();
        let mut agent = Agent::new(
            record.agent_id.into(),
            record.host.into(),
            Arc::new(attributes),
        );
        agent.stored = true;
        self.insert_agent(agent);
    }

    fn load_task(&mut self, record: stored::TaskRecord) -> Result<(), &'static str> {
        let job = self
            .job_idx(&record.job)
            .ok_or("its job is not in the store")?;
        let config = self
            .digest_to_idx(&record.config_digest)
            .ok_or("its configuration is not in the store")?;
        let agent = match record.agent_id.as_str() {
            "" => None,
            id => Some(self.agents_by_id.get(id).copied().unwrap_or_else(|| {
                self.insert_agent(Agent::new(
                    id.into(),
                    record.host.as_str().into(),
                    Arc::default(),
                ))
            })),
        };
        let state = record.state();
        let ports = assigned_ports(&self.config(config).proto.ports, &record.ports)?;
        let task = Task {
            number: TaskNumber(record.number),
            job,
            config,
            instance: record.instance,
            epoch: record.epoch,
            state,
            agent,
            ports,
            failures: record.failure_count,
            times_partitioned: record.times_partitioned,
            flaps: record.flaps,
            ancestor: NonZeroU64::new(record.ancestor),
            events: record.events.into_iter().map(event_from_record).collect(),
            dirty: false,
        };
        if matches!(state, TaskState::Unspecified | TaskState::Init) {
            return Err("its state is unknown to this release");
        }
        if self
            .meta
            .as_ref()
            .is_none_or(|meta| task.number.0 >= meta.next_task)
        {
            return Err("its number has not been given out yet");
        }
        if self.tasks.get(&task.number).is_some() {
            return Err("its number is there twice");
        }
        if task.is_on_agent() && task.agent.is_none() {
            return Err("it was placed, but on no agent");
        }
        if task.events.last().map(|event| event.state) != Some(state) {
            return Err("its last event is not its state");
        }
        if !task.is_terminal() && self.job(job).active.contains_key(&task.instance) {
            return Err("its instance has another active task");
        }
        self.insert_task(task);
        Ok(())
    }

    fn load_request(&mut self, record: stored::RequestRecord) -> Result<(), &'static str> {
        let request = AnsweredRequest {
            fingerprint: record
                .fingerprint
                .try_into()
                .map_err(|_| "its fingerprint is no SHA-256")?,
            answered: Timestamp(record.answered_ms),
            method: record.method,
            response: record.response,
        };
        self.remember_request(record.request_id, request);
        Ok(())
    }

    fn digest_to_idx(&self, digest: &[u8]) -> Option<crate::ids::ConfigIdx> {
        let digest: ConfigDigest = digest.try_into().ok()?;
        self.configs_by_digest.get(&digest).copied()
    }

    /// Puts the loaded records in order and forgets that they were changed.
    pub(crate) fn finish_load(&mut self) {
        self.request_order.make_contiguous().sort();
        self.dirty = crate::state::Dirty::default();
        for task in self.tasks.values_mut() {
            task.dirty = false;
        }
        // A crash between two releases may leave configurations that nothing uses.
        let unused: Vec<_> = self
            .configs
            .iter()
            .filter(|(_, config)| config.users == 0)
            .map(|(idx, _)| crate::ids::ConfigIdx::new(idx))
            .collect();
        for idx in unused {
            self.release_config(idx);
        }
        self.forget_agents(|agent| agent.stored);
    }

    /// Returns what the store has to write, and marks it as written.
    pub(crate) fn take_writes(&mut self) -> Vec<Write> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut writes = Vec::with_capacity(dirty.tasks.len() + dirty.requests.len() + 8);
        if dirty.meta
            && let Some(meta) = &self.meta
        {
            writes.push(write(Table::Meta, META_KEY, Some(meta_record(meta))));
        }
        for digest in dirty.configs {
            let record = self
                .configs_by_digest
                .get(&digest)
                .map(|idx| stored::ConfigRecord {
                    config: Some((*self.config(*idx).proto).clone()),
                });
            writes.push(write(Table::Configs, digest, record));
        }
        for path in dirty.jobs {
            let record = self.job_idx(&path).map(|idx| self.job_record(idx));
            writes.push(write(Table::Jobs, path.as_bytes(), record));
        }
        for id in dirty.agents {
            let record = self
                .agents_by_id
                .get(&id)
                .map(|idx| agent_record(self.agent(*idx)));
            writes.push(write(Table::Agents, id.as_bytes(), record));
        }
        for number in dirty.tasks {
            if let Some(task) = self.tasks.get_mut(&number) {
                task.dirty = false;
            }
            let record = self.tasks.get(&number).map(|task| self.task_record(task));
            writes.push(write(Table::Tasks, number.0.to_be_bytes(), record));
        }
        for id in dirty.requests {
            let record = self
                .requests
                .get(&id)
                .map(|request| request_record(&id, request));
            writes.push(write(Table::Requests, id, record));
        }
        for engine in dirty.frameworks {
            let framework_id = self.frameworks.get(&engine).cloned();
            let record = framework_id.map(|framework_id| stored::FrameworkRecord {
                engine: engine.clone(),
                framework_id,
            });
            writes.push(write(Table::Frameworks, engine, record));
        }
        writes
    }

    fn job_record(&self, idx: crate::ids::JobIdx) -> stored::JobRecord {
        let job = self.job(idx);
        stored::JobRecord {
            key: Some(job.key.clone()),
            config: Some(job.proto.clone()),
            config_digest: self.config(job.config).digest.to_vec(),
            version: job.version,
            created_ms: job.created.0,
            updated_ms: job.updated.0,
            state: job.state.into(),
            events: job.events.iter().map(job_event_to_record).collect(),
        }
    }

    fn task_record(&self, task: &Task) -> stored::TaskRecord {
        let config = self.config(task.config);
        let agent = task.agent.map(|agent| self.agent(agent));
        stored::TaskRecord {
            number: task.number.0,
            job: self.job(task.job).path.to_string(),
            instance: task.instance,
            config_digest: config.digest.to_vec(),
            state: task.state.into(),
            events: task.events.iter().map(event_to_record).collect(),
            agent_id: agent.map(|agent| agent.id.to_string()).unwrap_or_default(),
            host: agent
                .map(|agent| agent.host.to_string())
                .unwrap_or_default(),
            ports: config
                .proto
                .ports
                .iter()
                .zip(&task.ports)
                .map(|(name, port)| stored::AssignedPortRecord {
                    name: name.clone(),
                    port: u32::from(*port),
                })
                .collect(),
            failure_count: task.failures,
            times_partitioned: task.times_partitioned,
            ancestor: task.ancestor.map_or(0, NonZeroU64::get),
            flaps: task.flaps,
            epoch: task.epoch,
        }
    }
}

/// Returns the ports in the order of their names; a task that was never placed has none.
fn assigned_ports(
    names: &[String],
    records: &[stored::AssignedPortRecord],
) -> Result<Box<[u16]>, &'static str> {
    if records.is_empty() {
        return Ok(Box::default());
    }
    let port = |name: &String| {
        let record = records.iter().find(|record| record.name == *name);
        let record = record.ok_or("it lacks a port")?;
        u16::try_from(record.port).map_err(|_| "it has an impossible port")
    };
    names.iter().map(port).collect()
}

fn decode<M: Message + Default>(table: Table, value: &[u8]) -> Result<M, LoadError> {
    M::decode(value).map_err(|source| LoadError::Decode {
        table: table.name(),
        source,
    })
}

/// A record to be put, or, absent, to be deleted.
fn write(table: Table, key: impl Into<Vec<u8>>, record: Option<impl Message>) -> Write {
    Write {
        table,
        key: key.into(),
        value: record.map(|record| record.encode_to_vec()),
    }
}

fn meta_record(meta: &Meta) -> stored::Meta {
    stored::Meta {
        format: FORMAT,
        cluster_name: meta.cluster_name.clone(),
        created_ms: meta.created.0,
        epoch: meta.epoch,
        next_task: meta.next_task,
    }
}

fn agent_record(agent: &Agent) -> stored::AgentRecord {
    stored::AgentRecord {
        agent_id: agent.id.to_string(),
        host: agent.host.to_string(),
        attributes: agent
            .attributes
            .iter()
            .map(|(name, values)| stored::AttributeRecord {
                name: name.clone(),
                values: values.iter().cloned().collect(),
            })
            .collect(),
    }
}

fn request_record(id: &str, request: &AnsweredRequest) -> stored::RequestRecord {
    stored::RequestRecord {
        request_id: id.to_owned(),
        fingerprint: request.fingerprint.to_vec(),
        answered_ms: request.answered.0,
        response: request.response.clone(),
        method: request.method.clone(),
    }
}

fn event_from_record(record: stored::TaskEventRecord) -> Event {
    let state = TaskState::try_from(record.state).unwrap_or(TaskState::Unspecified);
    let message = (!record.message.is_empty()).then(|| record.message.into_boxed_str());
    Event {
        at: Timestamp(record.timestamp_ms),
        state,
        message,
    }
}

fn event_to_record(event: &Event) -> stored::TaskEventRecord {
    stored::TaskEventRecord {
        timestamp_ms: event.at.0,
        state: event.state.into(),
        message: event.message.as_deref().unwrap_or_default().to_owned(),
    }
}

fn job_event_from_record(record: stored::JobEventRecord) -> v1::JobEvent {
    v1::JobEvent {
        timestamp_ms: record.timestamp_ms,
        kind: record.kind,
        user: record.user,
        message: record.message,
        request_id: record.request_id,
        version: record.version,
    }
}

fn job_event_to_record(event: &v1::JobEvent) -> stored::JobEventRecord {
    stored::JobEventRecord {
        timestamp_ms: event.timestamp_ms,
        kind: event.kind.clone(),
        user: event.user.clone(),
        message: event.message.clone(),
        request_id: event.request_id.clone(),
        version: event.version,
    }
}
