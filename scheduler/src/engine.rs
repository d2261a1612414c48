//! Joins core, store and outside: inputs become steps, steps become commits, and only then
//! effects and replies go out.
//!
//! Two threads: one owns the core and steps it with everything that has come in meanwhile; the
//! other owns the store and commits one group after the other. So one flush serves all calls of
//! a group, and the next group is decided while it runs.
//!
//! Architecture invariant: nothing leaves the engine, not even the answer to a read, before
//! everything that it rests on is durable.

mod committer;
mod stepper;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use aurora_core::call::{ApiError, Call, ErrorCode, Reply};
use aurora_core::cluster::ClusterEvent;
use aurora_core::{Scheduler, Step};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::cluster::{Cluster, EventSink};
use crate::engine::committer::{Committer, Group};
use crate::engine::stepper::Stepper;
use crate::store::{Listing, Store, StoreError};

/// Calls and reads that may wait for the engine at most; more are turned away.
const MAX_WAITING: usize = 20_000;

/// What goes out once everything before it is durable.
type Release = Box<dyn FnOnce() + Send>;

/// A look at the state, and what it tells once that is durable.
type Read = Box<dyn FnOnce(&Scheduler) -> Release + Send>;

/// What the stepper deals with.
enum Message {
    Call { call: Call, answer: Answer },
    Read(Read),
    Cluster(ClusterEvent),
    Listing(oneshot::Sender<Result<Listing, StoreError>>),
    Stop,
}

type Answer = oneshot::Sender<Result<Reply, ApiError>>;

/// Why the engine gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Too many calls wait already.
    #[error("the scheduler is overloaded: {MAX_WAITING} calls wait already; try again later")]
    Overloaded,
    /// It has stopped, or stopped before it could answer.
    #[error("the scheduler is stopping; whether the call took effect is not known")]
    Stopped,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A handle to the running engine; clones speak to the same one.
#[derive(Clone)]
pub struct Engine {
    inbox: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
    fatal: watch::Receiver<Option<String>>,
}

/// The engine's threads, to be joined.
pub struct EngineThreads {
    engine: Engine,
    stepper: JoinHandle<()>,
    committer: JoinHandle<()>,
}

/// An engine whose core is loaded, before the cluster is known to it.
pub struct Prepared {
    engine: Engine,
    inbox: mpsc::Receiver<Message>,
    fatal: watch::Sender<Option<String>>,
}

impl Default for Prepared {
    fn default() -> Self {
        Self::new()
    }
}

impl Prepared {
    /// Returns an engine that takes events but does nothing with them yet.
    pub fn new() -> Self {
        let (sender, inbox) = mpsc::channel();
        let (fatal, fatal_receiver) = watch::channel(None);
        let engine = Engine {
            inbox: sender,
            waiting: Arc::new(AtomicUsize::new(0)),
            fatal: fatal_receiver,
        };
        Self {
            engine,
            inbox,
            fatal,
        }
    }

    /// Where a cluster sends its events.
    pub fn event_sink(&self) -> EventSink {
        let inbox = self.engine.inbox.clone();
        Arc::new(move |event| {
            // An engine that has stopped needs no news.
            let _stopped = inbox.send(Message::Cluster(event));
        })
    }

    /// Starts the engine with a core that has been loaded from the store and started: `first` is
    /// the step that came of it.
    ///
    /// # Errors
    /// If the operating system gives no thread.
    pub fn start(
        self,
        core: Scheduler,
        first: Step,
        store: Box<dyn Store>,
        cluster: Arc<dyn Cluster>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<EngineThreads> {
        // One group may wait while another is committed; beyond that the stepper waits, and its
        // inbox grows into the next group.
        let (groups, groups_receiver) = mpsc::sync_channel::<Group>(1);
        let committer = Committer::new(store, cluster, self.fatal);
        let committer = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run(&groups_receiver))?;
        let stepper = Stepper::new(
            core,
            clock,
            self.inbox,
            groups,
            Arc::clone(&self.engine.waiting),
        );
        let stepper = std::thread::Builder::new()
            .name("stepper".to_owned())
            .spawn(move || stepper.run(first))?;
        Ok(EngineThreads {
            engine: self.engine,
            stepper,
            committer,
        })
    }
}

impl EngineThreads {
    /// Returns a handle to the engine.
    pub fn engine(&self) -> Engine {
        self.engine.clone()
    }

    /// Ends the engine after everything that came before, and waits for it.
    pub fn stop(self) {
        let _stopped = self.engine.inbox.send(Message::Stop);
        for thread in [self.stepper, self.committer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the engine panicked");
            }
        }
    }
}

impl Engine {
    /// Makes a call and waits until it is durable.
    ///
    /// # Errors
    /// [`EngineError`], or the core's refusal inside.
    pub async fn call(&self, call: Call) -> Result<Result<Reply, ApiError>, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.send_bounded(Message::Call { call, answer })?;
        answered.await.map_err(|_| EngineError::Stopped)
    }

    /// Reads the state. The answer comes once everything that it shows is durable.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Scheduler) -> T + Send + 'static,
    ) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.send_bounded(Message::Read(Box::new(move |core| {
            let value = read(core);
            Box::new(move || {
                // The caller may have gone.
                let _gone = answer.send(value);
            })
        })))?;
        answered.await.map_err(|_| EngineError::Stopped)
    }

    /// Returns every record of the store as of one instant.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn listing(&self) -> Result<Listing, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.send_bounded(Message::Listing(answer))?;
        Ok(answered.await.map_err(|_| EngineError::Stopped)??)
    }

    /// Becomes `Some` with the reason when the engine can go on no longer.
    pub fn fatal(&self) -> watch::Receiver<Option<String>> {
        self.fatal.clone()
    }

    fn send_bounded(&self, message: Message) -> Result<(), EngineError> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(EngineError::Overloaded);
        }
        self.inbox.send(message).map_err(|_| EngineError::Stopped)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let code = match error {
            EngineError::Overloaded => ErrorCode::ResourceExhausted,
            EngineError::Stopped | EngineError::Store(_) => ErrorCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests;
