//! The executor as a program, with an agent that speaks HTTP on the loopback interface.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests, of which these are the helpers"
)]

#[path = "support/mod.rs"]
#[expect(dead_code, reason = "the other test program uses the rest")]
mod support;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use aurora_mesos::recordio::encode_record;
use aurora_mesos::v1::executor::{Call, Event, call, event};
use aurora_mesos::v1::{TaskId, TaskInfo, TaskState};
use bytes::BytesMut;
use prost::Message as _;
use support::{DEADLINE, TestTask, eventually, is_alive, pid_in, process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

/// One life of an agent: takes connections, passes on calls, sends events.
struct Agent {
    calls: mpsc::UnboundedReceiver<(Call, String)>,
    events: broadcast::Sender<Event>,
    server: JoinHandle<()>,
}

impl Agent {
    /// Starts an agent that answers its first `n_refusals` subscriptions with 503.
    async fn start(endpoint_file: &PathBuf, n_refusals: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string();
        std::fs::write(endpoint_file, format!("{endpoint}\n")).unwrap();
        let (call_sender, calls) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(64);
        let server = tokio::spawn(accept(listener, call_sender, events.clone(), n_refusals));
        Self {
            calls,
            events,
            server,
        }
    }

    async fn call(&mut self) -> (Call, String) {
        let call = tokio::time::timeout(DEADLINE, self.calls.recv()).await;
        call.expect("a call in time").expect("a living agent")
    }

    /// Waits for a subscription and says what it repeats.
    async fn subscription(&mut self) -> call::Subscribe {
        loop {
            if let Some(subscribe) = self.call().await.0.subscribe {
                self.send(event::Type::Subscribed, |event| {
                    event.subscribed = Some(event::Subscribed::default());
                });
                return subscribe;
            }
        }
    }

    async fn update(&mut self) -> call::Update {
        loop {
            if let Some(update) = self.call().await.0.update {
                return update;
            }
        }
    }

    fn send(&self, event_type: event::Type, fill: impl FnOnce(&mut Event)) {
        let mut event = Event {
            r#type: Some(event_type.into()),
            ..Event::default()
        };
        fill(&mut event);
        self.events.send(event).unwrap();
    }

    fn launch(&self, task: TaskInfo) {
        self.send(event::Type::Launch, |event| {
            event.launch = Some(event::Launch { task });
        });
    }

    fn acknowledge(&self, update: &call::Update) {
        let status = &update.status;
        let acknowledged = event::Acknowledged {
            task_id: TaskId {
                value: status.task_id.value.clone(),
            },
            uuid: status.uuid.clone().unwrap(),
        };
        self.send(event::Type::Acknowledged, |event| {
            event.acknowledged = Some(acknowledged);
        });
    }

    /// Ends as with `kill -9`: every connection breaks.
    fn kill(self) {
        self.server.abort();
    }
}

async fn accept(
    listener: TcpListener,
    calls: mpsc::UnboundedSender<(Call, String)>,
    events: broadcast::Sender<Event>,
    mut n_refusals: usize,
) {
    // Dropped with this task, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let is_refused = n_refusals > 0;
        n_refusals = n_refusals.saturating_sub(1);
        connections.spawn(serve(stream, calls.clone(), events.subscribe(), is_refused));
    }
}

