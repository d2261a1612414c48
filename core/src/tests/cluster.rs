//! What the cluster says, and what comes of it.

use std::time::Duration;

use aurora_proto::v1::{self, TaskState};

use super::harness::{Rig, service, with_task};
use crate::cluster::{ClusterEvent, Effect, ReportedState};
use crate::settings::Settings;

#[test]
fn late_news_of_an_ended_task_changes_nothing_and_is_killed() {
    let mut rig = Rig::new();
    let id = rig.running(service("web", 1));
    rig.status(&id, ReportedState::Failed);
    let replacement = rig.id("web", 0);
    for _ in 0..2 {
        rig.status(&id, ReportedState::Failed);
        assert!(rig.kills().is_empty());
    }
    rig.status(&id, ReportedState::Running);
    assert_eq!(rig.kills(), [id.as_str()]);
    assert_eq!(rig.id("web", 0), replacement);
    assert_eq!(rig.task("web", 0).unwrap().failure_count, 1);
}

#[test]
fn unknown_tasks_that_live_are_killed_and_all_news_is_acknowledged() {
    let mut rig = Rig::new();
    rig.status("www-prod-web-0-00000001-5", ReportedState::Running);
    assert_eq!(rig.kills().len(), 1);
    rig.status("nonsense", ReportedState::Lost);
    assert!(rig.kills().is_empty());
    assert!(matches!(rig.effects[..], [Effect::Acknowledge { .. }]));
}

#[test]
fn cluster_has_no_say_about_a_task_that_waits() {
    let mut rig = Rig::new();
    rig.create(service("web", 1));
    let id = rig.id("web", 0);
    for state in [
        ReportedState::Killed,
        ReportedState::Lost,
        ReportedState::Running,
    ] {
        rig.status(&id, state);
        assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
    }
    assert_eq!(rig.kills(), [id.as_str()]);
}

#[test]
fn second_flap_is_penalised_and_the_penalty_survives_a_restart() {
    let mut rig = Rig::new();
    let first = rig.running(service("web", 1));
    rig.status(&first, ReportedState::Failed);
    assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
    rig.offer("a", 1_000);
    let second = rig.id("web", 0);
    rig.status(&second, ReportedState::Running);
    rig.status(&second, ReportedState::Failed);
    assert_eq!(rig.state("web", 0), Some(TaskState::Throttled));
    rig.restart();
    rig.pass(29);
    assert_eq!(rig.state("web", 0), Some(TaskState::Throttled));
    rig.pass(1);
    assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
}

#[test]
fn attempt_that_lasted_clears_the_record() {
    let mut rig = Rig::new();
    let mut id = rig.running(service("web", 1));
    for _ in 0..5 {
        rig.pass(301);
        rig.status(&id, ReportedState::Failed);
        assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
        rig.offer("a", 1_000);
        id = rig.id("web", 0);
        rig.status(&id, ReportedState::Running);
    }
}

#[test]
fn ad_hoc_task_fails_as_often_as_it_may() {
    for (max, attempts) in [(1, 1), (3, 3), (0, 1)] {
        let mut rig = Rig::with(Settings {
            flapping_threshold: Duration::ZERO,
            ..Settings::default()
        });
        rig.create(with_task(service("job", 1), |task| {
            task.service = false;
            task.max_task_failures = max;
        }));
        let mut seen = 0;
        while let Some(task) = rig.task("job", 0) {
            rig.offer("a", 1_000);
            rig.status(&task.task_id, ReportedState::Failed);
            seen += 1;
            assert!(seen < 10);
        }
        assert_eq!(seen, attempts, "max_task_failures {max}");
    }
}

