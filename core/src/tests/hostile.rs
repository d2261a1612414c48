//! Requests that no client of ours would send.

use aurora_proto::v1;

use super::harness::{Rig, key, limit, ranges, service, value, with_task};
use crate::call::{Call, ErrorCode};

fn refused(config: v1::JobConfiguration) -> String {
    let mut rig = Rig::new();
    let request = v1::CreateJobRequest {
        context: None,
        config: Some(config),
    };
    let error = rig.call(Call::CreateJob(Box::new(request))).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument, "{}", error.message);
    assert_eq!(rig.scheduler.job_count(), 0);
    error.message
}

#[test]
fn impossible_resources_are_refused() {
    for cpu in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.000_4, 1e300] {
        let config = with_task(service("web", 1), |t| {
            t.resources.as_mut().unwrap().cpu = cpu;
        });
        assert!(refused(config).contains("cpu"));
    }
    for bytes in [i64::MIN, -1, 0] {
        let config = with_task(service("web", 1), |task| {
            task.resources.as_mut().unwrap().ram_bytes = bytes;
        });
        assert!(refused(config).contains("ram"));
    }
    refused(service("web", u32::MAX));
    refused(service("", 1));
    refused(service("..", 1));
    refused(v1::JobConfiguration::default());
}

#[test]
fn hosts_of_others_cannot_be_asked_for() {
    for constraint in [
        value("dedicated", false, "db/x"),
        value("dedicated", true, "www"),
        limit("dedicated", 1),
    ] {
        let config = with_task(service("web", 1), |task| {
            task.constraints = vec![constraint];
        });
        assert!(refused(config).contains("dedicated"));
    }
    let many = vec![limit("host", 1); 65];
    refused(with_task(service("web", 1), |task| task.constraints = many));
}

#[test]
fn long_chain_of_processes_is_checked_quickly() {
    let names: Vec<String> = (0..8_000).map(|n| format!("p{n}")).collect();
    let chain = |circle: bool| {
        with_task(service("web", 1), |task| {
            task.processes = names
                .iter()
                .map(|name| v1::Process {
                    name: name.clone(),
                    cmdline: "a".to_owned(),
                    ..v1::Process::default()
                })
                .collect();
            let mut processes = names.clone();
            processes.reverse();
            if circle {
                processes.push(names.last().unwrap().clone());
            }
            task.order = vec![v1::Order { processes }];
        })
    };
    // If this took more than a step over each process, the test would not end.
    assert!(refused(chain(true)).contains("circle"));
    Rig::new().create(chain(false));
}

#[test]
fn ranges_over_all_numbers_cost_no_more_than_the_job() {
    let mut rig = Rig::new();
    rig.create(service("web", 10_000));
    let all = [(0, u32::MAX)];
    let error = rig.restart_tasks("web", &all).unwrap_err();
    assert!(error.message.contains("10000-10019"), "{}", error.message);
    let error = rig
        .restart_tasks("web", &[(1, u32::MAX), (7, 3)])
        .unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    let explained = rig.scheduler.explain_pending(&v1::ExplainPendingRequest {
        key: key("web"),
        instances: ranges(&all),
    });
    assert_eq!(explained.unwrap().reasons.len(), 1);
    rig.kill("web", &all);
}

#[test]
fn history_of_a_job_stays_small() {
    let mut rig = Rig::new();
    rig.create(service("web", 10_000));
    let odd: Vec<(u32, u32)> = (0..5_000).map(|n| (2 * n, 2 * n)).collect();
    rig.kill("web", &odd);
    let request = v1::GetJobHistoryRequest { key: key("web") };
    let events = rig.scheduler.get_job_history(&request).unwrap().events;
    let message = &events.last().unwrap().message;
    assert!(
        message.len() < 260 && message.ends_with("… (5000 in all)"),
        "{message}"
    );
}

#[test]
fn absent_and_odd_fields_are_refused_in_words() {
    let mut rig = Rig::new();
    let calls = [
        Call::CreateJob(Box::default()),
        Call::KillTasks(v1::KillTasksRequest::default()),
        Call::RestartTasks(v1::RestartTasksRequest::default()),
        Call::AddInstances(v1::AddInstancesRequest::default()),
        Call::EditJob(v1::EditJobRequest::default()),
        Call::KillTasks(v1::KillTasksRequest {
            context: Some(v1::RequestContext {
                request_id: "x".repeat(129),
                ..v1::RequestContext::default()
            }),
            ..v1::KillTasksRequest::default()
        }),
    ];
    for call in calls {
        let error = rig.call(call.clone()).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{call:?}");
    }
    for token in ["x", "a:b:c", "::", ":1:", "\u{0}:4294967296:1"] {
        let request = v1::ListTasksRequest {
            page_token: token.to_owned(),
            ..Default::default()
        };
        assert!(rig.scheduler.list_tasks(&request).is_err(), "{token}");
    }
}
