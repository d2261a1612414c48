//! What the agent itself can do, with an executor that only answers.

use std::time::Duration;

use aurora_core::cluster::{ClusterEvent, Launch, ReportedState};
use aurora_core::resources::Resources;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::TaskState;
use tokio::time::Instant;

use crate::fixture::{FakeExecutor, Subject, config, launch, work_dir};

const N_TASKS: usize = 20_000;
const AT_A_TIME: usize = 200;

fn small(n: usize) -> Launch {
    let resources = Resources {
        cpu_millis: 10,
        ram: 1 << 20,
        disk: 1 << 20,
        gpu: 0,
    };
    Launch {
        resources,
        ..launch(&format!("task-{n}"), &[])
    }
}

async fn answer(mut executor: FakeExecutor) {
    loop {
        match executor.0.next_event().await {
            AgentEvent::Launch(tasks) => {
                for task in tasks {
                    let task_id = task.task_id.value.as_str();
                    executor.update(task_id, TaskState::TaskStarting);
                    executor.update(task_id, TaskState::TaskRunning);
                    executor.update(task_id, TaskState::TaskFinished);
                }
            }
            AgentEvent::Gone { .. } => return,
            _ => {}
        }
    }
}

// One thread for everything: agent, endpoint, the fake core and the fake executor.
#[tokio::test]
#[ignore = "a measurement, of use with --release only"]
async fn cycles_per_second_on_one_core() {
    let dir = work_dir();
    let mut config = config(dir.path());
    config.retention.sweep_interval = Duration::from_secs(1);
    config.retention.keep_free = 0.0;
    config.retention.max_count = 1000;
    let mut subject = Subject::start(config).await;
    subject.launch(vec![small(0)]).await;
    let executor = subject.executor().await.subscribe().await;
    let answering = tokio::spawn(answer(executor));
    let started = Instant::now();
    let (mut n_started, mut n_ended) = (1, 0);
    while n_ended < N_TASKS {
        let due = (AT_A_TIME - (n_started - n_ended)).min(N_TASKS - n_started);
        if due > 0 && !subject.offers.is_empty() {
            subject
                .launch((n_started..n_started + due).map(small).collect())
                .await;
            n_started += due;
        }
        if let ClusterEvent::Status(status) = subject.event().await {
            subject.acknowledge(&status);
            subject.statuses.clear();
            n_ended += usize::from(status.state == ReportedState::Finished);
        }
    }
    let rate = N_TASKS as f64 / started.elapsed().as_secs_f64();
    println!("{rate:.0} cycles/s of launch, three updates and three acknowledgements");
    answering.abort();
}
