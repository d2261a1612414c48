//! Executors outlive the scheduler.

use std::process::Command;
use std::time::Duration;

use aurora_core::cluster::ReportedState;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::TaskState;
use aurora_scheduler::cluster::embedded::EmbeddedError;

use crate::fixture::{
    FakeExecutor, StartedExecutor, Subject, config, is_lost, is_running, kill_9, launch, work_dir,
};

async fn running(subject: &mut Subject, tasks: &[&str]) -> (StartedExecutor, FakeExecutor) {
    let launches = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| launch(task, &[31_000 + u16::try_from(index).unwrap()]));
    subject.launch(launches.collect()).await;
    let started = subject.executor().await;
    let mut executor = started.subscribe().await;
    for _ in tasks {
        executor.launched().await;
    }
    for task in tasks {
        executor.update(task, TaskState::TaskRunning);
        let status = subject.status(task).await;
        subject.acknowledge(&status);
        executor.acknowledged().await;
    }
    (started, executor)
}

async fn resubscribed(executor: &mut FakeExecutor) {
    assert!(matches!(executor.event().await, AgentEvent::Disconnected));
    assert!(matches!(executor.event().await, AgentEvent::Subscribed(_)));
}

#[tokio::test]
async fn tasks_go_on_and_are_taken_back() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    let (started, mut executor) = running(&mut subject, &["t1", "t2"]).await;
    subject.leave().await;
    // Ends while nobody listens, and tells it when somebody does.
    executor.update("t2", TaskState::TaskFinished);

    let mut subject = Subject::start(config(dir.path())).await;
    subject.reconcile(&[]);
    subject.kill("t1");
    subject.until_offered().await;
    resubscribed(&mut executor).await;
    assert!(is_running(started.pid()));
    assert_eq!(subject.status("t1").await.state, ReportedState::Running);
    let end = subject.status("t2").await;
    assert_eq!(end.state, ReportedState::Finished);
    subject
        .until(|subject| subject.offered().cpu_millis == 3000)
        .await;
    assert!(!subject.offered_ports().contains(&31_000));
    assert!(subject.offered_ports().contains(&31_001));
    assert_eq!(executor.killed().await, "t1");
    executor.update("t1", TaskState::TaskKilled);
    let mut status = subject.status("t1").await;
    if status.state == ReportedState::Running {
        status = subject.status("t1").await;
    }
    assert_eq!(status.state, ReportedState::Killed);
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
}

#[tokio::test]
async fn a_launch_that_never_arrived_is_lost() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    let (_, mut executor) = running(&mut subject, &["t1"]).await;
    subject.leave().await;
    // As if the scheduler had been killed between journal and socket.
    let executors = dir.path().join("agent-0/executors");
    let journal = std::fs::read_dir(executors)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let journal = journal.join("tasks");
    let mut text = std::fs::read_to_string(&journal).unwrap();
    text += "L t2 1000 1 1 0 31005\n";
    std::fs::write(&journal, text).unwrap();

    let mut subject = Subject::start(config(dir.path())).await;
    subject.reconcile(&["t1", "t2"]);
    resubscribed(&mut executor).await;
    assert_eq!(subject.status("t1").await.state, ReportedState::Running);
    assert!(is_lost(&subject.status("t2").await));
    subject
        .until(|subject| subject.offered_ports().contains(&31_005))
        .await;
}

#[tokio::test]
async fn an_executor_that_stays_away_is_ended_with_its_tasks() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    let (started, executor) = running(&mut subject, &["away-t1"]).await;
    drop(executor);
    subject.leave().await;
    let pid = started.pid();
    let mut leftover = Command::new("sleep")
        .arg("600")
        .env("AURORA_TASK_ID", "away-t1")
        .spawn()
        .unwrap();

    let mut config = config(dir.path());
    config.timeouts.return_within = Duration::from_millis(500);
    let mut subject = Subject::start(config).await;
    subject.reconcile(&["away-t1"]);
    let status = subject.status("away-t1").await;
    assert!(is_lost(&status));
    assert!(!is_running(pid));
    assert!(!leftover.wait().unwrap().success());
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
}

#[tokio::test]
async fn tasks_of_an_executor_that_died_meanwhile_are_lost() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    let (started, executor) = running(&mut subject, &["dead-t1"]).await;
    drop(executor);
    subject.leave().await;
    kill_9(started.pid());
    let mut leftover = Command::new("sleep")
        .arg("600")
        .env("AURORA_TASK_ID", "dead-t1")
        .spawn()
        .unwrap();

    let mut subject = Subject::start(config(dir.path())).await;
    assert!(is_lost(&subject.status("dead-t1").await));
    assert!(!leftover.wait().unwrap().success());
    subject
        .until(|subject| subject.offered().cpu_millis == 4000)
        .await;
}

#[tokio::test]
async fn an_executor_whose_start_was_not_noted_is_found() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    let (started, mut executor) = running(&mut subject, &["t1"]).await;
    subject.leave().await;
    let record_path = started.dir.join("executor.json");
    let record = std::fs::read_to_string(&record_path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&record).unwrap();
    record["pid"] = serde_json::Value::Null;
    std::fs::write(&record_path, record.to_string()).unwrap();

    let mut subject = Subject::start(config(dir.path())).await;
    subject.reconcile(&["t1"]);
    resubscribed(&mut executor).await;
    assert_eq!(subject.status("t1").await.state, ReportedState::Running);
}

#[tokio::test]
async fn a_directory_belongs_to_one_scheduler() {
    let dir = work_dir();
    let subject = Subject::start(config(dir.path())).await;
    let second = Subject::try_start(config(dir.path())).await;
    assert!(matches!(second.err(), Some(EmbeddedError::Locked(_))));
    subject.leave().await;
    Subject::start(config(dir.path())).await;
}
