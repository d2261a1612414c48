//! Finds out at the start what is there from before.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::error::EmbeddedError;
use super::executor_dir::{ExecutorDir, ExecutorRecord};
use super::journal::{JournaledTask, read_journal};
use super::leftovers::{find_executor, kill_leftovers};
use super::process::ProcessHandle;
use super::sandbox::{is_safe_task_id, sandboxes_dir};

/// An executor from before.
pub(super) struct FoundExecutor {
    /// Its directory.
    pub(super) dir: ExecutorDir,
    /// Who it is.
    pub(super) record: ExecutorRecord,
    /// What it was handed.
    pub(super) tasks: Vec<JournaledTask>,
    /// Its process, if that lives.
    pub(super) process: Option<ProcessHandle>,
}

/// The directories of the cluster, locked for this process.
pub(super) struct WorkDir {
    path: PathBuf,
    // Unique to this directory, and so to the agents in it.
    id: String,
    _lock: File,
}

impl WorkDir {
    /// Takes the directory for this process; makes it where it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, EmbeddedError> {
        make_dir(path, 0o711)?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(EmbeddedError::file("make", &lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| EmbeddedError::Locked(path.to_owned()))?;
        let id_path = path.join("id");
        let id = match fs::read_to_string(&id_path) {
            Ok(id) => id.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut random = [0; 8];
                getrandom::fill(&mut random).map_err(EmbeddedError::Random)?;
                let id = hex::encode(random);
                let new_path = path.join("id.new");
                fs::write(&new_path, &id)
                    .and_then(|()| fs::rename(&new_path, &id_path))
                    .map_err(EmbeddedError::file("write", &id_path))?;
                id
            }
            Err(error) => return Err(EmbeddedError::file("read", &id_path)(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            id,
            _lock: lock,
        })
    }

    /// Returns the id of the agent with this number.
    pub(super) fn agent_id(&self, index: usize) -> String {
        format!("{}-{index}", self.id)
    }

    /// Returns the directory of the agent with this number; makes it where it is missing.
    pub(super) fn agent_dir(&self, index: usize) -> Result<PathBuf, EmbeddedError> {
        let dir = self.path.join(format!("agent-{index}"));
        // Tasks run as other users, who have to reach their sandboxes and nothing else.
        make_dir(&dir, 0o711)?;
        make_dir(&sandboxes_dir(&dir), 0o711)?;
        make_dir(&dir.join("executors"), 0o700)?;
        Ok(dir)
    }

    /// Returns the numbers of agents that were there once, from `n_agents` up.
    pub(super) fn retired_agents(&self, n_agents: usize) -> Result<Vec<usize>, EmbeddedError> {
        let entries = fs::read_dir(&self.path).map_err(EmbeddedError::file("read", &self.path))?;
        let index = |entry: fs::DirEntry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("agent-")?
                .parse::<usize>()
                .ok()
        };
        Ok(entries
            .flatten()
            .filter_map(index)
            .filter(|index| *index >= n_agents)
            .collect())
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        // Whatever the umask was.
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(EmbeddedError::file("make", path))
}

/// Finds the executors of an agent. One without a readable record is none.
pub(super) fn find_executors(agent_dir: &Path) -> Result<Vec<FoundExecutor>, EmbeddedError> {
    let executors = agent_dir.join("executors");
    let entries = fs::read_dir(&executors).map_err(EmbeddedError::file("read", &executors))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let dir = ExecutorDir::existing(entry.path());
        match find_one(&dir) {
            Ok(Some(executor)) => found.push(executor),
            Ok(None) => {}
            Err(error) => {
                let path = entry.path();
                tracing::error!(path = %path.display(), %error, "skipped an executor from before");
            }
        }
    }
    Ok(found)
}

fn find_one(dir: &ExecutorDir) -> io::Result<Option<FoundExecutor>> {
    let Some(mut record) = dir.read_record()? else {
        return Ok(None);
    };
    let mut tasks = read_journal(&dir.journal())?;
    tasks.retain(|task| is_safe_task_id(&task.task_id));
    let process = match record.process() {
        Some(name) => ProcessHandle::find(name),
        // The scheduler was killed while it started the executor.
        None => find_executor(&record.executor_id),
    };
    if let (None, Some(process)) = (record.pid, &process) {
        record.pid = Some(process.name.pid);
        record.start_time = Some(process.name.start_time);
        dir.write_record(&record)?;
    }
    Ok(Some(FoundExecutor {
        dir: dir.clone(),
        record,
        tasks,
        process,
    }))
}

/// Ends what runs of an agent that is no longer wanted.
pub(super) fn retire_agent(agent_dir: &Path) -> Result<(), EmbeddedError> {
    for executor in find_executors(agent_dir)? {
        if let Some(process) = &executor.process {
            process.kill();
        }
        let tasks: HashSet<Arc<str>> = executor
            .tasks
            .iter()
            .map(|task| task.task_id.as_str().into())
            .collect();
        kill_leftovers(&tasks);
        executor
            .dir
            .bury()
            .map_err(EmbeddedError::file("clear up", executor.dir.path()))?;
    }
    Ok(())
}