async fn serve(
    mut stream: TcpStream,
    calls: mpsc::UnboundedSender<(Call, String)>,
    mut events: broadcast::Receiver<Event>,
    is_refused: bool,
) {
    let mut buffer = BytesMut::new();
    while let Some((head, body)) = read_request(&mut stream, &mut buffer).await {
        if is_refused {
            let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            continue;
        }
        let call = Call::decode(body).unwrap();
        let is_subscribe = call.subscribe.is_some();
        calls.send((call, head)).ok();
        if !is_subscribe {
            let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            continue;
        }
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        while let Ok(event) = events.recv().await {
            let mut record = BytesMut::new();
            encode_record(&event.encode_to_vec(), &mut record);
            // Chunk borders anywhere, as the framing knows none.
            for chunk in record.chunks(7) {
                let mut wire = format!("{:x}\r\n", chunk.len()).into_bytes();
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
                if stream.write_all(&wire).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Option<(String, BytesMut)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if buffer.len() >= end + 4 + length {
                let _head = buffer.split_to(end + 4);
                return Some((head, buffer.split_to(length)));
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

struct Executor {
    root: tempfile::TempDir,
    child: Child,
}

impl Executor {
    fn endpoint_file(root: &tempfile::TempDir) -> PathBuf {
        root.path().join("endpoint")
    }

    fn start(root: tempfile::TempDir, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aurora-executor"));
        command
            .env("AURORA_AGENT_ENDPOINT_FILE", Self::endpoint_file(&root))
            .env("MESOS_FRAMEWORK_ID", "framework")
            .env("MESOS_EXECUTOR_ID", "executor")
            .env("MESOS_SANDBOX", root.path())
            .env("MESOS_CHECKPOINT", "1")
            .env("MESOS_RECOVERY_TIMEOUT", "1hrs")
            .env("MESOS_SUBSCRIPTION_BACKOFF_MAX", "50ms")
            .env("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "3secs")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn().unwrap();
        Self { root, child }
    }

    fn task(&self, id: &str, cmdline: &str) -> TestTask {
        TestTask::new(id, self.root.path(), vec![process("p", cmdline)])
    }

    async fn end(&mut self) -> ExitStatus {
        tokio::time::timeout(DEADLINE, self.child.wait())
            .await
            .expect("an end in time")
            .unwrap()
    }
}

const DEAF: &str = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done";

fn states(updates: &[call::Update]) -> Vec<TaskState> {
    updates.iter().map(|update| update.status.state()).collect()
}

#[tokio::test]
async fn a_task_survives_its_agent_and_everything_is_repeated() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 2).await;
    let mut executor = Executor::start(root, &[]);
    let subscribe = agent.subscription().await;
    assert!(subscribe.unacknowledged_tasks.is_empty());

    let task = executor.task("t", "until [ -e go ]; do sleep 0.01; done; echo $$ > pid");
    agent.launch(task.info());
    let starting = agent.update().await;
    agent.acknowledge(&starting);
    let running = agent.update().await;
    assert_eq!(
        states(&[starting, running.clone()]),
        [TaskState::TaskStarting, TaskState::TaskRunning]
    );
    // Launched and not even begun when the agent dies.
    agent.launch(executor.task("u", "true").info());
    let u_updates = [
        agent.update().await,
        agent.update().await,
        agent.update().await,
    ];
    agent.kill();

    std::fs::write(task.sandbox.join("go"), "").unwrap();
    let pid = pid_in(&task.sandbox.join("pid")).await;
    eventually("the end of the process", || (!is_alive(pid)).then_some(())).await;

    let mut agent = Agent::start(&Executor::endpoint_file(&executor.root), 0).await;
    let subscribe = agent.subscription().await;
    let tasks = &subscribe.unacknowledged_tasks;
    assert_eq!(
        tasks
            .iter()
            .map(|task| &*task.task_id.value)
            .collect::<Vec<_>>(),
        ["u"]
    );
    let mut updates = subscribe.unacknowledged_updates;
    assert_eq!(updates[..4], [&[running][..], &u_updates[..]].concat());
    if updates.len() == 4 {
        // It ended after the subscription went out.
        updates.push(agent.update().await);
    }
    assert_eq!(updates[4].status.state(), TaskState::TaskFinished);
    assert_eq!(updates[4].status.task_id.value, "t");
    for update in &updates {
        agent.acknowledge(update);
    }
    assert!(executor.end().await.success());
}

#[tokio::test]
async fn a_shutdown_of_the_agent_ends_the_executor_in_time() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 0).await;
    let mut executor = Executor::start(root, &[("AURORA_EXECUTOR_SHARED", "1")]);
    agent.subscription().await;
    let task = executor.task("t", DEAF);
    agent.launch(task.info());
    let pid = pid_in(&task.sandbox.join("pid")).await;
    agent.send(event::Type::Shutdown, |_| {});
    let mut last = agent.update().await;
    while last.status.state() != TaskState::TaskKilled {
        last = agent.update().await;
    }
    assert!(!is_alive(pid));
    assert_eq!(last.status.message(), "the agent shuts the executor down");
    // Never acknowledged: the grace ends the wait.
    assert!(executor.end().await.success());
}

#[tokio::test]
async fn sigterm_ends_everything_that_the_executor_started() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 0).await;
    let mut executor = Executor::start(root, &[("AURORA_EXECUTOR_SHARED", "1")]);
    agent.subscription().await;
    let task = executor.task(
        "t",
        "(env -i setsid bash -c 'echo $$ > pid; exec sleep 600' &); sleep 600",
    );
    agent.launch(task.info());
    let pid = pid_in(&task.sandbox.join("pid")).await;
    let executor_pid = i32::try_from(executor.child.id().unwrap()).unwrap();
    let executor_pid = rustix::process::Pid::from_raw(executor_pid).unwrap();
    rustix::process::kill_process(executor_pid, rustix::process::Signal::TERM).unwrap();
    let mut last = agent.update().await;
    while last.status.state() != TaskState::TaskKilled {
        agent.acknowledge(&last);
        last = agent.update().await;
    }
    agent.acknowledge(&last);
    assert!(executor.end().await.success());
    assert!(
        !is_alive(pid),
        "a stray without the task's name in its environment is left"
    );
}

