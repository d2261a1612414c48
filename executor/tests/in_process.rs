//! The executor with real processes and an agent that is two channels.
//!
//! Apart from `program.rs`, because this whole test program is a subreaper: it would take the
//! programs that the other one starts for strays.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests, of which these are the helpers"
)]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aurora_executor::config::{ExecutorConfig, Lifetime};
use aurora_executor::link::AgentLink;
use aurora_executor::process_table::ProcessTable;
use aurora_executor::shim::Shim;
use aurora_executor::supervisor::ExecutorEnd;
use aurora_mesos::executor_client::AgentEvent;
use aurora_mesos::v1::{TaskInfo, TaskState, TaskStatus};
use aurora_proto::v1::Process;
use support::{DEADLINE, TestTask, eventually, final_process, is_alive, pid_in, process};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

struct ChannelLink {
    events: mpsc::UnboundedReceiver<AgentEvent>,
    updates: mpsc::UnboundedSender<TaskStatus>,
}

impl AgentLink for ChannelLink {
    async fn next_event(&mut self) -> AgentEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    fn send_update(&mut self, status: TaskStatus) {
        self.updates.send(status).ok();
    }
}

/// An executor and the test that plays its agent.
struct Agent {
    root: tempfile::TempDir,
    events: mpsc::UnboundedSender<AgentEvent>,
    updates: mpsc::UnboundedReceiver<TaskStatus>,
    seen: Vec<(String, TaskState, String)>,
    executor: JoinHandle<ExecutorEnd>,
}

impl Agent {
    fn start() -> Self {
        Self::with_lifetime(Lifetime::Shared {
            idle_timeout: Duration::from_secs(600),
        })
    }

    fn with_lifetime(lifetime: Lifetime) -> Self {
        static TABLE: OnceLock<Arc<ProcessTable>> = OnceLock::new();
        let table = TABLE.get_or_init(|| Arc::new(ProcessTable::new().unwrap()));
        let root = tempfile::tempdir().unwrap();
        let (events, event_receiver) = mpsc::unbounded_channel();
        let (update_sender, updates) = mpsc::unbounded_channel();
        let config = ExecutorConfig {
            lifetime,
            acknowledge_timeout: DEADLINE,
            shutdown_grace: Duration::from_secs(2),
            default_sandbox: root.path().join("sandbox"),
            shim: Shim {
                program: "/bin/false".into(),
                arguments: Vec::new(),
            },
        };
        let link = ChannelLink {
            events: event_receiver,
            updates: update_sender,
        };
        let run = aurora_executor::run(link, config, Arc::clone(table), std::future::pending());
        Self {
            root,
            events,
            updates,
            seen: Vec::new(),
            executor: tokio::spawn(run),
        }
    }

    fn task(&self, id: &str, processes: Vec<Process>) -> TestTask {
        // Of this process and test, as all share one table.
        let unique = format!("{id}-{}", self.root.path().file_name().unwrap().display());
        let mut task = TestTask::new(&unique, self.root.path(), processes);
        task.sandbox = self.root.path().join(id);
        task
    }

    fn launch(&self, info: TaskInfo) {
        self.events.send(AgentEvent::Launch(vec![info])).unwrap();
    }

    fn kill(&self, task: &TestTask, grace: Duration) {
        let task_id = task.assigned.task_id.clone();
        self.events
            .send(AgentEvent::Kill {
                task_id,
                grace: Some(grace),
            })
            .unwrap();
    }

    async fn next_update(&mut self) {
        let update = tokio::time::timeout(DEADLINE, self.updates.recv()).await;
        let status = update
            .expect("an update in time")
            .expect("a living executor");
        let uuid = status.uuid.clone().unwrap();
        assert_eq!((uuid.len(), uuid[6] >> 4), (16, 4));
        let (state, message) = (status.state(), status.message().to_owned());
        self.seen
            .push((status.task_id.value.clone(), state, message));
        let task_id = status.task_id.value;
        self.events
            .send(AgentEvent::Acknowledged { task_id, uuid })
            .ok();
    }

