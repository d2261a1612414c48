//! An executor's directory: what is known of it, its journal and its own output.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use aurora_mesos::duration::format_duration;
use serde::{Deserialize, Serialize};

use super::config::{ExecutorCommand, Timeouts};
use super::process::ProcessName;

/// What has to be known of an executor after a restart of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExecutorRecord {
    /// Its framework.
    pub(super) framework_id: String,
    /// Its id, never used again.
    pub(super) executor_id: String,
    /// Whose tasks it runs.
    pub(super) role: String,
    /// The SHA-256 of its token, in hexadecimal digits.
    pub(super) token_sha256: String,
    /// Its process, once started.
    pub(super) pid: Option<i32>,
    /// When that was started.
    pub(super) start_time: Option<u64>,
}

impl ExecutorRecord {
    /// Returns the executor's process, if it is known.
    pub(super) fn process(&self) -> Option<ProcessName> {
        Some(ProcessName {
            pid: self.pid?,
            start_time: self.start_time?,
        })
    }
}

/// The directory of one executor.
#[derive(Clone, Debug)]
pub(super) struct ExecutorDir(PathBuf);

impl ExecutorDir {
    /// Makes a directory that only this user can look into.
    pub(super) fn create(executors_dir: &Path, executor_id: &str) -> io::Result<Self> {
        let path = executors_dir.join(executor_id);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Takes an existing directory.
    pub(super) const fn existing(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns where the journal is.
    pub(super) fn journal(&self) -> PathBuf {
        self.0.join("tasks")
    }

    fn record_path(&self) -> PathBuf {
        self.0.join("executor.json")
    }

    /// Writes the record, in one step.
    pub(super) fn write_record(&self, record: &ExecutorRecord) -> io::Result<()> {
        let new_path = self.0.join("executor.json.new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new_path)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        fs::rename(&new_path, self.record_path())
    }

    /// Reads the record; `None` where none was written, or the executor was buried.
    pub(super) fn read_record(&self) -> io::Result<Option<ExecutorRecord>> {
        match fs::read(self.record_path()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets the executor; keeps its output.
    pub(super) fn bury(&self) -> io::Result<()> {
        fs::remove_file(self.record_path())?;
        fs::remove_file(self.journal())
    }

    /// Deletes all but the newest buried executors of an agent.
    pub(super) fn prune_buried(executors_dir: &Path, n_kept: usize) -> io::Result<()> {
        let mut buried = Vec::new();
        for entry in fs::read_dir(executors_dir)? {
            let dir = Self(entry?.path());
            if !dir.record_path().exists() {
                buried.push((fs::metadata(&dir.0)?.ctime(), dir));
            }
        }
        buried.sort_by_key(|(changed, _)| *changed);
        let n_excess = buried.len().saturating_sub(n_kept);
        buried
            .iter()
            .take(n_excess)
            .try_for_each(|(_, dir)| dir.delete())
    }

    /// Deletes everything.
    pub(super) fn delete(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.0)
    }

    /// Starts the executor, in a process group of its own so that no terminal's Ctrl-C reaches it.
    pub(super) fn spawn(
        &self,
        start: &ExecutorStart<'_>,
        record: &ExecutorRecord,
    ) -> io::Result<Child> {
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.0.join("log"))?;
        let mut command = match &start.command.program {
            Some(program) => Command::new(program),
            None => {
                // This very program, even if another version has been installed in its place.
                let mut command = Command::new("/proc/self/exe");
                command.arg0("aurora-rs");
                command
            }
        };
        match &start.command.arguments {
            Some(arguments) => command.args(arguments),
            None => command.arg("executor"),
        };
        command
            .env_clear()
            .envs(passed_on())
            .envs(
                start
                    .command
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .env("MESOS_AGENT_ENDPOINT", start.endpoint)
            .env("AURORA_AGENT_ENDPOINT_FILE", start.endpoint_file)
            .env("MESOS_FRAMEWORK_ID", &record.framework_id)
            .env("MESOS_EXECUTOR_ID", &record.executor_id)
            .env("MESOS_SLAVE_ID", start.agent_id)
            .env("MESOS_DIRECTORY", &self.0)
            .env("MESOS_SANDBOX", &self.0)
            .env("MESOS_CHECKPOINT", "1")
            .env(
                "MESOS_RECOVERY_TIMEOUT",
                format_duration(start.timeouts.recovery),
            )
            .env("MESOS_SUBSCRIPTION_BACKOFF_MAX", "200ms")
            .env(
                "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
                format_duration(start.timeouts.shutdown_grace),
            )
            .env("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", start.token)
            .env("AURORA_EXECUTOR_SHARED", "1")
            // The agent decides: an executor that went by itself might take a new task with it.
            .env(
                "AURORA_EXECUTOR_IDLE_TIMEOUT",
                format_duration(start.timeouts.recovery),
            )
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        command.spawn()
    }
}

/// What an executor is started with.
#[derive(Clone, Copy)]
pub(super) struct ExecutorStart<'a> {
    /// The program.
    pub(super) command: &'a ExecutorCommand,
    /// Its secret.
    pub(super) token: &'a str,
    /// The agent that it belongs to.
    pub(super) agent_id: &'a str,
    /// Where the agent listens now.
    pub(super) endpoint: &'a str,
    /// Where it will say so after a restart.
    pub(super) endpoint_file: &'a Path,
    /// How long things may take.
    pub(super) timeouts: &'a Timeouts,
}

// An executor's environment is made from scratch, so that the scheduler's own secrets stay here.
fn passed_on() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    [
        "AURORA_LOG",
        "HOME",
        "LANG",
        "LC_ALL",
        "LOGNAME",
        "RUST_BACKTRACE",
        "RUST_LOG",
        "TMPDIR",
        "TZ",
        "USER",
    ]
    .into_iter()
    .filter_map(|name| Some((name, std::env::var_os(name)?)))
    .chain([("PATH", path)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_of_the_buried_are_kept_and_all_of_the_living() {
        let parent = tempfile::tempdir().unwrap();
        let record = ExecutorRecord {
            framework_id: "f".to_owned(),
            executor_id: "e".to_owned(),
            role: "r".to_owned(),
            token_sha256: String::new(),
            pid: Some(1),
            start_time: None,
        };
        for name in ["dead-1", "dead-2", "alive"] {
            ExecutorDir::create(parent.path(), name).unwrap();
        }
        let alive = ExecutorDir::existing(parent.path().join("alive"));
        alive.write_record(&record).unwrap();
        assert_eq!(alive.read_record().unwrap(), Some(record));
        ExecutorDir::prune_buried(parent.path(), 1).unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 2);
        assert!(alive.path().exists());
    }
}
