//! Executors that fail in their several ways.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use aurora_core::cluster::ReportedState;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::TaskState;

use crate::fixture::{Subject, config, eventually, is_lost, is_running, kill_9, launch, work_dir};

#[tokio::test]
async fn a_crash_loses_live_tasks_and_ends_what_they_left() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject
        .launch(vec![launch("crash-t1", &[]), launch("crash-t2", &[])])
        .await;
    let started = subject.executor().await;
    let executor = started.subscribe().await;
    executor.update("crash-t2", TaskState::TaskFinished);
    let finished = subject.status("crash-t2").await;
    let mut leftover = Command::new("sleep")
        .arg("600")
        .env("AURORA_TASK_ID", "crash-t1")
        .spawn()
        .unwrap();
    kill_9(started.pid());
    let status = subject.status("crash-t1").await;
    assert!(is_lost(&status));
    assert!(status.message.contains("signal: 9"), "{}", status.message);
    assert!(!leftover.wait().unwrap().success());
    // Its end was told and is not told differently now.
    subject.acknowledge(&finished);
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
    assert!(subject.statuses.is_empty());
    assert_eq!(subject.cluster.metrics().executor_losses.get(), 1);

    subject.launch(vec![launch("crash-t3", &[])]).await;
    // The directory of the first keeps its output, for whoever wants to know why.
    let executors = subject.executors(2).await;
    assert_eq!(
        executors
            .iter()
            .filter(|executor| executor.noted_pid().is_some())
            .count(),
        1
    );
}

#[tokio::test]
async fn an_executor_that_cannot_be_started_fails_its_tasks() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.executor.program = Some("/nonexistent".into());
    let mut subject = Subject::start(config).await;
    subject.launch(vec![launch("t1", &[31_001])]).await;
    let status = subject.status("t1").await;
    assert_eq!(status.state, ReportedState::Failed);
    assert!(
        status.message.starts_with("failed to start an executor"),
        "{}",
        status.message
    );
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
    assert_eq!(subject.offered_ports().len(), 10);
    assert_eq!(
        std::fs::read_dir(dir.path().join("agent-0/executors"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn an_executor_that_does_not_subscribe_is_killed() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.timeouts.registration = Duration::from_millis(500);
    let mut subject = Subject::start(config).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let pid = subject.executor().await.pid();
    let status = subject.status("t1").await;
    assert_eq!(status.state, ReportedState::Failed);
    assert!(
        status.message.contains("did not subscribe"),
        "{}",
        status.message
    );
    assert!(!is_running(pid));
}

#[tokio::test]
async fn an_idle_executor_is_told_to_end() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.timeouts.idle = Duration::from_millis(300);
    let mut subject = Subject::start(config).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let started = subject.executor().await;
    let mut executor = started.subscribe().await;
    executor.launched().await;
    executor.update("t1", TaskState::TaskFinished);
    let status = subject.status("t1").await;
    subject.acknowledge(&status);
    executor.acknowledged().await;
    assert!(matches!(executor.event().await, AgentEvent::Shutdown));
    kill_9(started.pid());
    eventually(|| (!started.dir.exists()).then_some(())).await;
    assert_eq!(subject.cluster.metrics().executor_losses.get(), 0);
}

#[tokio::test]
async fn the_newest_subscription_is_the_only_one() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let started = subject.executor().await;
    let mut first = started.subscribe().await;
    first.launched().await;
    let second = started.subscribe().await;
    assert!(matches!(first.event().await, AgentEvent::Disconnected));
    drop(second);
    // The second did not say that it had the task.
    assert!(is_lost(&subject.status("t1").await));
}

#[tokio::test]
async fn a_secret_is_kept_as_its_hash_in_a_directory_of_ours() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let started = subject.executor().await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&started.dir), 0o700);
    assert_eq!(mode(&started.dir.join("executor.json")), 0o600);
    let token = &started.env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"];
    let record = std::fs::read_to_string(started.dir.join("executor.json")).unwrap();
    let secret = token.rsplit_once('.').unwrap().1;
    assert_eq!(secret.len(), 64);
    assert!(!record.contains(secret));
    assert_eq!(started.env["AURORA_EXECUTOR_SHARED"], "1");
    assert_eq!(started.env["MESOS_CHECKPOINT"], "1");
    assert!(
        !started.env.contains_key("CARGO"),
        "the environment is made from scratch"
    );
}
