//! An executor's connection to its agent: keeps it up, and keeps what must survive it.
//!
//! The client remembers every task and update until the agent confirms it, and repeats the rest at
//! each subscription. Its user sees events and hands over updates; connections are not its matter.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::executor_env::{EndpointSource, ExecutorEnv};
use crate::session::{SessionError, SessionState, run_session};
use crate::unacknowledged::Unacknowledged;
use crate::v1::executor::event;
use crate::v1::{TaskInfo, TaskStatus};

// An executor that the agent has just started may be a little faster than the agent.
const FIRST_CONTACT_TIMEOUT: Duration = Duration::from_secs(60);
// The agent waits for us when we are slow; see `SessionState::events`.
const EVENT_BUFFER: usize = 256;

/// What an agent wants, or what became of it.
#[derive(Debug)]
pub enum AgentEvent {
    /// The agent has taken the subscription.
    Subscribed(Box<event::Subscribed>),
    /// Tasks to run.
    Launch(Vec<TaskInfo>),
    /// A task to stop.
    Kill {
        /// The task.
        task_id: String,
        /// How long it may take; absent, the task's own policy holds.
        grace: Option<Duration>,
    },
    /// The agent answers for an update from now on.
    Acknowledged {
        /// The task.
        task_id: String,
        /// The update.
        uuid: Bytes,
    },
    /// Everything is to be stopped.
    Shutdown,
    /// The connection is gone; another is being tried.
    Disconnected,
    /// The agent will not come back, or wants none of us. Nothing follows.
    Gone {
        /// Why, for the log.
        reason: String,
    },
}

/// A connection to an agent, kept up by a task of the current tokio runtime.
#[derive(Debug)]
pub struct ExecutorClient {
    events: mpsc::Receiver<AgentEvent>,
    updates: mpsc::UnboundedSender<TaskStatus>,
}

impl ExecutorClient {
    /// Starts to subscribe.
    #[must_use]
    pub fn start(env: ExecutorEnv) -> Self {
        let (event_sender, events) = mpsc::channel(EVENT_BUFFER);
        let (updates, update_receiver) = mpsc::unbounded_channel();
        let state = SessionState {
            env,
            unacknowledged: Unacknowledged::default(),
            updates: update_receiver,
            events: event_sender,
            subscribed: false,
        };
        tokio::spawn(keep_subscribed(state));
        Self { events, updates }
    }

    /// Waits for the next event. Cancelling loses nothing.
    pub async fn next_event(&mut self) -> AgentEvent {
        let gone = || AgentEvent::Gone {
            reason: "the connection was given up".to_owned(),
        };
        self.events.recv().await.unwrap_or_else(gone)
    }

    /// Sends an update, now or as soon as there is a connection; repeats it until it is confirmed.
    ///
    /// Updates arrive in the order of the calls.
    pub fn send_update(&self, status: TaskStatus) {
        if self.updates.send(status).is_err() {
            tracing::debug!("update after the connection was given up");
        }
    }
}

async fn keep_subscribed(mut state: SessionState) {
    let mut window = FIRST_CONTACT_TIMEOUT.max(recovery_window(&state.env));
    let mut lost_since = now();
    loop {
        let error = match read_endpoint(&state.env.endpoint) {
            Ok(endpoint) => run_session(&mut state, &endpoint).await,
            Err(source) => SessionError::Connect {
                endpoint: "the endpoint file".into(),
                source,
            },
        };
        if state.subscribed {
            // The window opens anew with each loss of an agent that we had.
            state.subscribed = false;
            window = recovery_window(&state.env);
            lost_since = now();
            tracing::warn!(error = chain(&error), "lost the agent");
            if state.events.send(AgentEvent::Disconnected).await.is_err() {
                return;
            }
        } else {
            tracing::debug!(error = chain(&error), "failed to subscribe");
        }
        if matches!(error, SessionError::Abandoned) {
            return;
        }
        let left = window.saturating_sub(now().duration_since(lost_since));
        let hopeless = left.is_zero() || matches!(error, SessionError::Refused { .. });
        let pause = (!hopeless).then(|| jitter(state.env.subscription_backoff_max).min(left));
        let Some(pause) = pause else {
            let reason = chain(&error);
            // Nobody may be listening any more, which is as well.
            drop(state.events.send(AgentEvent::Gone { reason }).await);
            return;
        };
        tokio::time::sleep(pause).await;
    }
}

fn now() -> Instant {
    Instant::now()
}

// Without checkpointing the agent has given the executor up as soon as it is gone itself.
const fn recovery_window(env: &ExecutorEnv) -> Duration {
    if env.checkpoint {
        env.recovery_timeout
    } else {
        Duration::ZERO
    }
}

fn read_endpoint(source: &EndpointSource) -> std::io::Result<String> {
    match source {
        EndpointSource::Fixed(endpoint) => Ok(endpoint.clone()),
        EndpointSource::File(path) => Ok(std::fs::read_to_string(path)?.trim().to_owned()),
    }
}

// Uniform in [0, max]: executors of one agent must not all come back at once, and an exponential
// backoff would overshoot the time that a restarted agent waits.
fn jitter(max: Duration) -> Duration {
    let fraction = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    max.mul_f64(fraction)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
