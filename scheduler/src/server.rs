//! The daemon: brings up store, core, engine, cluster and API, in that order, and takes them
//! down in reverse.

mod connections;
mod snapshots;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aurora_core::Scheduler;
use aurora_core::settings::Settings;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::snapshots::SnapshotPolicy;
pub(crate) use self::snapshots::Snapshots;
use crate::api::{self, Context};
use crate::clock::{Clock, SystemClock};
use crate::cluster::Cluster;
pub use crate::cluster::embedded::RunningTasks;
use crate::cluster::embedded::{EmbeddedCluster, EmbeddedConfig};
use crate::engine::{EngineThreads, Prepared};
use crate::metrics::Metrics;
use crate::random;
use crate::store::{OpenOptions, SledStore, Store, StoreError};

/// How long open connections may take over ending.
const DRAIN: Duration = Duration::from_secs(5);

/// What a scheduler needs to start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the state and the embedded cluster's sandboxes are kept.
    pub data_dir: PathBuf,
    /// Of the core.
    pub settings: Settings,
    /// Of the embedded cluster.
    pub embedded: EmbeddedConfig,
    /// When snapshots are taken, and how many are kept.
    pub snapshots: SnapshotPolicy,
}

/// Why the scheduler does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("failed to listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A setting makes no sense.
    #[error("`--allowed-environments` is no regular expression")]
    Environments(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The cluster does not come up.
    #[error("failed to start the embedded cluster")]
    Cluster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system gives no threads.
    #[error("failed to start the engine")]
    Engine(#[source] io::Error),
}

/// A scheduler that is up.
pub struct Server {
    address: SocketAddr,
    stopping: CancellationToken,
    api: JoinHandle<io::Result<()>>,
    background: JoinHandle<()>,
    threads: EngineThreads,
    cluster: Arc<EmbeddedCluster>,
    fatal: watch::Receiver<Option<String>>,
}

impl Server {
    /// Starts a scheduler.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(config: ServerConfig) -> Result<Self, StartError> {
        let share = connections::share_of_callers();
        let listener = listen(config.listen).await?;
        let address = listener.local_addr().map_err(|source| StartError::Listen {
            address: config.listen,
            source,
        })?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (store, core, first) = load(&config, Arc::clone(&clock)).await?;

        let prepared = Prepared::new();
        let cluster =
            EmbeddedCluster::start(config.embedded, prepared.event_sink(), Arc::clone(&clock))
                .await
                .map_err(|error| StartError::Cluster(error.into()))?;
        let as_cluster: Arc<dyn Cluster> = Arc::clone(&cluster) as Arc<dyn Cluster>;
        let threads = prepared
            .start(
                core,
                first,
                Box::new(store),
                Arc::clone(&as_cluster),
                Arc::clone(&clock),
            )
            .map_err(StartError::Engine)?;

        let stopping = CancellationToken::new();
        let data_dir = config.data_dir.clone();
        let snapshots = Snapshots::new(config.data_dir, config.snapshots, Arc::clone(&clock));
        let background = tokio::spawn(snapshots.clone().run(threads.engine(), stopping.clone()));
        let context = Arc::new(Context {
            engine: threads.engine(),
            cluster: as_cluster,
            started: clock.now(),
            clock,
            snapshots,
            metrics: Metrics,
            stopping: stopping.clone(),
        });
        let until = stopping.clone();
        let connections = connections::Connections::new(listener, share);
        let serve = axum::serve(connections, api::router(context))
            .with_graceful_shutdown(async move { until.cancelled().await });
        let api = tokio::spawn(async move { serve.await });
        let fatal = threads.engine().fatal();
        note_address(&data_dir, address);
        tracing::info!(%address, "the scheduler is up");
        Ok(Self {
            address,
            stopping,
            api,
            background,
            threads,
            cluster,
            fatal,
        })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the scheduler can go on no longer, and returns why.
    pub async fn failed(&mut self) -> String {
        match self.fatal.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the engine stopped".to_owned(),
        }
    }

    /// Stops the scheduler: no new calls, open ones are answered, the state is flushed.
    pub async fn stop(self, tasks: RunningTasks) {
        self.stopping.cancel();
        if tokio::time::timeout(DRAIN, self.api).await.is_err() {
            tracing::info!("connections that are still open are cut");
        }
        // Snapshots in the making are given up by the cancellation above.
        let _ended = self.background.await;
        self.cluster.shutdown(tasks).await;
        let threads = self.threads;
        if tokio::task::spawn_blocking(move || threads.stop())
            .await
            .is_err()
        {
            tracing::error!("the engine did not end in order");
        }
    }
}

/// Leaves the address in the data directory, for scripts that let the system pick a port.
fn note_address(data_dir: &Path, address: SocketAddr) {
    let path = data_dir.join("address");
    if let Err(error) = std::fs::write(&path, format!("{address}\n")) {
        tracing::warn!(path = %path.display(), "the address cannot be noted: {error}");
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

/// Opens the store and loads the core from it, on a thread of its own.
async fn load(
    config: &ServerConfig,
    clock: Arc<dyn Clock>,
) -> Result<(SledStore, Scheduler, aurora_core::Step), StartError> {
    let data_dir = config.data_dir.clone();
    let settings = config.settings.clone();
    let loading = tokio::task::spawn_blocking(move || {
        let store = SledStore::open_or_create(&data_dir, OpenOptions::default())?;
        let mut core = Scheduler::new(settings, random::number())
            .map_err(|error| StartError::Environments(error.into()))?;
        let summary = store.load(&mut |table, key, value| {
            core.load(table, key, value)
                .map_err(|error| error.to_string())
        })?;
        tracing::info!(records = summary.records, "the state is loaded");
        let epoch = u32::try_from(random::number() >> 32).unwrap_or(1);
        let first = core.start(clock.now(), epoch);
        Ok((store, core, first))
    });
    match loading.await {
        Ok(loaded) => loaded,
        Err(panic) => Err(StartError::Engine(io::Error::other(panic))),
    }
}
