//! One subscription: its event stream, and beside it the connection for calls.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustix::net::sockopt;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::codec::Decoder as _;

use crate::call_pipe::{Answer, AnswerReader, CallPipeError, CallWriter, EXECUTOR_PATH, PROTOBUF};
use crate::executor_client::AgentEvent;
use crate::executor_env::{EndpointSource, ExecutorEnv};
use crate::listener_owner::listener_uid;
use crate::recordio::{RecordIo, RecordIoError};
use crate::unacknowledged::Unacknowledged;
use crate::v1::executor::{Call, Event, call, event};
use crate::v1::{ExecutorId, FrameworkId, TaskStatus};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
// The reference library sends one as often, on the connection for calls.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);
const KEEPALIVE: Duration = Duration::from_secs(10);
const MAX_UPDATES_PER_WRITE: usize = 256;
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// Why a session ended.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// Trying again is useless.
    #[error("the agent refused the executor with {status}: {body}")]
    Refused { status: u16, body: String },
    #[error("the agent cannot serve the executor now ({status}: {body})")]
    Unavailable { status: u16, body: String },
    #[error("failed to connect to `{endpoint}`")]
    Connect {
        endpoint: String,
        #[source]
        source: std::io::Error,
    },
    #[error("what listens at `{endpoint}` is not of this user, and so not the agent")]
    Stranger { endpoint: String },
    #[error("the agent did not answer in time")]
    Timeout,
    #[error("failed to exchange HTTP with the agent")]
    Http(#[from] hyper::Error),
    #[error("failed to make a request")]
    Request(#[from] http::Error),
    #[error("failed to send calls")]
    Send(#[source] std::io::Error),
    #[error(transparent)]
    Answer(#[from] CallPipeError),
    #[error("failed to read the event stream")]
    Events(#[from] RecordIoError),
    #[error("failed to decode an event")]
    Decode(#[from] prost::DecodeError),
    #[error("the agent ended the subscription")]
    EndOfStream,
    #[error("the agent reported an error: {0}")]
    AgentError(String),
    #[error("nobody wants the events")]
    Abandoned,
}

/// What outlives a session.
pub(crate) struct SessionState {
    pub(crate) env: ExecutorEnv,
    pub(crate) unacknowledged: Unacknowledged,
    pub(crate) updates: mpsc::UnboundedReceiver<TaskStatus>,
    pub(crate) events: mpsc::Sender<AgentEvent>,
    /// Whether SUBSCRIBED has ever come, and came in this session.
    pub(crate) subscribed: bool,
}

impl SessionState {
    fn call(&self, call_type: call::Type) -> Call {
        Call {
            executor_id: ExecutorId {
                value: self.env.executor_id.clone(),
            },
            framework_id: FrameworkId {
                value: self.env.framework_id.clone(),
            },
            r#type: Some(call_type.into()),
            ..Call::default()
        }
    }
}

// What the three halves of a session share; never locked across an await.
struct Ledger<'a>(Mutex<LedgerEntries<'a>>);

struct LedgerEntries<'a> {
    unacknowledged: &'a mut Unacknowledged,
    // The updates whose calls wait for their answer; a heartbeat has no uuid.
    in_flight: VecDeque<Bytes>,
}

impl<'a> Ledger<'a> {
    fn lock(&self) -> MutexGuard<'_, LedgerEntries<'a>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subscribes at `endpoint` and exchanges events and updates until something breaks.
pub(crate) async fn run_session(state: &mut SessionState, endpoint: &str) -> SessionError {
    match try_session(state, endpoint).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn try_session(
    state: &mut SessionState,
    endpoint: &str,
) -> Result<std::convert::Infallible, SessionError> {
    state.subscribed = false;
    // What was made while there was no connection goes with the subscription.
    while let Ok(status) = state.updates.try_recv() {
        state.unacknowledged.sent(status);
    }
    let mut call = state.call(call::Type::Subscribe);
    call.subscribe = Some(state.unacknowledged.subscribe());
    let body = subscribe(endpoint, &state.env, &call).await?;

    // Calls are welcome only once the agent has taken the subscription.
    let (answers, calls) = connect(endpoint, &state.env).await?.into_split();
    let mut writer = CallWriter::new(calls, endpoint, state.env.token.as_ref());
    let mut reader = AnswerReader::new(answers);

    let update_call = state.call(call::Type::Update);
    let heartbeat = state.call(call::Type::Heartbeat);
    let ledger = Ledger(Mutex::new(LedgerEntries {
        unacknowledged: &mut state.unacknowledged,
        in_flight: VecDeque::new(),
    }));
    let updates = &mut state.updates;
    tokio::select! {
        end = read_events(body, &state.events, &ledger, &mut state.subscribed) => end,
        end = write_calls(&mut writer, updates, update_call, &heartbeat, &ledger) => end,
        end = read_answers(&mut reader, &ledger) => end,
    }
}

async fn read_events(
    mut body: Incoming,
    events: &mpsc::Sender<AgentEvent>,
    ledger: &Ledger<'_>,
    subscribed: &mut bool,
) -> Result<std::convert::Infallible, SessionError> {
    let mut codec = RecordIo::default();
    let mut buffer = BytesMut::new();
    loop {
        // Room first: an event that has been taken must not fall with this session.
        let permit = events
            .reserve()
            .await
            .map_err(|_closed| SessionError::Abandoned)?;
        if let Some(record) = codec.decode(&mut buffer)? {
            if let Some(event) = take_event(Event::decode(record)?, ledger)? {
                *subscribed |= matches!(event, AgentEvent::Subscribed(_));
                permit.send(event);
            }
            continue;
        }
        drop(permit);
        match body.frame().await {
            None => return Err(SessionError::EndOfStream),
            Some(frame) => {
                if let Ok(data) = frame?.into_data() {
                    buffer.extend_from_slice(&data);
                }
            }
        }
    }
}

fn take_event(event: Event, ledger: &Ledger<'_>) -> Result<Option<AgentEvent>, SessionError> {
    let event_type = event.r#type();
    let taken = match event_type {
        event::Type::Subscribed => event
            .subscribed
            .map(|body| AgentEvent::Subscribed(Box::new(body))),
        event::Type::Launch => event.launch.map(|body| {
            ledger.lock().unacknowledged.launched(body.task.clone());
            AgentEvent::Launch(vec![body.task])
        }),
        event::Type::LaunchGroup => event.launch_group.map(|body| {
            let tasks = body.task_group.tasks;
            for task in &tasks {
                ledger.lock().unacknowledged.launched(task.clone());
            }
            AgentEvent::Launch(tasks)
        }),
        event::Type::Kill => event.kill.map(|body| AgentEvent::Kill {
            task_id: body.task_id.value,
            grace: body
                .kill_policy
                .and_then(|policy| policy.grace_period)
                .map(|grace| Duration::from_nanos(grace.nanoseconds.try_into().unwrap_or(0))),
        }),
        event::Type::Acknowledged => event.acknowledged.map(|body| {
            let task_id = body.task_id.value;
            if !ledger
                .lock()
                .unacknowledged
                .acknowledged(&task_id, &body.uuid)
            {
                tracing::debug!(task_id, "acknowledgement of an unknown update");
            }
            AgentEvent::Acknowledged {
                task_id,
                uuid: body.uuid,
            }
        }),
        event::Type::Shutdown => Some(AgentEvent::Shutdown),
        event::Type::Error => {
            let message = event.error.map(|body| body.message).unwrap_or_default();
            return Err(SessionError::AgentError(message));
        }
        event::Type::Heartbeat | event::Type::Message | event::Type::Unknown => return Ok(None),
    };
    if taken.is_none() {
        tracing::warn!(?event_type, "event without its body");
    }
    Ok(taken)
}

async fn write_calls(
    writer: &mut CallWriter,
    updates: &mut mpsc::UnboundedReceiver<TaskStatus>,
    mut update_call: Call,
    heartbeat: &Call,
    ledger: &Ledger<'_>,
) -> Result<std::convert::Infallible, SessionError> {
    let mut batch = Vec::new();
    loop {
        let received = tokio::time::timeout(
            HEARTBEAT_INTERVAL,
            updates.recv_many(&mut batch, MAX_UPDATES_PER_WRITE),
        );
        match received.await {
            Ok(0) => return Err(SessionError::Abandoned),
            Ok(_) => {}
            Err(_elapsed) => {
                ledger.lock().in_flight.push_back(Bytes::new());
                writer.push(heartbeat);
            }
        }
        for status in batch.drain(..) {
            ledger
                .lock()
                .in_flight
                .push_back(status.uuid.clone().unwrap_or_default());
            update_call.update = Some(call::Update { status });
            writer.push(&update_call);
            if let Some(update) = update_call.update.take() {
                ledger.lock().unacknowledged.sent(update.status);
            }
        }
        writer.flush().await.map_err(SessionError::Send)?;
    }
}

async fn read_answers(
    reader: &mut AnswerReader,
    ledger: &Ledger<'_>,
) -> Result<std::convert::Infallible, SessionError> {
    loop {
        let Answer { status, body } = reader.next().await?;
        let uuid = ledger.lock().in_flight.pop_front().unwrap_or_default();
        match status {
            200..=299 => {}
            400 if !body.contains("cannot be found") => {
                // Repeating it would fail for ever and take the later ones with it.
                tracing::error!(body, "the agent refused an update, which is dropped");
                ledger.lock().unacknowledged.dropped(&uuid);
            }
            400 | 401 => return Err(SessionError::Refused { status, body }),
            // 403 is also what an agent says that has restarted and waits for our subscription.
            _ => return Err(SessionError::Unavailable { status, body }),
        }
    }
}

async fn subscribe(
    endpoint: &str,
    env: &ExecutorEnv,
    call: &Call,
) -> Result<Incoming, SessionError> {
    let stream = connect(endpoint, env).await?;
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the body: hyper closes the connection once the stream is dropped.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection of the subscription broke");
            }
        });
        let mut request = http::Request::post(EXECUTOR_PATH)
            .header(http::header::HOST, endpoint)
            .header(http::header::CONTENT_TYPE, PROTOBUF)
            .header(http::header::ACCEPT, PROTOBUF);
        if let Some(token) = &env.token {
            let bearer = format!("Bearer {}", token.expose());
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        let request = request.body(Full::new(Bytes::from(call.encode_to_vec())))?;
        Ok::<_, SessionError>(sender.send_request(request).await?)
    };
    // An agent that is about to restart may take a connection and never answer.
    let response = tokio::time::timeout(2 * CONNECT_TIMEOUT, exchange)
        .await
        .map_err(|_elapsed| SessionError::Timeout)??;
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let body = http_body_util::Limited::new(response.into_body(), MAX_ERROR_BODY_BYTES);
    let body = match tokio::time::timeout(CONNECT_TIMEOUT, body.collect()).await {
        Ok(Ok(collected)) => String::from_utf8_lossy(&collected.to_bytes()).into_owned(),
        Ok(Err(_)) | Err(_) => String::new(),
    };
    match status {
        404 | 408 | 429 | 500..=599 => Err(SessionError::Unavailable { status, body }),
        _ => Err(SessionError::Refused { status, body }),
    }
}

/// An agent that moves runs as the executor's own user; anybody else at its port is no agent.
fn refuse_stranger(endpoint: &str) -> Result<(), SessionError> {
    let failed = |source| SessionError::Connect {
        endpoint: endpoint.to_owned(),
        source,
    };
    let address = endpoint
        .parse()
        .map_err(|error| failed(std::io::Error::other(error)))?;
    let owner = listener_uid(address).map_err(failed)?;
    if owner == Some(rustix::process::geteuid().as_raw()) {
        Ok(())
    } else {
        Err(SessionError::Stranger {
            endpoint: endpoint.to_owned(),
        })
    }
}

async fn connect(endpoint: &str, env: &ExecutorEnv) -> Result<TcpStream, SessionError> {
    let failed = |source| SessionError::Connect {
        endpoint: endpoint.to_owned(),
        source,
    };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(endpoint))
        .await
        .map_err(|_elapsed| SessionError::Timeout)?
        .map_err(failed)?;
    if matches!(env.endpoint, EndpointSource::File(_)) {
        refuse_stranger(endpoint)?;
    }
    stream.set_nodelay(true).map_err(failed)?;
    // The agent's heartbeats are half an hour apart: only TCP notices a peer that vanished.
    let keepalive = || {
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
        sockopt::set_tcp_keepcnt(&stream, 3)
    };
    if let Err(error) = keepalive() {
        tracing::debug!(%error, "no TCP keepalive");
    }
    Ok(stream)
}
