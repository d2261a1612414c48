//! What callers may do, and what comes of it.

use aurora_proto::v1::{self, JobState, TaskState};

use super::harness::{Rig, key, ranges, service, with_task};
use crate::call::{Call, ErrorCode, Reply};
use crate::cluster::ReportedState;

/// Brings instance 0 of a fresh job into the state.
fn bring_into(rig: &mut Rig, state: TaskState) -> String {
    rig.create(with_task(service("web", 1), |task| {
        task.partition_policy = Some(v1::PartitionPolicy::default());
    }));
    if state == TaskState::Throttled {
        for _ in 0..2 {
            rig.offer("a", 1_000);
            let id = rig.id("web", 0);
            rig.status(&id, ReportedState::Failed);
        }
        return rig.id("web", 0);
    }
    let id = rig.id("web", 0);
    if state == TaskState::Pending {
        return id;
    }
    rig.offer("a", 1_000);
    match state {
        TaskState::Starting => rig.status(&id, ReportedState::Starting),
        TaskState::Running => rig.status(&id, ReportedState::Running),
        TaskState::Partitioned => rig.status(&id, ReportedState::Unreachable),
        TaskState::Killing => rig.kill("web", &[]),
        TaskState::Restarting => {
            rig.restart_tasks("web", &[(0, 0)]).unwrap();
        }
        _ => {}
    }
    assert_eq!(rig.state("web", 0), Some(state));
    id
}

const STATES: [TaskState; 8] = [
    TaskState::Throttled,
    TaskState::Pending,
    TaskState::Assigned,
    TaskState::Starting,
    TaskState::Running,
    TaskState::Partitioned,
    TaskState::Killing,
    TaskState::Restarting,
];

#[test]
fn kill_in_any_state_ends_the_instance_for_good() {
    for state in STATES {
        let mut rig = Rig::new();
        let id = bring_into(&mut rig, state);
        rig.kill("web", &[(0, 0)]);
        rig.restart();
        rig.event(crate::cluster::ClusterEvent::Connected);
        rig.status(&id, ReportedState::Killed);
        rig.offer("a", 1_000);
        rig.run(1_000);
        assert!(rig.task("web", 0).is_none(), "from {state:?}");
        assert_eq!(
            rig.tasks("web").first().unwrap().task_id,
            id,
            "history from {state:?}"
        );
        let job = rig
            .scheduler
            .get_job(&v1::GetJobRequest { key: key("web") })
            .unwrap();
        assert_eq!(
            job.summary.unwrap().state(),
            JobState::JobKilled,
            "from {state:?}"
        );
    }
}

#[test]
fn restart_in_any_state_but_killing_gives_one_fresh_attempt() {
    for state in STATES {
        let mut rig = Rig::new();
        let id = bring_into(&mut rig, state);
        let result = rig.restart_tasks("web", &[(0, 0)]);
        if state == TaskState::Killing {
            assert_eq!(result.unwrap_err().code, ErrorCode::FailedPrecondition);
            continue;
        }
        result.unwrap();
        rig.status(&id, ReportedState::Killed);
        rig.offer("a", 1_000);
        let task = rig.task("web", 0).unwrap();
        assert_eq!(task.state(), TaskState::Assigned, "from {state:?}");
        assert_eq!(
            rig.tasks("web")
                .iter()
                .filter(|t| t.state() == TaskState::Assigned)
                .count(),
            1
        );
    }
}

#[test]
fn job_is_killed_only_if_its_last_instance_was() {
    let mut rig = Rig::new();
    let mut config = with_task(service("web", 2), |task| task.service = false);
    config.instances = 2;
    rig.create(config);
    rig.offer("a", 1_000);
    let (zero, one) = (rig.id("web", 0), rig.id("web", 1));
    rig.kill("web", &[(1, 1)]);
    rig.status(&one, ReportedState::Killed);
    rig.status(&zero, ReportedState::Finished);
    let job = rig
        .scheduler
        .get_job(&v1::GetJobRequest { key: key("web") })
        .unwrap();
    assert_eq!(job.summary.unwrap().state(), JobState::JobEnded);
}

