//! The `aurora-rs executor` command, which agents start.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aurora_mesos::duration::ParseDurationError;
use aurora_mesos::executor_client::ExecutorClient;
use aurora_mesos::executor_env::{ExecutorEnv, ExecutorEnvError};
use rustix::fs::Mode;
use rustix::process::Resource;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::ExecutorConfig;
use crate::fresh_start::fresh_start;
use crate::process_table::ProcessTable;
use crate::shim::{self, Shim};
use crate::supervisor::{ExecutorEnd, run};

// Each live task takes about three.
const WANTED_DESCRIPTORS: u64 = 65_536;

#[derive(Debug, Error)]
enum StartError {
    #[error(transparent)]
    Env(#[from] ExecutorEnvError),
    #[error("failed to read AURORA_EXECUTOR_IDLE_TIMEOUT: {0}")]
    Config(#[from] ParseDurationError),
    #[error("failed to prepare the process: {0}")]
    Process(#[from] std::io::Error),
}

/// Runs an executor with the settings of the environment; `arguments` follow the subcommand.
///
/// With `exec-as …` as arguments it becomes another user and another program instead: the executor
/// starts itself so. Must be called before the process has any other thread.
#[must_use]
pub fn main_entry(arguments: &[String]) -> ExitCode {
    start_log();
    if let Some((shim::EXEC_AS, rest)) = arguments
        .split_first()
        .map(|(first, rest)| (first.as_str(), rest))
    {
        return shim::exec_as(rest);
    }
    match start() {
        Ok(ExecutorEnd::Done | ExecutorEnd::Shutdown) => ExitCode::SUCCESS,
        Ok(ExecutorEnd::AgentGone) => ExitCode::FAILURE,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExecutorEnd, StartError> {
    let own_arguments: Vec<String> = std::env::args().skip(1).collect();
    let token = fresh_start(&own_arguments)?;
    let env = ExecutorEnv {
        token,
        ..ExecutorEnv::from_process()?
    };
    let shim = Shim {
        program: PathBuf::from("/proc/self/exe"),
        arguments: own_arguments,
    };
    let config = ExecutorConfig::from_env(&env, shim, |name| std::env::var(name).ok())?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    raise_descriptor_limit();
    let table = Arc::new(ProcessTable::new()?);
    // One thread: the work is system calls, and children must belong to one thread's list.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let end = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Taken and not minded, which lasts after this is dropped: the kernel sends it to an
        // executor that happens to be stopped when its scheduler ends. Ignored, it would be
        // ignored by the tasks, too.
        drop(signal(SignalKind::hangup())?);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok::<_, StartError>(run(ExecutorClient::start(env), config, table, stop).await)
    })?;
    tracing::info!(?end, "executor ended");
    Ok(end)
}

fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit
        .maximum
        .map_or(WANTED_DESCRIPTORS, |max| max.min(WANTED_DESCRIPTORS));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "failed to raise the limit of descriptors");
        }
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AURORA_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if subscriber.try_init().is_err() {
        tracing::debug!("there is a log already");
    }
}
