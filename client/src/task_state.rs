//! The states of tasks, as the verbs judge them.

use std::collections::BTreeMap;

use aurora_proto::v1::{Task, TaskState};

use crate::instances::InstanceSet;

/// What a state means to somebody who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not running, will be.
    Waiting,
    Running,
    /// On its way out; what follows shows later.
    Ending,
    /// Ended by itself, with success.
    Finished,
    /// Ended in any other way.
    Ended,
}

/// Returns what a state means.
pub(crate) fn phase(state: TaskState) -> Phase {
    match state {
        TaskState::Unspecified
        | TaskState::Init
        | TaskState::Throttled
        | TaskState::Pending
        | TaskState::Assigned
        | TaskState::Starting
        | TaskState::Partitioned => Phase::Waiting,
        TaskState::Running => Phase::Running,
        TaskState::Preempting
        | TaskState::Restarting
        | TaskState::Draining
        | TaskState::Killing => Phase::Ending,
        TaskState::Finished => Phase::Finished,
        TaskState::Failed | TaskState::Killed | TaskState::Lost => Phase::Ended,
    }
}

/// Tells whether a task is over.
pub(crate) fn has_ended(task: &Task) -> bool {
    matches!(phase(task.state()), Phase::Finished | Phase::Ended)
}

/// Returns the name of a state.
pub(crate) fn name(state: TaskState) -> &'static str {
    state.as_str_name()
}

/// Returns the newest attempt of each instance; `tasks` has the newest of each first.
pub(crate) fn newest(tasks: &[Task]) -> BTreeMap<u32, &Task> {
    let mut newest = BTreeMap::new();
    for task in tasks {
        newest.entry(task.instance).or_insert(task);
    }
    newest
}

/// Returns the instances that have not ended.
pub(crate) fn active_instances(tasks: &[Task]) -> InstanceSet {
    tasks
        .iter()
        .filter(|task| !has_ended(task))
        .map(|task| task.instance)
        .collect()
}

/// Returns why a task is in the state that it is in, as far as the scheduler says.
pub(crate) fn reason(task: &Task) -> String {
    let state = name(task.state());
    match task
        .events
        .iter()
        .rev()
        .find(|event| !event.message.is_empty())
    {
        Some(event) => format!("{state}: {}", event.message),
        None => state.to_owned(),
    }
}

/// Returns when a task came into its state.
pub(crate) fn since_ms(task: &Task) -> i64 {
    task.events.last().map_or(0, |event| event.timestamp_ms)
}

/// Returns how many tasks are in which phase, in words.
pub(crate) fn tally<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> String {
    let mut by_name: BTreeMap<i32, u32> = BTreeMap::new();
    for task in tasks {
        *by_name.entry(task.state).or_default() += 1;
    }
    let words: Vec<String> = by_name
        .into_iter()
        .map(|(state, number)| {
            let state = TaskState::try_from(state).unwrap_or_default();
            format!("{number} {}", name(state))
        })
        .collect();
    if words.is_empty() {
        "no instances".to_owned()
    } else {
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(instance: u32, state: TaskState) -> Task {
        Task {
            instance,
            state: state.into(),
            ..Task::default()
        }
    }

    #[test]
    fn newest_attempt_counts() {
        let tasks = [
            task(0, TaskState::Pending),
            task(0, TaskState::Failed),
            task(1, TaskState::Finished),
        ];
        assert_eq!(newest(&tasks)[&0].state(), TaskState::Pending);
        assert_eq!(active_instances(&tasks).to_string(), "0");
        assert_eq!(tally(newest(&tasks).into_values()), "1 PENDING, 1 FINISHED");
    }
}