#[test]
fn same_request_is_answered_again_even_after_a_restart() {
    let mut rig = Rig::new();
    let context = rig.context();
    let request = v1::CreateJobRequest {
        context,
        config: Some(service("web", 3)),
    };
    let create = Call::CreateJob(Box::new(request.clone()));
    let answer = rig.call(create.clone()).unwrap();
    assert_eq!(rig.call(create.clone()).unwrap(), answer);
    rig.restart();
    assert_eq!(rig.call(create).unwrap(), answer);
    assert_eq!(rig.tasks("web").len(), 3);

    let mut other = request.clone();
    other.config = Some(service("web", 4));
    let error = rig.call(Call::CreateJob(Box::new(other))).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let kill = v1::KillTasksRequest {
        context: request.context,
        key: key("web"),
        instances: vec![],
    };
    assert_eq!(
        rig.call(Call::KillTasks(kill)).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    assert_eq!(rig.tasks("web").len(), 3);
}

#[test]
fn answers_are_forgotten_before_they_fill_the_memory() {
    let mut rig = Rig::with(crate::settings::Settings {
        max_remembered_bytes: 10_000,
        ..crate::settings::Settings::default()
    });
    rig.create(service("web", 100));
    for _ in 0..20 {
        rig.restart_tasks("web", &[(0, 99)]).unwrap();
    }
    assert!(rig.scheduler.state.request_bytes <= 20_000);
}

#[test]
fn add_fills_the_gaps_that_kills_have_left() {
    let mut rig = Rig::new();
    rig.create(service("web", 5));
    rig.kill("web", &[(1, 1), (3, 3)]);
    let add = |rig: &mut Rig, template_instance, count| {
        let context = rig.context();
        rig.call(Call::AddInstances(v1::AddInstancesRequest {
            context,
            key: key("web"),
            template_instance,
            count,
        }))
    };
    let Ok(Reply::AddInstances(added)) = add(&mut rig, 0, 3) else {
        panic!()
    };
    assert_eq!(added.instances, ranges(&[(1, 1), (3, 3), (5, 5)]));
    assert_eq!(
        add(&mut rig, 9, 1).unwrap_err().code,
        ErrorCode::FailedPrecondition
    );
    assert_eq!(
        add(&mut rig, 0, 0).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    assert_eq!(
        add(&mut rig, 0, u32::MAX).unwrap_err().code,
        ErrorCode::ResourceExhausted
    );
    let job = rig
        .scheduler
        .get_job(&v1::GetJobRequest { key: key("web") })
        .unwrap();
    assert_eq!(job.summary.unwrap().instances, 6);
}

#[test]
fn edit_changes_the_job_and_restarts_nothing() {
    let mut rig = Rig::new();
    let id = rig.running(service("web", 1));
    let context = rig.context();
    let edit = v1::EditJobRequest {
        context,
        key: key("web"),
        contact: Some("me".to_owned()),
        priority: Some(7),
        metadata: None,
    };
    rig.call(Call::EditJob(edit)).unwrap();
    rig.restart();
    let summary = rig
        .scheduler
        .get_job(&v1::GetJobRequest { key: key("web") })
        .unwrap()
        .summary;
    let summary = summary.unwrap();
    assert_eq!(
        (summary.contact.as_str(), summary.priority, summary.version),
        ("me", 7, 2)
    );
    assert_eq!(rig.id("web", 0), id);
}

#[test]
fn history_goes_by_age_and_number_even_behind_an_old_task_that_ended_late() {
    let mut rig = Rig::with(crate::settings::Settings {
        history_max_per_job: 2,
        ..crate::settings::Settings::default()
    });
    rig.create(with_task(service("web", 6), |task| task.service = false));
    rig.offer("a", 1_000);
    for instance in 1..6 {
        let id = rig.id("web", instance);
        rig.status(&id, ReportedState::Finished);
    }
    let oldest = rig.id("web", 0);
    rig.status(&oldest, ReportedState::Running);
    rig.pass(7_200);
    rig.status(&oldest, ReportedState::Finished);
    rig.run(120);
    assert_eq!(
        rig.tasks("web").len(),
        2,
        "the newest end and one more are kept"
    );
    rig.run(5 * 24 * 3_600);
    assert_eq!(
        rig.scheduler.job_count(),
        0,
        "a job without a history goes in the end"
    );
    assert!(rig.rows.keys().all(|(table, _)| !matches!(
        table,
        crate::store::Table::Jobs | crate::store::Table::Tasks | crate::store::Table::Configs
    )));
}

#[test]
fn prune_deletes_what_it_is_asked_to() {
    let mut rig = Rig::new();
    rig.create(service("web", 4));
    rig.kill("web", &[(0, 2)]);
    let prune = |rig: &mut Rig, states: Vec<i32>, limit| {
        rig.call(Call::PruneTasks(v1::PruneTasksRequest {
            states,
            limit,
            ..Default::default()
        }))
    };
    let pending = vec![TaskState::Pending.into()];
    assert_eq!(
        prune(&mut rig, pending, 0).unwrap_err().code,
        ErrorCode::InvalidArgument
    );
    for (states, limit, pruned) in [
        (vec![TaskState::Lost.into()], 0, 0),
        (vec![TaskState::Killed.into()], 1, 1),
        (vec![], 0, 2),
    ] {
        let reply = prune(&mut rig, states, limit).unwrap();
        assert_eq!(reply, Reply::PruneTasks(v1::PruneTasksResponse { pruned }));
    }
    assert_eq!(rig.tasks("web").len(), 1);
}
