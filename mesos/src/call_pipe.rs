//! Calls over one keep-alive connection, pipelined: many requests in one write, answers in order.
//!
//! A client that waits for each answer pays a round trip per update; short tasks make three.

use bytes::{Buf as _, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::executor_env::Secret;

/// The path of the executor API.
pub(crate) const EXECUTOR_PATH: &str = "/api/v1/executor";
/// The only encoding spoken here.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An answer that cannot be read.
#[derive(Debug, Error)]
pub(crate) enum CallPipeError {
    #[error("failed to read the answer to a call")]
    Io(#[from] std::io::Error),
    #[error("the agent closed the connection for calls")]
    Closed,
    #[error("the answer to a call is not HTTP")]
    Parse(#[from] httparse::Error),
    #[error("the answer to a call is too long or has no length")]
    Unbounded,
}

/// The answer to one call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Writes calls.
pub(crate) struct CallWriter {
    stream: OwnedWriteHalf,
    head: String,
    buffer: BytesMut,
}

impl CallWriter {
    /// Makes a writer of calls to `host`.
    pub(crate) fn new(stream: OwnedWriteHalf, host: &str, token: Option<&Secret>) -> Self {
        let authorization = token
            .map(|token| format!("Authorization: Bearer {}\r\n", token.expose()))
            .unwrap_or_default();
        let head = format!(
            "POST {EXECUTOR_PATH} HTTP/1.1\r\nHost: {host}\r\n{authorization}\
             Content-Type: {PROTOBUF}\r\nAccept: {PROTOBUF}\r\nContent-Length: "
        );
        Self {
            stream,
            head,
            buffer: BytesMut::new(),
        }
    }

    /// Appends one call to those that [`Self::flush`] sends.
    pub(crate) fn push(&mut self, call: &impl prost::Message) {
        self.buffer.extend_from_slice(self.head.as_bytes());
        self.buffer
            .extend_from_slice(call.encoded_len().to_string().as_bytes());
        self.buffer.extend_from_slice(b"\r\n\r\n");
        // A `BytesMut` grows as needed, so that this cannot run out of room.
        if let Err(error) = call.encode(&mut self.buffer) {
            tracing::error!(%error, "failed to encode a call");
        }
    }

    /// Sends what has been pushed.
    pub(crate) async fn flush(&mut self) -> std::io::Result<()> {
        self.stream.write_all_buf(&mut self.buffer).await
    }
}

/// Reads answers, in the order of the calls.
pub(crate) struct AnswerReader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
}

impl AnswerReader {
    /// Makes a reader of the answers on `stream`.
    pub(crate) fn new(stream: OwnedReadHalf) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    /// Waits for the next answer.
    pub(crate) async fn next(&mut self) -> Result<Answer, CallPipeError> {
        loop {
            if let Some(answer) = take_answer(&mut self.buffer)? {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(CallPipeError::Closed);
            }
        }
    }
}

fn take_answer(buffer: &mut BytesMut) -> Result<Option<Answer>, CallPipeError> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let head_length = match response.parse(buffer)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if buffer.len() > MAX_HEAD_BYTES => {
            return Err(CallPipeError::Unbounded);
        }
        httparse::Status::Partial => return Ok(None),
    };
    let status = response.code.unwrap_or_default();
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| {
            std::str::from_utf8(header.value)
                .ok()?
                .trim()
                .parse::<usize>()
                .ok()
        });
    let body_length = match length {
        Some(length) if length <= MAX_BODY_BYTES => length,
        // An error without a length ends the connection anyway; its status says enough.
        None if status >= 300 => 0,
        None | Some(_) => return Err(CallPipeError::Unbounded),
    };
    if buffer.len() < head_length + body_length {
        return Ok(None);
    }
    buffer.advance(head_length);
    let body = String::from_utf8_lossy(&buffer.split_to(body_length)).into_owned();
    Ok(Some(Answer { status, body }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_one_by_one_however_they_arrive() {
        let wire = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n\
            HTTP/1.1 400 Bad Request\r\ncontent-length: 4\r\n\r\noops";
        let mut buffer = BytesMut::new();
        let mut answers = Vec::new();
        for byte in wire {
            buffer.extend_from_slice(&[*byte]);
            while let Some(answer) = take_answer(&mut buffer).unwrap() {
                answers.push((answer.status, answer.body));
            }
        }
        assert_eq!(answers, [(202, String::new()), (400, "oops".to_owned())]);
    }

    #[test]
    fn answers_without_bounds_are_refused() {
        for wire in [
            "HTTP/1.1 202 Accepted\r\n\r\n".to_owned(),
            "HTTP/1.1 202 Accepted\r\nContent-Length: 99999999\r\n\r\n".to_owned(),
            format!("HTTP/1.1 202 Accepted\r\nX: {}", "y".repeat(MAX_HEAD_BYTES)),
        ] {
            let result = take_answer(&mut BytesMut::from(wire.as_bytes()));
            assert!(
                matches!(result, Err(CallPipeError::Unbounded)),
                "{result:?}"
            );
        }
    }
}
