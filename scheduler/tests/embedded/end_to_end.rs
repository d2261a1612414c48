//! With the real executor, whose program `AURORA_TEST_EXECUTOR` names.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aurora_core::cluster::{ClusterEvent, Launch, ReportedState};
use aurora_core::resources::Resources;
use aurora_proto::v1::{Process, TaskConfig};
use aurora_scheduler::cluster::Cluster as _;
use aurora_scheduler::cluster::embedded::{EmbeddedConfig, RunningTasks};
use tokio::time::Instant;

use crate::fixture::{Subject, config, launch, work_dir};

fn real_config(dir: &std::path::Path) -> EmbeddedConfig {
    let mut config = config(dir);
    let program = std::env::var_os("AURORA_TEST_EXECUTOR").expect("AURORA_TEST_EXECUTOR is set");
    config.executor.program = Some(program.into());
    config.executor.arguments = None;
    config
}

fn task(task_id: &str, cmdline: &str) -> Launch {
    let process = Process {
        name: "p".to_owned(),
        cmdline: cmdline.to_owned(),
        max_failures: 1,
        ..Process::default()
    };
    let config = TaskConfig {
        name: "real".to_owned(),
        processes: vec![process],
        max_failures: 1,
        ..TaskConfig::default()
    };
    let mut digest = [0; 32];
    digest[..cmdline.len().min(32)].copy_from_slice(&cmdline.as_bytes()[..cmdline.len().min(32)]);
    Launch {
        config: Arc::new(config),
        config_digest: digest,
        resources: Resources {
            cpu_millis: 10,
            ram: 1 << 20,
            disk: 1 << 20,
            gpu: 0,
        },
        ..launch(task_id, &[])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs AURORA_TEST_EXECUTOR"]
async fn real_tasks_run_survive_a_restart_and_are_killed() {
    let dir = work_dir();
    let mut subject = Subject::start(real_config(dir.path())).await;
    let launches = vec![
        task("good", "echo hello"),
        task("bad", "echo no >&2; exit 3"),
        task("long", "echo up; exec sleep 600"),
    ];
    subject.launch(launches).await;
    let mut running = HashSet::new();
    let mut ended = HashSet::new();
    while running.len() + ended.len() < 3 {
        let ClusterEvent::Status(status) = subject.event().await else {
            continue;
        };
        subject.acknowledge(&status);
        match (&*status.task_id, status.state) {
            (_, ReportedState::Starting) => {}
            ("long", ReportedState::Running) => drop(running.insert(status.task_id)),
            ("good" | "bad", ReportedState::Running) => {}
            ("good", ReportedState::Finished) | ("bad", ReportedState::Failed) => {
                ended.insert(status.task_id);
            }
            other => panic!("{other:?}: {}", status.message),
        }
    }
    let log = subject
        .cluster
        .sandbox("good")
        .unwrap()
        .join(".logs/p/0/stdout");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "hello\n");

    subject.leave().await;
    let mut subject = Subject::start(real_config(dir.path())).await;
    subject.reconcile(&["long"]);
    assert_eq!(subject.status("long").await.state, ReportedState::Running);
    subject.kill("long");
    let mut status = subject.status("long").await;
    while status.state != ReportedState::Killed {
        status = subject.status("long").await;
    }
    subject.acknowledge(&status);
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
    subject.launch(vec![task("last", "exec sleep 600")]).await;
    let mut status = subject.status("last").await;
    while status.state != ReportedState::Running {
        status = subject.status("last").await;
    }
    // Nothing of the task is acknowledged, and yet nobody has to wait for a timeout.
    let ending = Instant::now();
    subject.cluster.shutdown(RunningTasks::End).await;
    assert!(ending.elapsed() < Duration::from_secs(8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement; needs AURORA_TEST_EXECUTOR"]
async fn throughput_of_real_tasks() {
    const N_TASKS: usize = 2000;
    const AT_A_TIME: usize = 2;
    let dir = work_dir();
    let mut subject = Subject::start(real_config(dir.path())).await;
    let mut n_started = 0;
    let mut n_ended = 0;
    let mut live = 0;
    let started = Instant::now();
    while n_ended < N_TASKS {
        let due = (AT_A_TIME - live).min(N_TASKS - n_started);
        if due > 0 {
            let next: Vec<_> = (n_started..n_started + due)
                .map(|n| task(&format!("t{n}"), "/bin/true"))
                .collect();
            n_started += due;
            live += due;
            subject.launch(next).await;
        }
        if let ClusterEvent::Status(status) = subject.event().await {
            subject.acknowledge(&status);
            if !matches!(
                status.state,
                ReportedState::Starting | ReportedState::Running
            ) {
                assert_eq!(status.state, ReportedState::Finished, "{}", status.message);
                n_ended += 1;
                live -= 1;
            }
        }
    }
    let rate = N_TASKS as f64 / started.elapsed().as_secs_f64();
    println!("{rate:.0} tasks/s of /bin/true, {AT_A_TIME} at a time");
    subject.cluster.shutdown(RunningTasks::End).await;
}
