//! The agent's side of the executor API: what executors post to, and the streams they read.
//!
//! Knows HTTP and the rules of the API; what a call means is up to the [`Agent`]. Speaks protobuf
//! only. A caller is known by its bearer token before a byte of its call is read, so that
//! strangers on the same machine can take nothing but a connection, and that not for long.

mod event_stream;
mod request;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::v1;
use crate::v1::executor::call;

pub use event_stream::{EventSender, StreamClosed};

/// The path that executors post to.
pub const EXECUTOR_PATH: &str = "/api/v1/executor";

/// Names an executor within its agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExecutorKey {
    /// The framework it belongs to.
    pub framework_id: String,
    /// The executor.
    pub executor_id: String,
}

/// A valid call of an executor that has proved who it is.
#[derive(Debug)]
pub enum ExecutorCall {
    /// It wants events, and says what it holds.
    Subscribe {
        /// The tasks and updates that were never acknowledged.
        subscribe: call::Subscribe,
        /// Where its events go; dropping it ends the stream.
        events: EventSender,
    },
    /// A task's state; the status has an id of 16 bytes.
    Update(Box<v1::TaskStatus>),
    /// Data for the framework.
    Message(Bytes),
}

/// Why an agent does not take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The executor has to subscribe first.
    NotSubscribed,
    /// The agent no longer knows the executor.
    UnknownExecutor,
    /// The agent cannot take calls now; the executor is to try again.
    Unavailable,
}

/// Decides who may call, and what calls mean.
pub trait Agent: Send + Sync + 'static {
    /// Returns the executor that this bearer token belongs to.
    fn authenticate(&self, token: &str) -> Option<Arc<ExecutorKey>>;

    /// Takes a call. The caller gets its answer when this is done: waiting slows it down.
    fn handle(
        &self,
        caller: Arc<ExecutorKey>,
        call: ExecutorCall,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// What callers may use up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Bytes of a call.
    pub body_bytes: usize,
    /// Until a connection has to have made an authenticated call.
    pub first_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            body_bytes: 64 * 1024 * 1024,
            first_call: Duration::from_secs(10),
        }
    }
}

struct Endpoint<A> {
    agent: Arc<A>,
    limits: Limits,
}

/// Serves executors until `stop` is cancelled; then every connection and stream is closed.
pub async fn serve<A: Agent>(
    listener: TcpListener,
    agent: Arc<A>,
    limits: Limits,
    stop: CancellationToken,
) {
    let endpoint = Arc::new(Endpoint { agent, limits });
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, slot)) = accepted else {
            continue;
        };
        let endpoint = Arc::clone(&endpoint);
        let stop = stop.clone();
        connections.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = serve_connection(stream, endpoint) => {}
            }
            drop(slot);
        });
    }
    connections.close();
    connections.wait().await;
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            // Out of descriptors, as a rule: trying again at once would only burn the processor.
            tracing::warn!(%error, "failed to accept an executor's connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn serve_connection<A: Agent>(stream: TcpStream, endpoint: Arc<Endpoint<A>>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let known = Arc::new(AtomicBool::new(false));
    let first_call = endpoint.limits.first_call;
    let service = {
        let known = Arc::clone(&known);
        service_fn(move |request| {
            let endpoint = Arc::clone(&endpoint);
            let known = Arc::clone(&known);
            async move {
                let answer = request::answer(&*endpoint.agent, &endpoint.limits, &known, request);
                Ok::<_, Infallible>(answer.await)
            }
        })
    };
    let connection = http1::Builder::new()
        // Executors may send calls without waiting for the answers.
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = tokio::time::sleep(first_call) => {
            if !known.load(Ordering::Relaxed) {
                return;
            }
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an executor's connection ended");
    }
}
