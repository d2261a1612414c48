//! Every gRPC call as JSON: a request with a JSON body is turned into the gRPC request that it
//! stands for, and the answer back into JSON. One translation for all calls, from their
//! descriptors, so that the two can never differ.

use aurora_proto::json::{descriptor_pool, dynamic_to_value, encode_json};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use tonic::Code;

use crate::api::MAX_REQUEST;

/// Bytes before each gRPC message: a flag and its length.
const PREFIX: usize = 5;

/// Lets gRPC pass, translates JSON, and refuses the rest.
pub(super) async fn transcode(request: Request, next: Next) -> Response {
    if is_of_type(request.headers(), "application/grpc") {
        return next.run(request).await;
    }
    match translate(request, next).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

/// Whether the body is of the type, or of one that extends it, as `application/grpc+proto` does.
fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split([';', '+']).next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(wanted))
}

async fn translate(request: Request, next: Next) -> Result<Response, Refusal> {
    let method = find_method(request.uri().path())?;
    if request.method() != Method::POST {
        return Err(Refusal {
            http: StatusCode::METHOD_NOT_ALLOWED,
            code: Code::Unimplemented,
            message: "calls are made with POST".to_owned(),
        });
    }
    if !is_of_type(request.headers(), "application/json") {
        return Err(Refusal {
            http: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code: Code::InvalidArgument,
            message: "send the body as `Content-Type: application/json` (or speak gRPC)".to_owned(),
        });
    }
    let (parts, body) = request.into_parts();
    let body = read_body(body).await?;
    // An empty body is an empty request, as with `curl -X POST`.
    let json = if body.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        body
    };
    let message = encode_json(method.input(), &json)
        .map_err(|error| Refusal::new(Code::InvalidArgument, error.to_string()))?;

    let mut call = Request::from_parts(parts, Body::from(frame(&message)));
    let headers = call.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let response = next.run(call).await;
    if let Some(refusal) = Refusal::in_headers(response.headers()) {
        return Err(refusal);
    }
    if method.is_server_streaming() {
        Ok(stream_lines(response, method.output()))
    } else {
        unary(response, method.output()).await
    }
}

fn find_method(path: &str) -> Result<MethodDescriptor, Refusal> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (service, method) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    descriptor_pool()
        .get_service_by_name(service)
        .and_then(|service| {
            service
                .methods()
                .find(|candidate| candidate.name() == method)
        })
        .filter(|_| parts.next().is_none())
        .ok_or_else(|| {
            Refusal::new(
                Code::NotFound,
                format!("there is no call `{path}`; calls are /aurora.v1.<Service>/<Method>"),
            )
        })
}

async fn read_body(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal {
            http: StatusCode::PAYLOAD_TOO_LARGE,
            code: Code::ResourceExhausted,
            message: format!("the request is larger than {MAX_REQUEST} bytes"),
        }),
        Err(error) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("the request's body cannot be read: {error}"),
        )),
    }
}

fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = Vec::with_capacity(PREFIX + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Takes the first whole message out of `buffer`.
fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let prefix: [u8; PREFIX] = buffer.get(..PREFIX)?.try_into().ok()?;
    let [_, a, b, c, d] = prefix;
    let end = PREFIX + u32::from_be_bytes([a, b, c, d]) as usize;
    let message = buffer.get(PREFIX..end)?.to_vec();
    buffer.drain(..end);
    Some(message)
}

async fn unary(response: Response, output: MessageDescriptor) -> Result<Response, Refusal> {
    let broken = |error: String| Refusal::new(Code::Internal, error);
    let collected = response
        .into_body()
        .collect()
        .await
        .map_err(|error| broken(error.to_string()))?;
    if let Some(refusal) = collected.trailers().and_then(Refusal::in_headers) {
        return Err(refusal);
    }
    let mut buffer = collected.to_bytes().to_vec();
    let message =
        take_message(&mut buffer).ok_or_else(|| broken("the answer is cut off".to_owned()))?;
    let value = dynamic_to_value(output, &message).map_err(|error| broken(error.to_string()))?;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    Ok((headers, format!("{value}\n")).into_response())
}

/// One JSON document a line; a failure in the middle is a last line `{"error": …}`.
fn stream_lines(response: Response, output: MessageDescriptor) -> Response {
    let lines = lines(response.into_body(), output);
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (headers, Body::from_stream(lines)).into_response()
}

fn lines(
    body: Body,
    output: MessageDescriptor,
) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
    let state = (body, Vec::new(), output);
    stream::unfold(state, |(mut body, mut buffer, output)| async move {
        let text = match body.frame().await? {
            Ok(frame) => match frame.into_data() {
                Ok(data) => {
                    buffer.extend_from_slice(&data);
                    data_lines(&mut buffer, &output)
                }
                Err(frame) => frame
                    .trailers_ref()
                    .and_then(Refusal::in_headers)
                    .map(|refusal| refusal.line())
                    .unwrap_or_default(),
            },
            Err(error) => Refusal::new(Code::Internal, error.to_string()).line(),
        };
        Some((Bytes::from(text), (body, buffer, output)))
    })
    .filter(|text| std::future::ready(!text.is_empty()))
    .map(Ok)
}

fn data_lines(buffer: &mut Vec<u8>, output: &MessageDescriptor) -> String {
    let mut text = String::new();
    while let Some(message) = take_message(buffer) {
        match dynamic_to_value(output.clone(), &message) {
            Ok(value) => text.extend([value.to_string().as_str(), "\n"]),
            Err(error) => text += &Refusal::new(Code::Internal, error.to_string()).line(),
        }
    }
    text
}

/// Why a call was not answered.
#[derive(Debug)]
struct Refusal {
    http: StatusCode,
    code: Code,
    message: String,
}

impl Refusal {
    fn new(code: Code, message: String) -> Self {
        Self {
            http: http_status(code),
            code,
            message,
        }
    }

    /// Reads a failed gRPC status.
    fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let status = tonic::Status::from_header_map(headers)?;
        (status.code() != Code::Ok).then(|| Self::new(status.code(), status.message().to_owned()))
    }

    fn to_value(&self) -> serde_json::Value {
        serde_json::json!({ "code": code_name(self.code), "message": self.message })
    }

    fn line(&self) -> String {
        format!("{}\n", serde_json::json!({ "error": self.to_value() }))
    }

    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, "application/json")];
        (self.http, headers, format!("{}\n", self.to_value())).into_response()
    }
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_out_one_by_one() {
        let mut buffer = [frame(b"one"), frame(b""), frame(b"three")].concat();
        buffer.pop();
        assert_eq!(
            take_message(&mut buffer).as_deref(),
            Some(b"one".as_slice())
        );
        assert_eq!(take_message(&mut buffer).as_deref(), Some(b"".as_slice()));
        assert_eq!(take_message(&mut buffer), None);
        buffer.push(b'e');
        assert_eq!(
            take_message(&mut buffer).as_deref(),
            Some(b"three".as_slice())
        );
    }

    #[test]
    fn only_whole_paths_name_calls() {
        assert!(find_method("/aurora.v1.ReadService/ListJobs").is_ok());
        for path in [
            "/",
            "/x/y",
            "/aurora.v1.ReadService/ListJobs/more",
            "/aurora.v1.ReadService",
        ] {
            assert_eq!(
                find_method(path).unwrap_err().http,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
    }
}
