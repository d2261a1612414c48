//! A scheduler in a process of its own, on a data directory and a port of its own.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::slots::Slot;
use crate::{http, processes, wait};

/// A role whose user exists on every Debian machine.
pub const ROLE: &str = "www-data";

/// States of a task that will not change any more.
const ENDED: [&str; 4] = ["FINISHED", "FAILED", "KILLED", "LOST"];

/// A command that runs for so long hangs.
const PATIENCE_WITH_COMMANDS: Duration = Duration::from_secs(120);

/// A scheduler under test. Dropping it ends it and every task.
pub struct Scheduler {
    dir: TempDir,
    data: PathBuf,
    listen: String,
    run_as_self: bool,
    flags: Vec<String>,
    child: Option<Child>,
    address: String,
    _slot: Slot,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Reads standard output as one JSON document.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| fail(&format!("{error}: {self:?}")))
    }

    /// Returns it if the exit code is this one.
    ///
    /// # Panics
    /// If it is another.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Returns it if standard error holds this.
    ///
    /// # Panics
    /// If it does not.
    pub fn expect_error(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:?}");
        self
    }
}

impl Scheduler {
    /// Starts a scheduler with these flags beside its data directory and port.
    pub fn start(flags: &[&str]) -> Self {
        let mut scheduler = Self::prepare(flags);
        scheduler.launch();
        scheduler
    }

    /// Prepares a scheduler that does not run yet.
    pub fn prepare(flags: &[&str]) -> Self {
        let slot = Slot::take();
        let dir = work_dir();
        Self {
            data: dir.path().join("data"),
            listen: "127.0.0.1:0".to_owned(),
            run_as_self: true,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            child: None,
            address: String::new(),
            dir,
            _slot: slot,
        }
    }

