//! The life of tasks and offers.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use aurora_core::cluster::{ClusterEvent, Effect, ReportedState};
use aurora_core::resources::Resources;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::TaskState;
use aurora_proto::v1::AssignedTask;
use aurora_scheduler::cluster::Cluster as _;
use prost::Message as _;

use crate::fixture::{DEADLINE, GB, Subject, config, eventually, is_lost, launch, work_dir};

#[tokio::test]
async fn a_task_goes_from_offer_to_end_and_gives_everything_back() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.until_offered().await;
    let all = Resources {
        cpu_millis: 4000,
        ram: 4 * GB,
        disk: 4 * GB,
        gpu: 0,
    };
    assert_eq!(subject.offered(), all);
    subject.launch(vec![launch("t1", &[31_003])]).await;
    subject.until_offered().await;
    assert_eq!(subject.offered(), all - launch("t1", &[]).resources);
    assert!(!subject.offered_ports().contains(&31_003));

    let mut executor = subject.executor().await.subscribe().await;
    let info = executor.launched().await;
    let task = AssignedTask::decode(info.data.unwrap()).unwrap();
    assert_eq!(
        (task.task_id.as_str(), task.cluster.as_str(), task.instance),
        ("t1", "test", 7)
    );
    assert_eq!(task.ports["p31003"], 31_003);
    assert_eq!(task.config.unwrap().name, "hello");
    let sandbox = subject.cluster.sandbox("t1").unwrap();
    assert_eq!(
        sandbox.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    let labels = info.labels.unwrap().labels;
    assert_eq!(labels[0].value.as_deref(), sandbox.to_str());
    assert_eq!(labels[1].value.as_deref(), Some("self"));

    let running = executor.update("t1", TaskState::TaskRunning);
    let status = subject.status("t1").await;
    assert_eq!(
        (status.state, &status.token),
        (ReportedState::Running, &running)
    );
    assert_eq!(status.message, "as told");
    let early = tokio::time::timeout(Duration::from_millis(100), executor.0.next_event()).await;
    assert!(
        early.is_err(),
        "nothing is acknowledged before the core says so"
    );
    subject.acknowledge(&status);
    assert_eq!(executor.acknowledged().await, running);

    executor.update("t1", TaskState::TaskFinished);
    let status = subject.status("t1").await;
    assert_eq!(status.state, ReportedState::Finished);
    subject.until(|subject| subject.offered() == all).await;
    assert_eq!(
        subject.offered_ports(),
        (31_000..=31_009).collect::<Vec<_>>()
    );
    subject.acknowledge(&status);
    executor.acknowledged().await;
    subject.reconcile(&["t1"]);
    assert!(is_lost(&subject.status("t1").await));
}

#[tokio::test]
async fn launches_that_cannot_be_are_lost() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.until_offered().await;
    let offer = subject.offers.values().next().unwrap().clone();
    let accept = |agent: &str, offer: &str, task: &str| Effect::Accept {
        agent_id: agent.into(),
        offers: vec![offer.into()],
        launches: vec![launch(task, &[])],
    };
    subject.perform(accept(&offer.agent_id, "unknown", "t1"));
    assert!(is_lost(&subject.status("t1").await));
    subject.perform(accept("unknown", &offer.id, "t2"));
    assert!(is_lost(&subject.status("t2").await));

    let mut large = launch("t3", &[]);
    large.resources.cpu_millis = 4001;
    subject
        .launch(vec![
            large,
            launch("t4", &[30_000]),
            launch("t5", &[31_000]),
        ])
        .await;
    assert!(is_lost(&subject.status("t3").await));
    assert!(is_lost(&subject.status("t4").await));
    // The offer was used, whatever came of it.
    subject.perform(accept(&offer.agent_id, &offer.id, "t6"));
    assert!(is_lost(&subject.status("t6").await));
    let mut executor = subject.executor().await.subscribe().await;
    assert_eq!(executor.launched().await.task_id.value, "t5");
    assert!(subject.statuses.is_empty(), "{:?}", subject.statuses);

    subject.launch(vec![launch("../t7", &[])]).await;
    assert_eq!(subject.status("../t7").await.state, ReportedState::Failed);
    assert!(subject.cluster.sandbox("../sandboxes/t5").is_none());
}