    /// Returns the states of the task so far and its last message.
    fn history(&self, task: &TestTask) -> (Vec<TaskState>, String) {
        let of_task = self
            .seen
            .iter()
            .filter(|(id, ..)| *id == task.assigned.task_id);
        let message = of_task
            .clone()
            .next_back()
            .map(|(.., message)| message.clone());
        (
            of_task.map(|(_, state, _)| *state).collect(),
            message.unwrap_or_default(),
        )
    }

    async fn wait_for(&mut self, task: &TestTask, wanted: TaskState) -> String {
        loop {
            let (states, message) = self.history(task);
            if states.contains(&wanted) {
                return message;
            }
            let is_over = states
                .iter()
                .any(|state| !matches!(state, TaskState::TaskStarting | TaskState::TaskRunning));
            assert!(!is_over, "{states:?} {message}");
            self.next_update().await;
        }
    }

    async fn run(&mut self, task: &TestTask, wanted: TaskState) -> String {
        self.launch(task.info());
        self.wait_for(task, wanted).await
    }
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

const ALL_WELL: [TaskState; 3] = [
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskFinished,
];

#[tokio::test]
async fn processes_run_in_order_and_leave_their_output_in_logs() {
    let mut agent = Agent::start();
    let write = |name: &str| {
        process(
            name,
            &format!("echo {name} >> trace; echo out; echo err >&2"),
        )
    };
    let finals = final_process("clean", "echo clean >> trace");
    let task = agent.task("t", vec![write("c"), write("b"), finals, write("a")]);
    let task = task.order(&["a", "b", "c"]);
    agent.run(&task, TaskState::TaskFinished).await;
    assert_eq!(agent.history(&task).0, ALL_WELL);
    assert_eq!(read(task.sandbox.join("trace")), "a\nb\nc\nclean\n");
    assert_eq!(read(task.sandbox.join(".logs/b/0/stdout")), "out\n");
    assert_eq!(read(task.sandbox.join(".logs/b/0/stderr")), "err\n");
}

#[tokio::test]
async fn a_failure_is_told_and_finals_run() {
    let mut agent = Agent::start();
    let finals = final_process("clean", "touch cleaned");
    let task = agent.task("t", vec![process("fetch", "exit 3"), finals]);
    let message = agent.run(&task, TaskState::TaskFailed).await;
    assert_eq!(message, "process `fetch` exited with 3");
    assert!(task.sandbox.join("cleaned").exists());
}

#[tokio::test]
async fn a_process_is_restarted_up_to_its_limit() {
    let mut agent = Agent::start();
    let flaky = Process {
        max_failures: 3,
        ..process("p", "kill -SEGV $$")
    };
    let task = agent.task("t", vec![flaky]);
    let message = agent.run(&task, TaskState::TaskFailed).await;
    assert_eq!(
        message,
        "process `p` was killed by SIGSEGV (failed 3 times)"
    );
    let runs = std::fs::read_dir(task.sandbox.join(".logs/p"))
        .unwrap()
        .count();
    assert_eq!(runs, 3);
}

#[tokio::test]
async fn concurrency_is_limited() {
    let mut agent = Agent::start();
    let alone = "mkdir lock && sleep 0.05 && rmdir lock";
    let mut task = agent.task(
        "t",
        (0..4).map(|n| process(&format!("p{n}"), alone)).collect(),
    );
    task.config().max_concurrency = 1;
    agent.run(&task, TaskState::TaskFinished).await;
}

#[tokio::test]
async fn the_environment_is_clean_and_references_are_filled_in() {
    let mut agent = Agent::start();
    let probe = "env | sort > env; umask > umask; readlink /proc/self/fd/0 \
                 > stdin; echo {{mesos.instance}} {{ports.http}} {{{{x}}}} > refs; grep -E \
                 '^Sig(Blk|Ign)' /proc/self/status > signals";
    let task = agent.task("t", vec![process("p", probe)]);
    agent.run(&task, TaskState::TaskFinished).await;
    let file = |name| read(task.sandbox.join(name));
    assert_eq!(file("refs"), "3 31000 {{x}}\n");
    assert_eq!(file("umask"), "0022\n");
    assert_eq!(file("stdin"), "/dev/null\n");
    // The two bits are signals that the C library keeps for itself.
    let ignored = ["0000000000000000", "0000000180000000"];
    let signals = file("signals");
    assert!(
        signals.starts_with("SigBlk:\t0000000000000000\nSigIgn:"),
        "{signals}"
    );
    assert!(
        ignored
            .iter()
            .any(|mask| signals.trim_end().ends_with(mask)),
        "{signals}"
    );
    let names: Vec<String> = file("env")
        .lines()
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    let expected = "AURORA_CLUSTER AURORA_ENVIRONMENT AURORA_HOSTNAME AURORA_INSTANCE AURORA_JOB \
                    AURORA_JOB_KEY AURORA_PORT_HTTP AURORA_ROLE AURORA_TASK_ID HOME LOGNAME PATH \
                    PWD SHLVL USER _";
    assert_eq!(names.join(" "), expected);
    assert!(file("env").contains("AURORA_JOB_KEY=www/prod/hello\n"));
}

#[tokio::test]
async fn a_plain_command_needs_no_shell_and_a_missing_one_is_told_by_the_shell() {
    let mut agent = Agent::start();
    let plain = agent.task("plain", vec![process("p", "/bin/cat /proc/self/comm")]);
    agent.run(&plain, TaskState::TaskFinished).await;
    assert_eq!(read(plain.sandbox.join(".logs/p/0/stdout")), "cat\n");
    let missing = agent.task("missing", vec![process("p", "/no/such/program")]);
    let message = agent.run(&missing, TaskState::TaskFailed).await;
    assert_eq!(message, "process `p` exited with 127 (command not found)");
    assert!(read(missing.sandbox.join(".logs/p/0/stderr")).contains("/no/such/program"));
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_and_finals_still_run() {
    let mut agent = Agent::start();
    let stubborn = process(
        "p",
        "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done",
    );
    let task = agent.task("t", vec![stubborn, final_process("f", "touch finalized")]);
    agent.launch(task.info());
    let pid = pid_in(&task.sandbox.join("pid")).await;
    agent.kill(&task, Duration::from_millis(800));
    agent.kill(&task, Duration::from_secs(600));
    let message = agent.wait_for(&task, TaskState::TaskKilled).await;
    assert_eq!(message, "kill requested");
    assert!(!is_alive(pid));
    assert!(task.sandbox.join("finalized").exists());
}

#[tokio::test]
async fn a_server_behind_a_shell_has_its_time_to_end() {
    let mut agent = Agent::start();
    let server = "(trap 'sleep 0.3; echo bye > bye; exit 0' TERM; echo $BASHPID > pid; \
                  while :; do sleep 0.05; done) & wait";
    let task = agent.task("t", vec![process("p", server)]);
    agent.launch(task.info());
    pid_in(&task.sandbox.join("pid")).await;
    agent.kill(&task, Duration::from_secs(20));
    agent.wait_for(&task, TaskState::TaskKilled).await;
    assert_eq!(read(task.sandbox.join("bye")), "bye\n");
}

#[tokio::test]
async fn a_daemon_that_left_its_session_is_asked_to_end() {
    let mut agent = Agent::start();
    let daemon = "setsid bash -c 'trap \"echo bye > bye; exit 0\" TERM; echo $$ > pid; \
                  while :; do sleep 0.05; done' & disown; sleep 600";
    let task = agent.task("t", vec![process("p", &format!("( {daemon} )"))]);
    agent.launch(task.info());
    let pid = pid_in(&task.sandbox.join("pid")).await;
    agent.kill(&task, Duration::from_secs(20));
    agent.wait_for(&task, TaskState::TaskKilled).await;
    assert!(!is_alive(pid));
    assert_eq!(read(task.sandbox.join("bye")), "bye\n");
}

#[tokio::test]
async fn nothing_is_left_of_a_finished_task() {
    let leave = [
        ("background", "sleep 600 & echo $! > pid"),
        (
            "double_fork",
            "(setsid bash -c 'echo $$ > pid; exec sleep 600' &) ; until [ -s pid ]; do sleep 0.01; done",
        ),
        (
            "deaf_tree",
            "(setsid bash -c 'trap \"\" TERM HUP; (setsid sleep 600 & echo $! > pid); while :; do \
             sleep 1; done' &); until [ -s pid ]; do sleep 0.01; done",
        ),
        (
            "nameless",
            "file=$PWD/pid; (cd /; exec env -i setsid /bin/bash -c \
             'echo $$ > $0; exec sleep 600 <&- >&- 2>&-' $file &); until [ -s pid ]; do sleep 0.01; done",
        ),
    ];
    let mut agent = Agent::start();
    // Another task, so that the strays cannot be told by being alone.
    let other = agent.task("other", vec![process("p", "sleep 600")]);
    agent.run(&other, TaskState::TaskRunning).await;
    for (name, cmdline) in leave {
        let mut task = agent.task(name, vec![process("p", cmdline)]);
        task.config().finalization_wait_secs = 1;
        agent.run(&task, TaskState::TaskFinished).await;
        let pid = pid_in(&task.sandbox.join("pid")).await;
        assert!(!is_alive(pid), "{name} left {pid}");
    }
    assert_eq!(agent.history(&other).0.len(), 2, "the other task goes on");
    agent.kill(&other, Duration::from_secs(20));
    agent.wait_for(&other, TaskState::TaskKilled).await;
}

#[tokio::test]
async fn many_tasks_share_an_executor() {
    let mut agent = Agent::start();
    let tasks: Vec<TestTask> = (0..150)
        .map(|n| agent.task(&format!("t{n}"), vec![process("p", "/bin/true")]))
        .collect();
    for task in &tasks {
        agent.launch(task.info());
    }
    for task in &tasks {
        agent.wait_for(task, TaskState::TaskFinished).await;
        assert_eq!(agent.history(task).0, ALL_WELL);
    }
}

#[tokio::test]
async fn a_task_that_cannot_run_fails_alone_and_says_why() {
    let mut agent = Agent::start();
    let good = agent.task(
        "good",
        vec![process("p", "until [ -e go ]; do sleep 0.01; done")],
    );
    agent.run(&good, TaskState::TaskRunning).await;

    let garbage = agent.task("garbage", vec![]);
    let mut info = garbage.info();
    info.data = Some(b"\xff\xff".as_slice().into());
    agent.launch(info);
    let message = agent.wait_for(&garbage, TaskState::TaskFailed).await;
    assert!(
        message.starts_with("the task's data is not an AssignedTask"),
        "{message}"
    );
    assert_eq!(
        agent.history(&garbage).0,
        [TaskState::TaskStarting, TaskState::TaskFailed]
    );

    let mut stranger = agent.task("stranger", vec![process("p", "true")]);
    stranger.run_as = "role";
    stranger.assigned.job.as_mut().unwrap().role = "no-such-user".to_owned();
    let message = agent.run(&stranger, TaskState::TaskFailed).await;
    assert!(
        message.starts_with("no such user: `no-such-user`"),
        "{message}"
    );

    let unbound = agent.task("unbound", vec![process("p", "echo {{ports.admin}}")]);
    let message = agent.run(&unbound, TaskState::TaskFailed).await;
    assert!(
        message.contains("`{{ports.admin}}` refers to a port"),
        "{message}"
    );

    let nameless = agent.task("nameless", vec![process("../x", "true")]);
    agent.run(&nameless, TaskState::TaskFailed).await;
    let empty = agent.task("empty", vec![]);
    agent.run(&empty, TaskState::TaskFailed).await;

    std::fs::write(good.sandbox.join("go"), "").unwrap();
    agent.wait_for(&good, TaskState::TaskFinished).await;
}

#[tokio::test]
async fn a_task_runs_as_its_role() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut agent = Agent::start();
    // The user has to reach the sandbox.
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(agent.root.path(), open).unwrap();
    let mut task = agent.task(
        "t",
        vec![process("p", "id -un > who; id -G > groups; touch mine")],
    );
    task.run_as = "role";
    task.assigned.job.as_mut().unwrap().role = "nobody".to_owned();
    agent.run(&task, TaskState::TaskFinished).await;
    assert_eq!(read(task.sandbox.join("who")), "nobody\n");
    assert_eq!(
        read(task.sandbox.join("groups")).split_whitespace().count(),
        1
    );
    let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
    assert_eq!(owner(&task.sandbox), owner(&task.sandbox.join("mine")));
    assert_eq!(owner(&task.sandbox.join(".logs")), 0);
}

#[tokio::test]
async fn a_second_launch_of_a_task_is_ignored() {
    let mut agent = Agent::start();
    let task = agent.task(
        "t",
        vec![process(
            "p",
            "echo x >> runs; until [ -e go ]; do sleep 0.01; done",
        )],
    );
    agent.run(&task, TaskState::TaskRunning).await;
    agent.launch(task.info());
    std::fs::write(task.sandbox.join("go"), "").unwrap();
    agent.wait_for(&task, TaskState::TaskFinished).await;
    assert_eq!(read(task.sandbox.join("runs")), "x\n");
    assert_eq!(agent.history(&task).0, ALL_WELL);
}

#[tokio::test]
async fn an_executor_of_one_task_ends_once_its_updates_are_acknowledged() {
    let mut agent = Agent::with_lifetime(Lifetime::Tasks);
    agent
        .events
        .send(AgentEvent::Subscribed(Box::default()))
        .unwrap();
    let task = agent.task("t", vec![process("p", "true")]);
    agent.run(&task, TaskState::TaskFinished).await;
    let end = tokio::time::timeout(DEADLINE, agent.executor)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, ExecutorEnd::Done);
}

