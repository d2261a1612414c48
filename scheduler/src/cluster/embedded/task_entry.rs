//! What an agent knows of one task.

use std::time::Duration;

use aurora_core::cluster::ReportedState;
use aurora_core::resources::Resources;
use aurora_mesos::v1::TaskState;
use bytes::Bytes;

use super::journal::JournaledTask;
use super::slot::SlotId;

/// How far a task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its executor has not been told of it.
    Queued,
    /// Its executor was told, and has said nothing yet.
    Delivered,
    /// Its executor says that it is alive.
    Alive(ReportedState),
    /// It holds nothing any more; the core may not know yet.
    Ended(ReportedState),
}

/// A kill that the core wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KillOrder {
    /// How long it may take; absent: as the task's configuration says.
    pub(super) grace: Option<Duration>,
}

/// One task.
#[derive(Clone, Debug)]
pub(super) struct TaskEntry {
    /// Its executor.
    pub(super) slot: SlotId,
    /// Its agent, by index.
    pub(super) agent: usize,
    /// What it holds.
    pub(super) resources: Resources,
    /// The ports it holds.
    pub(super) ports: Vec<u16>,
    /// How far it has come.
    pub(super) phase: Phase,
    /// The last state that its executor knows to be durable.
    pub(super) acknowledged: Option<ReportedState>,
    /// Updates that the core has not acknowledged, oldest first.
    pub(super) unacknowledged: Vec<(Bytes, ReportedState)>,
    /// The core wants it gone.
    pub(super) kill: Option<KillOrder>,
}

impl TaskEntry {
    /// Makes an entry for a task that holds nothing as yet.
    pub(super) fn new(slot: SlotId, agent: usize, phase: Phase) -> Self {
        Self {
            slot,
            agent,
            resources: Resources::default(),
            ports: Vec::new(),
            phase,
            acknowledged: None,
            unacknowledged: Vec::new(),
            kill: None,
        }
    }

    /// Makes the entry of a task from before a restart.
    pub(super) fn recovered(slot: SlotId, agent: usize, task: &JournaledTask) -> Self {
        let phase = task.acknowledged.map_or(Phase::Delivered, Phase::Alive);
        Self {
            resources: task.resources,
            ports: task.ports.clone(),
            acknowledged: task.acknowledged,
            ..Self::new(slot, agent, phase)
        }
    }

    /// Returns what the journal has to say of the task.
    pub(super) fn journaled(&self, task_id: &str) -> JournaledTask {
        JournaledTask {
            task_id: task_id.to_owned(),
            resources: self.resources,
            ports: self.ports.clone(),
            acknowledged: self.acknowledged,
        }
    }

    /// Returns the state to be told when somebody asks.
    pub(super) const fn reported(&self) -> ReportedState {
        match self.phase {
            Phase::Queued | Phase::Delivered => ReportedState::Starting,
            Phase::Alive(state) | Phase::Ended(state) => state,
        }
    }

    /// Returns whether the task has ended.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }
}

/// What a state of Mesos means to the core; `None` for one that it has no use for.
pub(super) const fn reported_state(state: TaskState) -> Option<ReportedState> {
    match state {
        TaskState::TaskStarting => Some(ReportedState::Starting),
        TaskState::TaskRunning => Some(ReportedState::Running),
        TaskState::TaskFinished => Some(ReportedState::Finished),
        TaskState::TaskFailed | TaskState::TaskError => Some(ReportedState::Failed),
        TaskState::TaskKilled => Some(ReportedState::Killed),
        TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => Some(ReportedState::Lost),
        TaskState::TaskStaging
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => None,
    }
}

/// Returns whether a task in this state is alive.
pub(super) const fn is_alive(state: ReportedState) -> bool {
    matches!(
        state,
        ReportedState::Starting | ReportedState::Running | ReportedState::Unreachable
    )
}
