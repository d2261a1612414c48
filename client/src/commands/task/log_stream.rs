//! Follows the output of one task, across broken connections, line by line.

use std::{collections::HashMap, time::Duration};

use aurora_proto::v1::{LogStream, ReadTaskLogRequest, ReadTaskLogResponse};
use tokio::time::{self, Instant};
use tonic::Status;

use crate::{
    api::{Api, is_transport_failure, refused},
    error::CliResult,
};

const RETRY: Duration = Duration::from_millis(500);
/// A line longer than this comes in pieces.
const MAX_LINE: usize = 64 << 10;

/// One file of a task's output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LogFile {
    pub(crate) process: String,
    pub(crate) run: u32,
    pub(crate) stream: LogStream,
}

/// A line, with its line break unless it is the last piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    pub(crate) file: LogFile,
    pub(crate) text: Vec<u8>,
}

/// The output of one task.
pub(crate) struct LogReader {
    request: ReadTaskLogRequest,
    /// Bytes of each file that were handed on or are held.
    offsets: HashMap<LogFile, u64>,
    /// The beginnings of lines whose ends have not come.
    held: HashMap<LogFile, Vec<u8>>,
}

impl LogReader {
    /// Returns a reader that has read nothing.
    pub(crate) fn new(request: ReadTaskLogRequest) -> Self {
        Self {
            request,
            offsets: HashMap::new(),
            held: HashMap::new(),
        }
    }

    /// Hands every line to `take` until the output ends.
    ///
    /// Goes on where it was after the connection broke, for at most `patience` at a time.
    pub(crate) async fn read(
        &mut self,
        api: &Api,
        patience: Duration,
        take: &mut (impl FnMut(LogLine) -> CliResult + Send),
    ) -> CliResult {
        let mut broken_since = None;
        loop {
            match self.read_once(api, &mut broken_since, take).await? {
                Ok(()) => break,
                Err(status) if !is_transport_failure(&status) => {
                    return Err(refused("read the output", &status));
                }
                Err(status) => {
                    let since = *broken_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > patience {
                        return Err(refused("read the output", &status));
                    }
                    time::sleep(RETRY).await;
                }
            }
        }
        for (file, text) in std::mem::take(&mut self.held) {
            if !text.is_empty() {
                take(LogLine { file, text })?;
            }
        }
        Ok(())
    }

    /// The outer result is the taker's, the inner one the stream's.
    async fn read_once(
        &mut self,
        api: &Api,
        broken_since: &mut Option<Instant>,
        take: &mut (impl FnMut(LogLine) -> CliResult + Send),
    ) -> CliResult<Result<(), Status>> {
        let mut stream = match api.task_log(self.request.clone()).await {
            Ok(stream) => stream,
            Err(status) => return Ok(Err(status)),
        };
        *broken_since = None;
        loop {
            match stream.message().await {
                Ok(Some(chunk)) => {
                    for line in self.accept(chunk) {
                        take(line)?;
                    }
                }
                Ok(None) => return Ok(Ok(())),
                Err(status) => return Ok(Err(status)),
            }
        }
    }

    /// Takes a chunk in and returns the lines that it completes.
    fn accept(&mut self, chunk: ReadTaskLogResponse) -> Vec<LogLine> {
        let file = LogFile {
            run: chunk.run,
            stream: chunk.stream(),
            process: chunk.process,
        };
        let seen = self.offsets.entry(file.clone()).or_insert(chunk.offset);
        // After a reconnection the beginning comes again.
        let skip = usize::try_from(seen.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
        let Some(new) = chunk.data.get(skip..).filter(|new| !new.is_empty()) else {
            return Vec::new();
        };
        *seen = chunk.offset + chunk.data.len() as u64;
        let held = self.held.entry(file.clone()).or_default();
        held.extend_from_slice(new);
        let mut lines = Vec::new();
        while let Some(end) = held.iter().position(|&byte| byte == b'\n') {
            let rest = held.split_off(end + 1);
            let text = std::mem::replace(held, rest);
            lines.push(LogLine {
                file: file.clone(),
                text,
            });
        }
        if held.len() > MAX_LINE {
            lines.push(LogLine {
                file,
                text: std::mem::take(held),
            });
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64, data: &str) -> ReadTaskLogResponse {
        ReadTaskLogResponse {
            process: "p".to_owned(),
            stream: LogStream::Stdout.into(),
            offset,
            data: data.as_bytes().to_vec(),
            ..ReadTaskLogResponse::default()
        }
    }

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        lines
            .into_iter()
            .map(|line| String::from_utf8(line.text).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_whole_and_nothing_comes_twice() {
        let mut reader = LogReader::new(ReadTaskLogRequest::default());
        assert_eq!(texts(reader.accept(chunk(0, "one\ntw"))), ["one\n"]);
        // The connection broke; the stream begins anew.
        assert!(reader.accept(chunk(0, "one\n")).is_empty());
        assert_eq!(texts(reader.accept(chunk(4, "two\nthree"))), ["two\n"]);
        assert_eq!(texts(reader.accept(chunk(13, "\n"))), ["three\n"]);
    }

    #[test]
    fn tail_begins_in_the_middle() {
        let mut reader = LogReader::new(ReadTaskLogRequest::default());
        assert_eq!(texts(reader.accept(chunk(100, "x\n"))), ["x\n"]);
    }
}
