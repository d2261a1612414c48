//! One request: checks it in the order that Mesos does, and answers with Mesos' codes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use prost::Message as _;

use super::event_stream::{EventBody, event_stream};
use super::{Agent, EXECUTOR_PATH, ExecutorCall, ExecutorKey, Limits, Refusal};
use crate::v1::executor::{Call, call};
use crate::v1::{TaskState, TaskStatus, task_status};

const PROTOBUF: &str = "application/x-protobuf";

type Answer = Response<Either<Full<Bytes>, EventBody>>;

#[derive(Debug)]
struct Denial {
    code: StatusCode,
    reason: &'static str,
}

const fn denial(code: StatusCode, reason: &'static str) -> Denial {
    Denial { code, reason }
}

/// Answers one request; `known` is set once the connection has shown a valid token.
pub(super) async fn answer<A: Agent>(
    agent: &A,
    limits: &Limits,
    known: &AtomicBool,
    request: Request<Incoming>,
) -> Answer {
    match take(agent, limits, known, request).await {
        Ok(answer) => answer,
        Err(denial) => plain(denial.code, denial.reason),
    }
}

async fn take<A: Agent>(
    agent: &A,
    limits: &Limits,
    known: &AtomicBool,
    request: Request<Incoming>,
) -> Result<Answer, Denial> {
    if request.uri().path() != EXECUTOR_PATH {
        return Err(denial(StatusCode::NOT_FOUND, "no such path"));
    }
    if request.method() != Method::POST {
        return Err(denial(
            StatusCode::METHOD_NOT_ALLOWED,
            "only POST is allowed",
        ));
    }
    let (head, body) = request.into_parts();
    let caller = bearer_token(&head.headers)
        .and_then(|token| agent.authenticate(token))
        .ok_or(denial(StatusCode::UNAUTHORIZED, "no valid bearer token"))?;
    known.store(true, Ordering::Relaxed);
    match head.headers.get(CONTENT_TYPE).map(HeaderValue::to_str) {
        None | Some(Err(_)) => {
            return Err(denial(StatusCode::BAD_REQUEST, "no valid Content-Type"));
        }
        Some(Ok(PROTOBUF)) => {}
        Some(Ok(_)) => {
            return Err(denial(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "expected Content-Type application/x-protobuf",
            ));
        }
    }
    let body = read_body(body, limits.body_bytes).await?;
    let call = Call::decode(body)
        .map_err(|_| denial(StatusCode::BAD_REQUEST, "failed to parse the call"))?;
    carry_out(agent, caller, call, &head.headers).await
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

async fn read_body(body: Incoming, limit: usize) -> Result<Bytes, Denial> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(denial(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the call is too large",
        )),
        Err(_) => Err(denial(StatusCode::BAD_REQUEST, "failed to read the call")),
    }
}

async fn carry_out<A: Agent>(
    agent: &A,
    caller: Arc<ExecutorKey>,
    call: Call,
    headers: &HeaderMap,
) -> Result<Answer, Denial> {
    let kind = call.r#type();
    if kind == call::Type::Heartbeat {
        // Its ids mean nothing: the reference client makes them up.
        return Ok(plain(StatusCode::ACCEPTED, ""));
    }
    let same = call.framework_id.value == caller.framework_id
        && call.executor_id.value == caller.executor_id;
    if !same {
        return Err(denial(
            StatusCode::FORBIDDEN,
            "the token belongs to another executor",
        ));
    }
    match kind {
        call::Type::Subscribe => {
            let subscribe = call
                .subscribe
                .ok_or(denial(StatusCode::BAD_REQUEST, "'subscribe' is missing"))?;
            if !accepts_protobuf(headers) {
                return Err(denial(
                    StatusCode::NOT_ACCEPTABLE,
                    "only protobuf is spoken",
                ));
            }
            let (events, body) = event_stream();
            hand_over(agent, caller, ExecutorCall::Subscribe { subscribe, events }).await?;
            let mut answer = Response::new(Either::Right(body));
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
            Ok(answer)
        }
        call::Type::Update => {
            let status = call
                .update
                .ok_or(denial(StatusCode::BAD_REQUEST, "'update' is missing"))?
                .status;
            check_status(&status, &caller)?;
            hand_over(agent, caller, ExecutorCall::Update(Box::new(status))).await?;
            Ok(plain(StatusCode::ACCEPTED, ""))
        }
        call::Type::Message => {
            let data = call
                .message
                .ok_or(denial(StatusCode::BAD_REQUEST, "'message' is missing"))?
                .data;
            hand_over(agent, caller, ExecutorCall::Message(data)).await?;
            Ok(plain(StatusCode::ACCEPTED, ""))
        }
        call::Type::Unknown | call::Type::Heartbeat => {
            Err(denial(StatusCode::NOT_IMPLEMENTED, "unknown type of call"))
        }
    }
}

async fn hand_over<A: Agent>(
    agent: &A,
    caller: Arc<ExecutorKey>,
    call: ExecutorCall,
) -> Result<(), Denial> {
    agent
        .handle(caller, call)
        .await
        .map_err(|refusal| match refusal {
            Refusal::NotSubscribed => denial(StatusCode::FORBIDDEN, "executor is not subscribed"),
            Refusal::UnknownExecutor => denial(StatusCode::BAD_REQUEST, "Executor cannot be found"),
            Refusal::Unavailable => denial(StatusCode::SERVICE_UNAVAILABLE, "try again later"),
        })
}

fn check_status(status: &TaskStatus, caller: &ExecutorKey) -> Result<(), Denial> {
    let fault = if status.uuid.as_ref().is_none_or(|uuid| uuid.len() != 16) {
        "'uuid' must be 16 bytes"
    } else if status.source() != task_status::Source::Executor || status.source.is_none() {
        "'source' must be SOURCE_EXECUTOR"
    } else if status.state() == TaskState::TaskStaging {
        "TASK_STAGING is not an executor's to send"
    } else if status
        .executor_id
        .as_ref()
        .is_some_and(|id| id.value != caller.executor_id)
    {
        "'executor_id' is another executor's"
    } else {
        return Ok(());
    };
    Err(denial(StatusCode::BAD_REQUEST, fault))
}

fn accepts_protobuf(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(ACCEPT) else {
        return true;
    };
    accept.to_str().is_ok_and(|accept| {
        accept
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default().trim())
            .any(|range| matches!(range, PROTOBUF | "application/*" | "*/*"))
    })
}

fn plain(code: StatusCode, reason: &'static str) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from_static(
        reason.as_bytes(),
    ))));
    *answer.status_mut() = code;
    if code == StatusCode::METHOD_NOT_ALLOWED {
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}
