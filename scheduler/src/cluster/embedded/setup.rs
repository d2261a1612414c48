//! Puts a cluster together from its settings and from what is there from before.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use aurora_core::cluster::AgentId;
use aurora_mesos::agent_endpoint::{ExecutorKey, Limits, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::agent::{AgentState, Pool};
use super::config::EmbeddedConfig;
use super::credentials::{Credentials, TokenHash};
use super::endpoint::{CallTaker, write_endpoint_file};
use super::error::EmbeddedError;
use super::journal::Journal;
use super::machine::{agent_resources, hostname};
use super::metrics::EmbeddedMetrics;
use super::port_ranges::PortRanges;
use super::recovery::{FoundExecutor, WorkDir, find_executors, retire_agent};
use super::sandbox::sandboxes_dir;
use super::slot::{Link, Slot};
use super::state::{Command, EndpointAddress, State};
use super::sweeper::Sweeper;
use super::task_entry::TaskEntry;
use super::task_info::TaskEncoder;
use crate::clock::Clock;
use crate::cluster::EventSink;

// Executors wait when the owner is this far behind.
const MAX_WAITING_CALLS: usize = 4096;

/// What a cluster is made from.
pub(super) struct Parts {
    pub(super) config: EmbeddedConfig,
    pub(super) sink: EventSink,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<EmbeddedMetrics>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) stop: CancellationToken,
}

// What was found on disk.
struct Found {
    work_dir: WorkDir,
    agents: Vec<AgentState>,
    executors: Vec<(usize, FoundExecutor)>,
    retired: Vec<AgentId>,
    sweeper: Sweeper,
}

/// Starts a cluster; returns the directories of its agents.
pub(super) async fn start(
    mut parts: Parts,
    commands: mpsc::UnboundedReceiver<Command>,
    tracker: &TaskTracker,
) -> Result<Vec<PathBuf>, EmbeddedError> {
    make_absolute(&mut parts.config)?;
    let (config, clock, metrics) = (
        parts.config.clone(),
        Arc::clone(&parts.clock),
        Arc::clone(&parts.metrics),
    );
    let found = tokio::task::spawn_blocking(move || look_around(&config, clock, metrics))
        .await
        .map_err(|error| EmbeddedError::Machine {
            what: "state from before",
            source: std::io::Error::other(error),
        })??;
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(EmbeddedError::Listen)?;
    let address = listener
        .local_addr()
        .map_err(EmbeddedError::Listen)?
        .to_string();
    let file = parts.config.work_dir.join("endpoint");

    let credentials = Arc::new(Credentials::default());
    let (sweep_orders, sweep_order_receiver) = mpsc::unbounded_channel();
    let (calls, call_receiver) = mpsc::channel(MAX_WAITING_CALLS);
    let stop = parts.stop.clone();
    let endpoint = EndpointAddress { address, file };
    let mut state = new_state(
        parts,
        found.agents,
        sweep_orders,
        endpoint.clone(),
        Arc::clone(&credentials),
    )?;
    for (agent, executor) in found.executors {
        take_back(&mut state, agent, executor)?;
    }
    // Executors may come as soon as they find the file: everything is ready for them now.
    write_endpoint_file(&endpoint.file, &endpoint.address)
        .map_err(EmbeddedError::file("write", &endpoint.file))?;

    let agent_dirs = state.agents.iter().map(|agent| agent.dir.clone()).collect();
    let work_dir = found.work_dir;
    let retired = found.retired;
    let end = stop.clone().drop_guard();
    tracker.spawn(async move {
        state.run(commands, call_receiver, retired).await;
        // The rest is of no use without it.
        drop(end);
        // The lock is held for as long as the state lives.
        drop(work_dir);
    });
    tracker.spawn(found.sweeper.run(sweep_order_receiver, stop.clone()));
    let taker = Arc::new(CallTaker::new(credentials, calls));
    tracker.spawn(serve(listener, taker, Limits::default(), stop));
    Ok(agent_dirs)
}

// Executors have another working directory.
fn make_absolute(config: &mut EmbeddedConfig) -> Result<(), EmbeddedError> {
    let absolute = |path: &mut PathBuf| -> Result<(), EmbeddedError> {
        *path = std::path::absolute(&*path).map_err(EmbeddedError::file("find", path))?;
        Ok(())
    };
    absolute(&mut config.work_dir)?;
    match &mut config.executor.program {
        // A bare name is looked for in the PATH.
        Some(program) if program.components().count() > 1 => absolute(program),
        Some(_) | None => Ok(()),
    }
}

fn look_around(
    config: &EmbeddedConfig,
    clock: Arc<dyn Clock>,
    metrics: Arc<EmbeddedMetrics>,
) -> Result<Found, EmbeddedError> {
    let work_dir = WorkDir::open(&config.work_dir)?;
    let n_agents = usize::from(config.n_agents.get());
    let mut agents = Vec::with_capacity(n_agents);
    let mut executors = Vec::new();
    let mut sweeper = Sweeper::new(config.retention, config.work_dir.clone(), clock, metrics);
    for index in 0..n_agents {
        let agent = new_agent(config, &work_dir, index)?;
        let found = find_executors(&agent.dir)?;
        let live: HashSet<&str> = found
            .iter()
            .flat_map(|executor| executor.tasks.iter().map(|task| task.task_id.as_str()))
            .collect();
        let sandboxes = sandboxes_dir(&agent.dir);
        sweeper
            .scan(&sandboxes, |name| live.contains(name))
            .map_err(EmbeddedError::file("read", &sandboxes))?;
        executors.extend(found.into_iter().map(|executor| (index, executor)));
        agents.push(agent);
    }
    let mut retired = Vec::new();
    for index in work_dir.retired_agents(n_agents)? {
        let dir = work_dir.agent_dir(index)?;
        retire_agent(&dir)?;
        let sandboxes = sandboxes_dir(&dir);
        sweeper
            .scan(&sandboxes, |_| false)
            .map_err(EmbeddedError::file("read", &sandboxes))?;
        retired.push(AgentId::from(work_dir.agent_id(index)));
    }
    Ok(Found {
        work_dir,
        agents,
        executors,
        retired,
        sweeper,
    })
}

