//! Which change of state is legal, and what follows from it: Aurora's table, with its quirks
//! mended.
//!
//! Mended against Aurora: a service that finishes while partitioned is replaced, a partitioned
//! task may be reported killed, an assigned task may become unreachable, and a task killed while
//! it waits stays in the history.

use aurora_proto::v1::TaskState;

use crate::task::{is_on_agent, is_terminal};

/// Whether an ended task is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Never.
    No,
    /// If it is a service.
    IfService,
    /// If it is a service or has failures left.
    IfAllowed,
    /// Always.
    Always,
    /// Unless a kill was asked for at some time.
    UnlessKilling,
}

/// What follows from a legal change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consequences {
    /// The failure counts against the instance.
    pub counts_failure: bool,
    /// Whether a new attempt is made.
    pub replacement: Replacement,
    /// The cluster is told to end it.
    pub kill: bool,
    /// The task goes on to LOST at once.
    pub then_lost: bool,
    /// The partition policy decides how long to wait.
    pub partition_timer: bool,
}

/// The verdict on a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It happens.
    Legal(Consequences),
    /// It is in that state already.
    Same,
    /// It does not happen.
    Illegal {
        /// The task lives where it should not, and is to be ended.
        kill: bool,
    },
}

const NOTHING: Consequences = Consequences {
    counts_failure: false,
    replacement: Replacement::No,
    kill: false,
    then_lost: false,
    partition_timer: false,
};
const KILL: Consequences = Consequences {
    kill: true,
    ..NOTHING
};
const REPLACE: Consequences = Consequences {
    replacement: Replacement::Always,
    ..NOTHING
};
const REPLACE_AND_KILL: Consequences = Consequences {
    kill: true,
    ..REPLACE
};
const FINISHED: Consequences = Consequences {
    replacement: Replacement::IfService,
    ..NOTHING
};
const FAILED: Consequences = Consequences {
    counts_failure: true,
    replacement: Replacement::IfAllowed,
    ..NOTHING
};
const THEN_LOST: Consequences = Consequences {
    then_lost: true,
    ..NOTHING
};
const PARTITIONED: Consequences = Consequences {
    partition_timer: true,
    ..NOTHING
};
const UNLESS_KILLING: Consequences = Consequences {
    replacement: Replacement::UnlessKilling,
    ..NOTHING
};

/// Judges a change; `from` is absent for a task that is not (or no longer) known.
pub fn judge(from: Option<TaskState>, to: TaskState) -> Verdict {
    let Some(from) = from else {
        return Verdict::Illegal { kill: lives(to) };
    };
    if from == to {
        return Verdict::Same;
    }
    match legal(from, to) {
        Some(consequences) => Verdict::Legal(consequences),
        None => Verdict::Illegal {
            kill: lives(to) && !may_live(from),
        },
    }
}

/// The states in which a cluster reports a task that has processes.
fn lives(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Assigned | TaskState::Starting | TaskState::Running
    )
}

/// Nothing is wrong with a report that a task in this state lives.
fn may_live(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Assigned | TaskState::Starting | TaskState::Running | TaskState::Partitioned
    )
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not listed is illegal"
)]
fn legal(from: TaskState, to: TaskState) -> Option<Consequences> {
    use TaskState as S;
    match from {
        S::Init => matches!(to, S::Pending | S::Throttled).then_some(NOTHING),
        S::Throttled => matches!(to, S::Pending | S::Killed).then_some(NOTHING),
        S::Pending => matches!(to, S::Assigned | S::Killed).then_some(NOTHING),
        S::Assigned | S::Starting | S::Running => from_alive(from, to),
        S::Preempting | S::Restarting | S::Draining => match to {
            S::Finished | S::Failed | S::Killed => Some(REPLACE),
            S::Lost => Some(REPLACE_AND_KILL),
            S::Killing => Some(KILL),
            S::Partitioned => Some(THEN_LOST),
            _ => None,
        },
        S::Killing => match to {
            S::Finished | S::Failed | S::Killed | S::Lost => Some(NOTHING),
            S::Partitioned => Some(THEN_LOST),
            _ => None,
        },
        S::Partitioned => from_partitioned(to),
        S::Finished | S::Failed | S::Killed | S::Lost | S::Unspecified => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not listed is illegal"
)]
fn from_alive(from: TaskState, to: TaskState) -> Option<Consequences> {
    use TaskState as S;
    match to {
        S::Starting if from == S::Assigned => Some(NOTHING),
        S::Running => Some(NOTHING),
        S::Finished => Some(FINISHED),
        S::Failed => Some(FAILED),
        S::Killed => Some(REPLACE),
        S::Killing | S::Restarting | S::Draining | S::Preempting => Some(KILL),
        S::Lost if from == S::Assigned => Some(REPLACE_AND_KILL),
        S::Lost => Some(REPLACE),
        S::Partitioned => Some(PARTITIONED),
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not listed is illegal"
)]
fn from_partitioned(to: TaskState) -> Option<Consequences> {
    use TaskState as S;
    match to {
        S::Running | S::Starting | S::Assigned => Some(NOTHING),
        S::Finished => Some(FINISHED),
        S::Failed => Some(FAILED),
        S::Killed => Some(UNLESS_KILLING),
        S::Lost => Some(Consequences {
            kill: true,
            ..UNLESS_KILLING
        }),
        // The agent may not hear a kill now; if it comes back, the task is a stray and ends.
        S::Killing | S::Restarting | S::Draining | S::Preempting => Some(Consequences {
            kill: true,
            ..THEN_LOST
        }),
        _ => None,
    }
}

/// The states that a user's kill may meet.
pub fn is_killable(state: TaskState) -> bool {
    !is_terminal(state) && state != TaskState::Killing && state != TaskState::Init
}

/// The state that a kill takes a task to: tasks that no agent has end at once.
pub fn kill_target(state: TaskState) -> TaskState {
    if is_on_agent(state) {
        TaskState::Killing
    } else {
        TaskState::Killed
    }
}