    /// From the next start on it listens here.
    #[must_use]
    pub fn listening_on(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// From the next start on tasks run as the user that their role names, or not at all.
    #[must_use]
    pub fn strict_about_users(mut self) -> Self {
        self.run_as_self = false;
        self
    }

    /// From the next start on it works on another directory, beside the one that it had.
    pub fn use_data_dir(&mut self, name: &str) {
        self.data = self.dir.path().join(name);
    }

    /// Starts the process again after [`Self::kill`] or [`Self::terminate`].
    pub fn launch(&mut self) {
        self.spawn();
        self.wait_until_up();
    }

    /// Starts the process and does not wait for it.
    pub fn spawn(&mut self) {
        // An address from before would be taken for the new one.
        let _absent = fs::remove_file(self.data.join("address"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("scheduler.log"))
            .unwrap_or_else(|error| fail(&error.to_string()));
        let mut command = self.command();
        command.stdout(Stdio::null()).stderr(log).process_group(0);
        self.child = Some(
            command
                .spawn()
                .unwrap_or_else(|error| fail(&error.to_string())),
        );
    }

    /// Waits until the process takes calls.
    pub fn wait_until_up(&mut self) {
        let file = self.data.join("address");
        self.address = wait::until("the scheduler to listen", || {
            self.assert_alive();
            fs::read_to_string(&file)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })
        .trim()
        .to_owned();
    }

    /// Prepares the command that [`Self::launch`] runs.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command
            .args(["scheduler", "--listen", &self.listen, "--data-dir"])
            .arg(&self.data);
        if self.run_as_self {
            command.arg("--allow-run-as-self");
        }
        command
            .args(&self.flags)
            .stdin(Stdio::null())
            .env_remove("AURORA_DATA_DIR");
        command
    }

    /// Ends the process as a crash would, between two instructions.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _status = child.wait();
        }
    }

    /// Asks the process to end, and waits for it. Returns its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        processes::signal(i32::try_from(child.id()).ok()?, Signal::TERM);
        wait::until("the scheduler to stop", || child.try_wait().ok().flatten()).code()
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    fn assert_alive(&mut self) {
        assert!(self.is_alive(), "the scheduler ended: {}", self.log());
    }

    /// The process.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the scheduler has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("scheduler.log")).unwrap_or_default()
    }

    /// Where it listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything of this test is below.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where its state is.
    pub fn data_dir(&self) -> PathBuf {
        self.data.clone()
    }

    /// A directory for files of the test, that tasks may write to.
    pub fn scratch(&self) -> PathBuf {
        let path = self.dir.path().join("scratch");
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o777)))
            .unwrap_or_else(|error| fail(&error.to_string()));
        path
    }

    /// Writes a file for the test and returns its path.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.scratch().join(name);
        fs::write(&path, content).unwrap_or_else(|error| fail(&error.to_string()));
        path
    }

    /// Prepares a client command against this scheduler.
    pub fn client(&self, args: &[&str]) -> Command {
        let mut command = client(args);
        command.env("AURORA_SCHEDULER_URI", self.url());
        command
    }

    /// Runs a client command against this scheduler.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.client(args))
    }

    /// Submits a job file that declares `local/ROLE/devel/NAME`.
    pub fn create(&self, role: &str, name: &str, file: &str, more: &[&str]) -> Ran {
        let path = self.write(&format!("{name}.rhai"), file);
        let key = format!("local/{role}/devel/{name}");
        let path = path.to_string_lossy();
        let mut args = vec!["job", "create", &key, &path, "--wait-timeout", "90s"];
        args.extend(more);
        self.run(&args)
    }

    /// Submits a job file of [`ROLE`] and waits until every instance runs.
    pub fn create_running(&self, name: &str, file: &str) {
        let ran = self.create(ROLE, name, file, &["--wait-until", "RUNNING"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    /// Makes a call as JSON; returns the HTTP status and the answer.
    pub fn call(&self, method: &str, body: &Value) -> (u16, Value) {
        let url = format!("/aurora.v1.{method}");
        let (status, text) = http::post(&self.address, &url, &body.to_string());
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Makes a call that has to succeed.
    pub fn call_ok(&self, method: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, body);
        assert_eq!(status, 200, "{method} {body}: {answer}");
        answer
    }

    /// Returns the tasks that the filter matches, newest attempt of each instance first.
    pub fn tasks(&self, filter: &Value) -> Vec<Value> {
        let answer = self.call_ok("ReadService/ListTasks", filter);
        answer["tasks"].as_array().cloned().unwrap_or_default()
    }

    /// Returns the tasks of the job `name`.
    pub fn tasks_of(&self, name: &str) -> Vec<Value> {
        self.tasks(&json!({ "filter": { "name": name }, "page_size": 10_000 }))
    }

    /// Returns the tasks of the job `name` that have not ended, by instance.
    pub fn active(&self, name: &str) -> Vec<Value> {
        self.tasks_of(name)
            .into_iter()
            .filter(|task| !has_ended(task))
            .collect()
    }

    /// Waits until as many instances of the job run, and no other is active; returns their tasks.
    pub fn wait_running(&self, name: &str, n_running: usize) -> Vec<Value> {
        wait::until_ok(|| {
            let active = self.active(name);
            let all_run = active.iter().all(|task| task["state"] == "RUNNING");
            if all_run && active.len() == n_running {
                Ok(active)
            } else {
                Err(format!("{n_running} of {name} wanted: {active:?}"))
            }
        })
    }

    /// Returns the whole of what the scheduler keeps, to see whether it changes.
    pub fn state(&self) -> (Value, Value) {
        let all = json!({ "page_size": 10_000 });
        let jobs = self.call_ok("ReadService/ListJobs", &all);
        (jobs, self.call_ok("ReadService/ListTasks", &all))
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.kill();
        processes::end_all_under(self.dir.path());
        if std::thread::panicking() {
            show_log(&self.log());
        }
    }
}

#[expect(clippy::print_stderr, reason = "shown where a test fails")]
fn show_log(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.len().saturating_sub(60);
    eprintln!("--- the scheduler's log ends:");
    for line in lines.iter().skip(last) {
        eprintln!("{line}");
    }
}

/// Whether the task will not change any more.
pub fn has_ended(task: &Value) -> bool {
    ENDED.iter().any(|state| task["state"] == *state)
}

/// Returns the ids of tasks.
pub fn ids(tasks: &[Value]) -> Vec<String> {
    tasks
        .iter()
        .map(|task| task["task_id"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Returns the key of a job of [`ROLE`] on the command line.
pub fn job_key(name: &str) -> String {
    format!("local/{ROLE}/devel/{name}")
}

/// Makes a directory that tasks of any user can pass through.
pub fn work_dir() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("aurora-e2e-")
        .tempdir()
        .unwrap_or_else(|error| fail(&error.to_string()));
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
        .unwrap_or_else(|error| fail(&error.to_string()));
    dir
}

/// Prepares a client command with no scheduler to speak to.
pub fn client(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("AURORA_SCHEDULER_URI")
        .env_remove("AURORA_CONFIG_ROOT")
        .env("NO_COLOR", "1");
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started, or does not end.
pub fn run(mut command: Command) -> Ran {
    // Files, and not pipes: what the command leaves behind may hold a pipe open.
    let file = || tempfile::tempfile().unwrap_or_else(|error| fail(&error.to_string()));
    let (mut stdout, mut stderr) = (file(), file());
    let shared = |file: &File| {
        file.try_clone()
            .unwrap_or_else(|error| fail(&error.to_string()))
    };
    command.stdout(shared(&stdout)).stderr(shared(&stderr));
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| fail(&error.to_string()));
    let watch = wait::Stopwatch::start();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if watch.elapsed() < PATIENCE_WITH_COMMANDS => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => {
                let _gone = child.kill();
                let _status = child.wait();
                fail(&format!(
                    "{command:?} does not end: {}",
                    text_of(&mut stderr)
                ));
            }
        }
    };
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: text_of(&mut stdout),
        stderr: text_of(&mut stderr),
    }
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// The binary under test: `$AURORA_RS_BIN`, or the one of this build.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("AURORA_RS_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_else(|error| fail(&error.to_string()));
    let mut near = own
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("aurora-rs"));
    near.find(|path| path.is_file())
        .unwrap_or_else(|| fail("build the binary first: cargo build -p aurora-client"))
}

/// The top folder of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}