#[test]
fn partition_policy_decides_how_long_to_wait() {
    let policies = [
        (None, Some(0)),
        (Some((true, 60)), Some(60)),
        (Some((false, 0)), None),
    ];
    for (policy, wait) in policies {
        let mut rig = Rig::new();
        let id = rig.running(with_task(service("web", 1), |task| {
            task.partition_policy = policy.map(|(reschedule, delay_secs)| v1::PartitionPolicy {
                reschedule,
                delay_secs,
            });
        }));
        rig.status(&id, ReportedState::Unreachable);
        if let Some(wait) = wait {
            if wait > 0 {
                rig.run(wait - 1);
                assert_eq!(rig.id("web", 0), id);
                // The wait goes on where it was.
                rig.restart();
            }
            rig.run(2);
            assert_ne!(rig.id("web", 0), id);
        } else {
            rig.run(100_000);
            assert_eq!(rig.state("web", 0), Some(TaskState::Partitioned));
            rig.status(&id, ReportedState::Running);
            assert_eq!(rig.state("web", 0), Some(TaskState::Running));
        }
    }
}

#[test]
fn service_that_finishes_while_partitioned_is_replaced() {
    let mut rig = Rig::new();
    let id = rig.running(with_task(service("web", 1), |task| {
        task.partition_policy = Some(v1::PartitionPolicy::default());
    }));
    rig.status(&id, ReportedState::Unreachable);
    rig.status(&id, ReportedState::Finished);
    assert_ne!(rig.id("web", 0), id);
}

#[test]
fn silent_task_is_lost_and_killed_after_a_while() {
    let mut rig = Rig::new();
    rig.create(service("web", 1));
    rig.offer("a", 1_000);
    let id = rig.id("web", 0);
    rig.restart();
    rig.pass(299);
    assert_eq!(rig.id("web", 0), id);
    rig.pass(1);
    assert_ne!(rig.id("web", 0), id);
    assert_eq!(rig.kills(), [id.as_str()]);
}

#[test]
fn kill_is_sent_again_until_it_is_heard() {
    let mut rig = Rig::new();
    let id = rig.running(service("web", 1));
    rig.kill("web", &[]);
    for wait in [15, 30, 60] {
        rig.pass(wait - 1);
        assert!(rig.kills().is_empty());
        rig.pass(1);
        assert_eq!(rig.kills(), [id.as_str()]);
    }
    rig.status(&id, ReportedState::Killed);
    rig.run(1_000);
    assert!(rig.task("web", 0).is_none());
}

#[test]
fn agent_that_is_gone_takes_its_tasks_and_its_record_with_it() {
    let mut rig = Rig::new();
    let id = rig.running(service("web", 1));
    rig.event(ClusterEvent::AgentGone("a".into()));
    assert_ne!(rig.id("web", 0), id);
    let agents = rig.scheduler.list_agents().agents;
    assert_eq!((agents.len(), agents[0].reachable), (1, false));
    rig.run(3 * 24 * 3_600);
    rig.offer("b", 1_000);
    let agents = rig.scheduler.list_agents().agents;
    assert_eq!(
        agents.len(),
        1,
        "the history is gone, and the agent with it: {agents:?}"
    );
}

#[test]
fn message_of_any_length_is_cut_short() {
    let mut rig = Rig::new();
    let id = rig.running(service("web", 1));
    rig.event(ClusterEvent::Status(crate::cluster::StatusUpdate {
        task_id: id,
        state: ReportedState::Failed,
        agent_id: None,
        message: "ä".repeat(100_000),
        token: Vec::new(),
    }));
    let task = rig
        .tasks("web")
        .into_iter()
        .find(|t| t.state() == TaskState::Failed);
    assert!(task.unwrap().events.last().unwrap().message.len() <= 1_024);
}

#[test]
fn comparison_of_many_tasks_goes_in_batches() {
    let mut rig = Rig::with(Settings {
        max_placements_per_step: 10_000,
        ..Settings::default()
    });
    rig.create(service("web", 2_500));
    rig.offer("a", 1_000_000);
    rig.run(1);
    rig.event(ClusterEvent::Connected);
    let mut asked = Vec::new();
    for _ in 0..10 {
        for effect in &rig.effects {
            if let Effect::Reconcile { tasks } = effect {
                asked.push(tasks.len());
            }
        }
        rig.now = crate::time::Timestamp(rig.now.0 + 50);
        rig.step(Vec::new());
    }
    assert_eq!(asked, [1_000, 1_000, 500, 0]);
}