#[tokio::test]
async fn a_kill_reaches_the_task_wherever_it_is() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject
        .launch(vec![launch("t1", &[]), launch("t2", &[])])
        .await;
    subject.kill("t1");
    assert_eq!(subject.status("t1").await.state, ReportedState::Killed);
    subject.kill("stray");
    assert!(is_lost(&subject.status("stray").await));

    let mut executor = subject.executor().await.subscribe().await;
    assert_eq!(executor.launched().await.task_id.value, "t2");
    subject.kill("t2");
    assert_eq!(executor.killed().await, "t2");
    executor.update("t2", TaskState::TaskKilled);
    assert_eq!(subject.status("t2").await.state, ReportedState::Killed);
}

#[tokio::test]
async fn a_task_that_only_the_executor_knows_can_be_killed() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let mut executor = subject.executor().await.subscribe().await;
    executor.launched().await;
    executor.update("stray", TaskState::TaskRunning);
    assert_eq!(subject.status("stray").await.state, ReportedState::Starting);
    assert_eq!(subject.status("stray").await.state, ReportedState::Running);
    subject.kill("stray");
    assert_eq!(executor.killed().await, "stray");
    executor.update("stray", TaskState::TaskKilled);
    assert_eq!(subject.status("stray").await.state, ReportedState::Killed);
}

#[tokio::test]
async fn states_of_no_use_and_second_ends_are_answered_by_the_agent() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let mut executor = subject.executor().await.subscribe().await;
    executor.launched().await;
    let killing = executor.update("t1", TaskState::TaskKilling);
    assert_eq!(executor.acknowledged().await, killing);
    executor.update("t1", TaskState::TaskFailed);
    let second = executor.update("t1", TaskState::TaskFinished);
    assert_eq!(executor.acknowledged().await, second);
    assert_eq!(subject.status("t1").await.state, ReportedState::Failed);
    assert!(subject.statuses.is_empty());
}

#[tokio::test]
async fn reconciliation_tells_what_every_task_does() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject
        .launch(vec![launch("t1", &[]), launch("t2", &[])])
        .await;
    subject.reconcile(&["t1", "unknown"]);
    assert_eq!(subject.status("t1").await.state, ReportedState::Starting);
    assert!(is_lost(&subject.status("unknown").await));
    let mut executor = subject.executor().await.subscribe().await;
    executor.launched().await;
    executor.update("t1", TaskState::TaskRunning);
    executor.update("t2", TaskState::TaskFinished);
    subject.status("t1").await;
    let end = subject.status("t2").await;
    subject.reconcile(&[]);
    assert_eq!(subject.status("t1").await.state, ReportedState::Running);
    assert_eq!(
        subject.status("t2").await,
        aurora_core::cluster::StatusUpdate {
            message: String::new(),
            ..end
        }
    );
}

#[tokio::test]
async fn a_declined_offer_comes_back() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.timeouts.decline = Duration::from_millis(300);
    let mut subject = Subject::start(config).await;
    subject.until_offered().await;
    let (offer, _) = subject.offers.drain().next().unwrap();
    subject.perform(Effect::Decline { offer });
    subject.until_offered().await;
    assert_eq!(subject.offered().cpu_millis, 4000);
}

