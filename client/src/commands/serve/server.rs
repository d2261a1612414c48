//! The seam to the crate `aurora-scheduler`: the only place that starts it.

use std::{
    num::NonZeroU16,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use aurora_scheduler::{
    cluster::embedded::{AgentSize, EmbeddedConfig, RunAs as ClusterRunAs, SandboxRetention},
    server::{RunningTasks, Server, ServerConfig, SnapshotPolicy},
    store,
};

use crate::commands::serve::options::{RunAs, ServerOptions};

/// What happens to running tasks when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtStop {
    /// They go on; the next server on the same data directory finds them again.
    KeepTasks,
    /// They are ended, with everything that they started.
    EndTasks,
}

/// A server that answers calls.
pub(crate) struct RunningServer {
    /// Where it listens, with the port that it got.
    pub(crate) local_addr: std::net::SocketAddr,
    server: Server,
}

impl RunningServer {
    /// Stops it and waits until it has stopped.
    pub(crate) async fn shutdown(self, tasks: AtStop) -> anyhow::Result<()> {
        let tasks = match tasks {
            AtStop::KeepTasks => RunningTasks::Keep,
            AtStop::EndTasks => RunningTasks::End,
        };
        self.server.stop(tasks).await;
        Ok(())
    }

    /// Waits until it ends by itself, which it only does for a failure.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<()> {
        Err(anyhow!(self.server.failed().await))
    }
}

/// Starts a server and returns once it answers calls.
pub(crate) async fn start_server(options: &ServerOptions) -> anyhow::Result<RunningServer> {
    let config = ServerConfig {
        listen: options.listen,
        data_dir: options.data_dir.clone(),
        settings: options.settings.clone(),
        embedded: embedded_config(options)?,
        snapshots: SnapshotPolicy {
            interval: Some(options.snapshot_interval),
            keep: usize::try_from(options.max_snapshots)?,
        },
    };
    let server = Server::start(config).await?;
    Ok(RunningServer {
        local_addr: server.address(),
        server,
    })
}

fn embedded_config(options: &ServerOptions) -> anyhow::Result<EmbeddedConfig> {
    let work_dir = options.data_dir.join("agents");
    let mut config = EmbeddedConfig::new(work_dir, &options.settings.cluster_name);
    config.n_agents = u16::try_from(options.agents)
        .ok()
        .and_then(NonZeroU16::new)
        .context("--agents is at least 1 and at most 65535")?;
    config.size = AgentSize {
        cpu_millis: options
            .agent_cpus
            .map(aurora_core::resources::cores_to_millis),
        ram: options.agent_ram_bytes,
        disk: options.agent_disk_bytes,
        gpu: u64::from(options.agent_gpus),
    };
    config.ports = options.port_range.first..=options.port_range.last;
    for (name, value) in &options.agent_attributes {
        config
            .attributes
            .entry(name.clone())
            .or_default()
            .insert(value.clone());
    }
    config.run_as = match options.run_as {
        RunAs::Role => ClusterRunAs::Role,
        RunAs::RoleOrSelf => ClusterRunAs::RoleOrSelf,
    };
    config.retention = SandboxRetention {
        max_age: options.sandbox_max_age,
        max_total_bytes: Some(options.sandbox_max_bytes),
        ..SandboxRetention::default()
    };
    Ok(config)
}

/// Makes a data directory from a backup or snapshot; returns the number of records.
pub(crate) fn restore_backup(file: &Path, data_dir: &Path) -> anyhow::Result<u64> {
    let mut epoch = [0; 4];
    getrandom::fill(&mut epoch).context("the system has no random numbers")?;
    let report = store::restore(file, data_dir, now_ms(), u32::from_le_bytes(epoch))?;
    Ok(report.snapshot.records)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of a restore is the machine's"
)]
fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
