//! A scheduler in a process of its own, on a data directory and a port of its own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::wait;

/// A role whose user exists on every Debian machine.
pub const ROLE: &str = "www-data";

/// A scheduler under test. Dropping it ends it and every task.
pub struct Scheduler {
    dir: TempDir,
    flags: Vec<String>,
    child: Option<Child>,
    address: String,
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
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Scheduler {
    /// Starts a scheduler with these flags beside its data directory and port.
    pub fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap_or_else(|error| fail(&error.to_string()));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut scheduler = Self {
            dir,
            flags,
            child: None,
            address: String::new(),
        };
        scheduler.launch();
        scheduler
    }

    /// Starts the process again after [`Self::kill`] or [`Self::terminate`].
    pub fn launch(&mut self) {
        // An address from before would be taken for the new one.
        let file = self.data_dir().join("address");
        let _absent = fs::remove_file(&file);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("scheduler.log"))
            .unwrap_or_else(|error| fail(&error.to_string()));
        let mut command = Command::new(binary());
        command
            .args([
                "scheduler",
                "--listen",
                "127.0.0.1:0",
                "--allow-run-as-self",
                "--data-dir",
            ])
            .arg(self.data_dir())
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        self.child = Some(
            command
                .spawn()
                .unwrap_or_else(|error| fail(&error.to_string())),
        );
        self.address = wait::until("the scheduler to listen", || {
            self.assert_alive();
            fs::read_to_string(&file)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })
        .trim()
        .to_owned();
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
        let pid = rustix::process::Pid::from_child(&child);
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        child.wait().ok()?.code()
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

    /// Where its state is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory for files of the test.
    pub fn scratch(&self) -> PathBuf {
        let path = self.dir.path().join("scratch");
        fs::create_dir_all(&path).unwrap_or_else(|error| fail(&error.to_string()));
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
        let args: Vec<&str> = ["job", "create", &key, &path]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        self.run(&args)
    }

    /// Makes a call as JSON; returns the HTTP status and the answer.
    pub fn call(&self, method: &str, body: &Value) -> (u16, Value) {
        let url = format!("/aurora.v1.{method}");
        let (status, text) = crate::http::post(&self.address, &url, &body.to_string());
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    /// Returns the tasks that the filter matches, newest attempt of each instance first.
    pub fn tasks(&self, filter: &Value) -> Vec<Value> {
        let (status, answer) = self.call("ReadService/ListTasks", filter);
        assert_eq!(status, 200, "{answer}");
        answer["tasks"].as_array().cloned().unwrap_or_default()
    }

    /// Returns the tasks of the job `name`.
    pub fn tasks_of(&self, name: &str) -> Vec<Value> {
        self.tasks(&serde_json::json!({ "filter": { "name": name }, "page_size": 10_000 }))
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.kill();
        end_leftovers(self.dir.path());
    }
}

/// Ends every process whose working directory or executable arguments lie under `dir`: executors
/// and tasks that outlived their scheduler on purpose.
fn end_leftovers(dir: &Path) {
    for _ in 0..50 {
        let pids = processes_under(dir);
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Returns the processes that work under `dir` or were told of it in their environment.
pub fn processes_under(dir: &Path) -> Vec<i32> {
    let needle = dir.to_string_lossy().into_owned();
    let own = std::process::id().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| pid.to_string() != own)
        .filter(|pid| {
            let in_cwd =
                fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            let in_environment = fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| String::from_utf8_lossy(&environ).contains(&needle));
            // A zombie has neither.
            in_cwd || in_environment
        })
        .collect()
}

/// Prepares a client command with no scheduler to speak to.
pub fn client(args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("AURORA_SCHEDULER_URI");
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started.
pub fn run(mut command: Command) -> Ran {
    command
        .output()
        .map(Ran::from)
        .unwrap_or_else(|error| fail(&error.to_string()))
}

/// The binary under test: `$AURORA_RS_BIN`, or the one of this build.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("AURORA_RS_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap_or_else(|error| fail(&error.to_string()));
    let built = own
        .ancestors()
        .skip(1)
        .take(3)
        .map(|dir| dir.join("aurora-rs"))
        .find(|path| path.is_file());
    built.unwrap_or_else(|| fail("build the binary first: cargo build -p aurora-client"))
}

/// The top folder of the project.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn fail(why: &str) -> ! {
    panic!("{why}")
}