#[tokio::test]
async fn an_agent_that_stays_away_costs_the_tasks() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 0).await;
    let mut executor = Executor::start(root, &[("MESOS_RECOVERY_TIMEOUT", "300ms")]);
    agent.subscription().await;
    let task = executor.task("t", DEAF);
    agent.launch(task.info());
    let pid = pid_in(&task.sandbox.join("pid")).await;
    agent.kill();
    assert_eq!(executor.end().await.code(), Some(1));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn neither_token_nor_descriptors_reach_a_task() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 0).await;
    // The executor inherits whatever this test did, and a token.
    let executor = Executor::start(
        root,
        &[("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "hush-hush")],
    );
    let probe = "ls /proc/self/fd > fds; cat /proc/self/environ /proc/$PPID/environ > environs; \
                 echo $$ > pid";
    let task = executor.task("t", probe);
    let (subscribe, head) = agent.call().await;
    assert!(subscribe.subscribe.is_some());
    assert!(head.contains("authorization: bearer hush-hush"), "{head}");
    agent.launch(task.info());
    let (_, head) = agent.call().await;
    assert!(head.contains("authorization: bearer hush-hush"), "{head}");
    pid_in(&task.sandbox.join("pid")).await;
    let file = |name| {
        String::from_utf8_lossy(&std::fs::read(task.sandbox.join(name)).unwrap()).into_owned()
    };
    assert_eq!(
        file("fds"),
        "0\n1\n2\n3\n",
        "3 is the directory that ls reads"
    );
    assert!(file("environs").contains("MESOS_SANDBOX"));
    assert!(!file("environs").contains("hush"));
}

#[test]
fn the_shim_takes_user_and_groups_and_gives_up_the_rest() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_aurora-executor"))
        .args([
            "exec-as",
            "65534",
            "65533",
            "65533,4,20",
            "/bin/bash",
            "-c",
            "id -u; id -g; id -G",
        ])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "65534\n65533\n65533 4 20\n"
    );
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_aurora-executor"))
        .args(["exec-as", "nobody"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(126));
}

#[tokio::test]
async fn without_the_agents_variables_it_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_aurora-executor"))
        .env_clear()
        .output();
    let output = tokio::time::timeout(Duration::from_secs(10), output)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("MESOS_AGENT_ENDPOINT"));
}

#[tokio::test]
async fn a_hangup_ends_neither_the_executor_nor_its_tasks_protection() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&Executor::endpoint_file(&root), 0).await;
    let executor = Executor::start(root, &[]);
    agent.subscription().await;
    let pid = rustix::process::Pid::from_raw(executor.child.id().unwrap().try_into().unwrap());
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
    let task = executor.task("t", "kill -HUP $$; sleep 600");
    agent.launch(task.info());
    let mut states = Vec::new();
    while states.last() != Some(&TaskState::TaskFailed) {
        let update = agent.update().await;
        agent.acknowledge(&update);
        states.push(update.status.state());
    }
    assert!(is_alive(executor.child.id().unwrap()));
}