fn new_agent(
    config: &EmbeddedConfig,
    work_dir: &WorkDir,
    index: usize,
) -> Result<AgentState, EmbeddedError> {
    let n_agents = config.n_agents.get();
    let machine = config.hostname.clone().unwrap_or_else(hostname);
    let host = if n_agents == 1 {
        machine
    } else {
        format!("{machine}-{index}")
    };
    let mut attributes = config.attributes.clone();
    attributes.insert("host".to_owned(), BTreeSet::from([host.clone()]));
    let dir = work_dir.agent_dir(index)?;
    let resources = agent_resources(&config.size, u64::from(n_agents), &config.work_dir)?;
    let mut ports = PortRanges::default();
    ports.insert(port_share(&config.ports, n_agents, index).ok_or(EmbeddedError::TooFewPorts)?);
    let id = AgentId::from(work_dir.agent_id(index));
    let pool = Pool { resources, ports };
    Ok(AgentState::new(
        id,
        host.into(),
        Arc::new(attributes),
        dir,
        pool,
    ))
}

fn port_share(
    ports: &RangeInclusive<u16>,
    n_agents: u16,
    index: usize,
) -> Option<RangeInclusive<u16>> {
    let n_ports = u32::from(*ports.end()).checked_sub(u32::from(*ports.start()))? + 1;
    let share = n_ports / u32::from(n_agents);
    let first = u32::from(*ports.start()) + share * u32::try_from(index).ok()?;
    let last = (first + share).checked_sub(1)?;
    (share > 0).then_some(u16::try_from(first).ok()?..=u16::try_from(last).ok()?)
}

fn new_state(
    parts: Parts,
    agents: Vec<AgentState>,
    sweeper: mpsc::UnboundedSender<super::sweeper::SweepOrder>,
    endpoint: EndpointAddress,
    credentials: Arc<Credentials>,
) -> Result<State, EmbeddedError> {
    let mut nonce = [0; 6];
    getrandom::fill(&mut nonce).map_err(EmbeddedError::Random)?;
    let agent_index = agents
        .iter()
        .enumerate()
        .map(|(index, agent)| (Arc::clone(&agent.id), index))
        .collect();
    Ok(State {
        framework_id: format!("aurora-{}", parts.config.cluster_name),
        config: parts.config,
        sink: parts.sink,
        metrics: parts.metrics,
        credentials,
        endpoint,
        agents,
        agent_index,
        slots: HashMap::new(),
        slot_of_role: HashMap::new(),
        slot_of_executor: HashMap::new(),
        tasks: HashMap::new(),
        encoder: TaskEncoder::default(),
        dirty: HashSet::new(),
        next_slot: 0,
        offer_prefix: hex::encode(nonce),
        next_offer: 0,
        commands: parts.commands,
        sweeper,
        stop: parts.stop,
        next_heartbeat: Instant::now(),
        all_ended: None,
        leaving: false,
    })
}

fn take_back(state: &mut State, agent: usize, found: FoundExecutor) -> Result<(), EmbeddedError> {
    let path = found.dir.journal();
    let journal = Journal::create(path.clone(), found.tasks.iter())
        .map_err(EmbeddedError::file("write", &path))?;
    let is_alive = found.process.is_some();
    let deadline = Instant::now() + state.config.timeouts.return_within;
    let key = Arc::new(ExecutorKey {
        framework_id: found.record.framework_id,
        executor_id: found.record.executor_id,
    });
    let mut hash = TokenHash::default();
    if hex::decode_to_slice(&found.record.token_sha256, &mut hash).is_ok() && is_alive {
        state.credentials.admit(Arc::clone(&key), hash);
    }
    let role = (agent, found.record.role);
    let slot = Slot {
        process: found.process,
        link: Link::Awaited { deadline },
        has_subscribed: true,
        tasks: found
            .tasks
            .iter()
            .map(|task| task.task_id.as_str().into())
            .collect(),
        idle_since: found.tasks.is_empty().then(Instant::now),
        ..Slot::new(agent, role.1.clone(), key, found.dir, journal)
    };
    let slot_id = state.add_slot(slot, None);
    for task in &found.tasks {
        let entry = TaskEntry::recovered(slot_id, agent, task);
        if let Some(agent) = state.agents.get_mut(agent) {
            agent.take_recovered(&entry.resources, &entry.ports);
        }
        state.tasks.insert(task.task_id.as_str().into(), entry);
    }
    if is_alive {
        state.slot_of_role.insert(role, slot_id);
    } else {
        state.executor_ended(slot_id, None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_divided_without_overlap() {
        assert_eq!(port_share(&(31_000..=32_000), 1, 0), Some(31_000..=32_000));
        assert_eq!(port_share(&(10..=20), 3, 0), Some(10..=12));
        assert_eq!(port_share(&(10..=20), 3, 2), Some(16..=18));
        assert_eq!(port_share(&(0..=65_535), 1, 0), Some(0..=65_535));
        assert_eq!(port_share(&(10..=11), 3, 0), None);
    }
}
