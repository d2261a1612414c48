//! Decides when an instance that ended too soon may run again.
//!
//! Knows nothing of time but the instants it is handed, and nothing of hosts.

use std::time::Duration;

use aurora_proto::v1::TaskState;

use crate::settings::Settings;
use crate::task::Task;
use crate::time::Timestamp;

/// Returns how many attempts in a row, with `ended` as the last of them, ended too soon.
///
/// An attempt that a user, an operator or the scheduler ended does not count, nor one that
/// lasted.
pub(crate) fn flaps_after(ended: &Task, at: Timestamp, settings: &Settings) -> u32 {
    let ended_by_us = [
        TaskState::Restarting,
        TaskState::Killing,
        TaskState::Draining,
        TaskState::Preempting,
        TaskState::Partitioned,
    ]
    .into_iter()
    .any(|state| ended.was_ever(state));
    let started = ended
        .events
        .iter()
        .rfind(|event| event.state == TaskState::Running)
        .or_else(|| {
            ended
                .events
                .iter()
                .rfind(|event| event.state == TaskState::Assigned)
        })
        .map_or(at, |event| event.at);
    if ended_by_us || at.since(started) >= settings.flapping_threshold {
        0
    } else {
        ended.flaps.saturating_add(1)
    }
}

/// Returns the penalty of an attempt after so many that ended too soon.
///
/// The first is free, as in Aurora; from the second on the penalty doubles up to the ceiling.
pub(crate) fn delay(flaps: u32, settings: &Settings) -> Duration {
    let Some(doublings) = flaps.checked_sub(2) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.saturating_pow(doublings);
    settings
        .initial_flapping_delay
        .saturating_mul(factor)
        .min(settings.max_flapping_delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalty_doubles_from_the_second_flap_up_to_the_ceiling() {
        let settings = Settings::default();
        let secs: Vec<u64> = (0..8)
            .chain([100])
            .map(|flaps| delay(flaps, &settings).as_secs())
            .collect();
        assert_eq!(secs, [0, 0, 30, 60, 120, 240, 300, 300, 300]);
    }
}