#[tokio::test]
async fn an_idle_shared_executor_ends() {
    let idle_timeout = Duration::from_millis(100);
    let mut agent = Agent::with_lifetime(Lifetime::Shared { idle_timeout });
    let task = agent.task("t", vec![process("p", "sleep 0.3")]);
    agent.run(&task, TaskState::TaskFinished).await;
    let end = tokio::time::timeout(DEADLINE, agent.executor)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, ExecutorEnd::Done);
}

#[tokio::test]
async fn a_shutdown_ends_everything_in_time() {
    let mut agent = Agent::start();
    let deaf = "trap '' TERM; echo $$ > pid; while :; do sleep 0.1; done";
    let tasks = ["a", "b"].map(|id| agent.task(id, vec![process("p", deaf)]));
    for task in &tasks {
        agent.launch(task.info());
    }
    let mut pids = Vec::new();
    for task in &tasks {
        pids.push(pid_in(&task.sandbox.join("pid")).await);
    }
    agent.events.send(AgentEvent::Shutdown).unwrap();
    for task in &tasks {
        agent.wait_for(task, TaskState::TaskKilled).await;
    }
    let end = tokio::time::timeout(DEADLINE, agent.executor)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(end, ExecutorEnd::Shutdown);
    eventually("the end of all processes", || {
        pids.iter().all(|&pid| !is_alive(pid)).then_some(())
    })
    .await;
}