#[tokio::test]
async fn several_agents_share_the_ports_and_have_names_of_their_own() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.n_agents = 2.try_into().unwrap();
    config.hostname = Some("box".to_owned());
    config
        .attributes
        .insert("rack".to_owned(), ["r1".to_owned()].into());
    let mut subject = Subject::start(config.clone()).await;
    subject.until(|subject| subject.offers.len() == 2).await;
    let mut offers: Vec<_> = subject.offers.values().cloned().collect();
    offers.sort_by(|a, b| a.host.cmp(&b.host));
    assert_eq!(
        (&*offers[0].host, &offers[0].ports),
        ("box-0", &vec![31_000..=31_004])
    );
    assert_eq!(
        (&*offers[1].host, &offers[1].ports),
        ("box-1", &vec![31_005..=31_009])
    );
    assert!(offers[1].attributes["host"].contains("box-1"));
    assert!(offers[1].attributes["rack"].contains("r1"));

    // One agent fewer: what it was is told, and the other is still itself.
    subject.leave().await;
    config.n_agents = 1.try_into().unwrap();
    let mut subject = Subject::start(config).await;
    let event = subject.event().await;
    assert_eq!(event, ClusterEvent::AgentGone(offers[1].agent_id.clone()));
    subject.until_offered().await;
    assert!(
        subject
            .offers
            .values()
            .all(|offer| offer.agent_id == offers[0].agent_id)
    );
}

#[tokio::test]
async fn sandboxes_of_ended_tasks_are_collected_and_others_are_not() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.retention.max_count = 1;
    config.retention.keep_free = 0.0;
    config.retention.sweep_interval = Duration::from_millis(20);
    let mut subject = Subject::start(config).await;
    subject
        .launch(vec![
            launch("live", &[]),
            launch("old", &[]),
            launch("new", &[]),
        ])
        .await;
    let mut executor = subject.executor().await.subscribe().await;
    for task in ["old", "new"] {
        executor.launched().await;
        executor.update(task, TaskState::TaskFinished);
        let status = subject.status(task).await;
        subject.acknowledge(&status);
    }
    eventually(|| subject.cluster.sandbox("old").is_none().then_some(())).await;
    assert!(subject.cluster.sandbox("new").is_some());
    assert!(subject.cluster.sandbox("live").is_some());
    assert_eq!(subject.cluster.metrics().deleted_sandboxes.get(), 1);
}

#[tokio::test]
async fn sandboxes_from_before_go_by_age_and_size() {
    let dir = work_dir();
    let config = config(dir.path());
    let sandboxes = dir.path().join("agent-0/sandboxes");
    Subject::start(config.clone()).await.leave().await;
    for name in ["a", "b"] {
        std::fs::create_dir_all(sandboxes.join(name).join("deep/deeper")).unwrap();
        std::fs::write(sandboxes.join(name).join("file"), vec![1; 100_000]).unwrap();
    }
    let mut by_size = config.clone();
    by_size.retention.keep_free = 0.0;
    by_size.retention.max_total_bytes = Some(150_000);
    let subject = Subject::start(by_size).await;
    let left = || std::fs::read_dir(&sandboxes).unwrap().count();
    eventually(|| (left() == 1).then_some(())).await;
    subject.leave().await;

    let mut by_age = config;
    by_age.retention.keep_free = 0.0;
    by_age.retention.max_age = Duration::from_millis(1);
    let subject = Subject::start(by_age).await;
    eventually(|| (left() == 0).then_some(())).await;
    subject.leave().await;
}

#[tokio::test]
async fn stopping_with_an_end_to_tasks_asks_executors_first() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.timeouts.shutdown_grace = Duration::from_secs(1);
    let mut subject = Subject::start(config).await;
    subject
        .launch(vec![launch("t1", &[]), launch("t2", &[])])
        .await;
    let started = subject.executor().await;
    let pid = started.pid();
    let mut executor = started.subscribe().await;
    executor.launched().await;
    executor.launched().await;
    let stopping = tokio::spawn({
        let cluster = std::sync::Arc::clone(&subject.cluster);
        async move {
            cluster
                .shutdown(aurora_scheduler::cluster::embedded::RunningTasks::End)
                .await;
        }
    });
    assert!(matches!(executor.event().await, AgentEvent::Shutdown));
    let killed = executor.update("t2", TaskState::TaskKilled);
    assert_eq!(
        executor.acknowledged().await,
        killed,
        "the core need not answer now"
    );
    // It does not go, and is killed after the grace.
    tokio::time::timeout(DEADLINE, stopping)
        .await
        .unwrap()
        .unwrap();
    assert!(!crate::fixture::is_running(pid));
    assert_eq!(subject.status("t1").await.state, ReportedState::Killed);
}
