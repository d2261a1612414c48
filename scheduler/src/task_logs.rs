//! Reads what the processes of a task wrote, and follows it while they write more.
//!
//! Logs are at `<sandbox>/.logs/<process>/<run>/{stdout,stderr}`. The sandbox belongs to the
//! task's user, who is not trusted: see [`files`].

mod files;
mod follow;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use aurora_proto::v1::{LogStream, ReadTaskLogRequest, ReadTaskLogResponse};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use thiserror::Error;

use follow::Reader;

const POLL_INTERVAL: Duration = Duration::from_millis(75);

/// Logs that cannot be read.
#[derive(Debug, Error)]
pub enum TaskLogError {
    /// The name could lead out of the log directory.
    #[error("`{0}` cannot be the name of a process")]
    BadProcessName(String),
    /// The request names a stream that this scheduler does not know.
    #[error("there is no log stream number {0}")]
    BadStream(i32),
    /// The task has no such process.
    #[error("the task has no process `{process}`; it has {}", listed(.known))]
    NoProcess {
        /// The one that was asked for.
        process: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// The process has no such run, or its logs were removed.
    #[error("process `{process}` has no logs of run {run}; it has those of {}", listed(.known))]
    NoRun {
        /// The process.
        process: String,
        /// The run that was asked for.
        run: u32,
        /// Those that exist.
        known: Vec<u32>,
    },
    /// The system refuses.
    #[error("failed to read the logs of the task")]
    Read(#[from] io::Error),
}

fn listed(known: &[impl ToString]) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    known
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl From<TaskLogError> for tonic::Status {
    fn from(error: TaskLogError) -> Self {
        let text = error.to_string();
        match error {
            TaskLogError::BadProcessName(_) | TaskLogError::BadStream(_) => {
                Self::invalid_argument(text)
            }
            TaskLogError::NoProcess { .. } | TaskLogError::NoRun { .. } => Self::not_found(text),
            TaskLogError::Read(source) => {
                tracing::error!(error = %source, "failed to read the logs of a task");
                Self::internal(text)
            }
        }
    }
}

struct State<E> {
    // Absent while a poll runs.
    reader: Option<Reader>,
    unsent: VecDeque<ReadTaskLogResponse>,
    follow: bool,
    over: bool,
    ended: E,
}

/// Returns what the processes of a task wrote, in pieces of at most 64 KiB.
///
/// With `follow` the stream goes on with what is written later, by runs and processes that start
/// later, too; it ends once `ended` is true and everything is read. `ended` must not be true
/// before the last byte is written.
///
/// # Errors
///
/// Fails if the request is senseless, or names a process or run that is not there.
pub async fn read<E, F>(
    sandbox: PathBuf,
    request: ReadTaskLogRequest,
    ended: E,
) -> Result<
    impl Stream<Item = Result<ReadTaskLogResponse, TaskLogError>> + Send + 'static,
    TaskLogError,
>
where
    E: Fn() -> F + Send + 'static,
    F: Future<Output = bool> + Send + 'static,
{
    if request.process.contains(['/', '\0']) || matches!(&*request.process, "." | "..") {
        return Err(TaskLogError::BadProcessName(request.process));
    }
    if LogStream::try_from(request.stream).is_err() {
        return Err(TaskLogError::BadStream(request.stream));
    }
    let follow = request.follow;
    // What does not exist yet may still come, as long as the task lives.
    let may_come = follow && !ended().await;
    let opened = move || Reader::open(&sandbox, request, may_come);
    let reader = blocking(opened).await??;
    let state = State {
        reader: Some(reader),
        unsent: VecDeque::new(),
        follow,
        over: false,
        ended,
    };
    Ok(try_unfold(state, next))
}

async fn next<E, F>(
    mut state: State<E>,
) -> Result<Option<(ReadTaskLogResponse, State<E>)>, TaskLogError>
where
    E: Fn() -> F,
    F: Future<Output = bool>,
{
    loop {
        if let Some(piece) = state.unsent.pop_front() {
            return Ok(Some((piece, state)));
        }
        let Some(mut reader) = state.reader.take() else {
            return Ok(None);
        };
        let polled = blocking(move || {
            let pieces = reader.poll();
            (reader, pieces)
        });
        let (reader, pieces) = polled.await?;
        state.reader = Some(reader);
        state.unsent = pieces?.into();
        if !state.unsent.is_empty() {
            continue;
        }
        if !state.follow || state.over {
            return Ok(None);
        }
        // Asked before the last look: what was written until then is still read.
        state.over = (state.ended)().await;
        if !state.over {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TaskLogError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| TaskLogError::Read(io::Error::other(error)))
}
