//! Keeps the place in each log that is being read, and notices new ones.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use aurora_proto::v1::{LogStream, ReadTaskLogRequest, ReadTaskLogResponse};

use super::TaskLogError;
use super::files::{LogFile, SandboxLogs};

const MAX_PIECE_BYTES: usize = 64 * 1024;
// What one poll holds in memory.
const MAX_PIECES_PER_POLL: usize = 16;

#[derive(Debug)]
struct Place {
    file: Option<LogFile>,
    offset: u64,
    // Where reading ends if nothing is followed.
    end: Option<u64>,
}

/// Reads the logs that a request is about.
#[derive(Debug)]
pub(super) struct Reader {
    logs: SandboxLogs,
    request: ReadTaskLogRequest,
    // By process, run and stream, which is also the order of reading.
    places: BTreeMap<(String, u32, i32), Place>,
    // The runs up to here are either being read or of no interest.
    newest: BTreeMap<String, u32>,
}

impl Reader {
    /// Finds the logs; with `may_come`, what is asked for need not exist yet.
    pub(super) fn open(
        sandbox: &Path,
        request: ReadTaskLogRequest,
        may_come: bool,
    ) -> Result<Self, TaskLogError> {
        let logs = SandboxLogs::open(sandbox)?;
        let mut reader = Self {
            logs,
            request,
            places: BTreeMap::new(),
            newest: BTreeMap::new(),
        };
        reader.check_existence(may_come)?;
        let tail_bytes = reader.request.tail_bytes;
        for process in reader.processes()? {
            let runs = reader.logs.runs(&process)?;
            let Some(run) = reader.request.run.or_else(|| runs.last().copied()) else {
                continue;
            };
            reader.add_run(&process, run, tail_bytes)?;
        }
        Ok(reader)
    }

    fn check_existence(&self, may_come: bool) -> Result<(), TaskLogError> {
        let process = &self.request.process;
        let known = self.logs.processes()?;
        let asked: Vec<&String> = if process.is_empty() {
            known.iter().collect()
        } else if let Some(found) = known.iter().find(|known| *known == process) {
            vec![found]
        } else if may_come && known.is_empty() {
            // The executor makes the directories of all processes at once, but has not yet.
            return Ok(());
        } else {
            return Err(TaskLogError::NoProcess {
                process: process.clone(),
                known,
            });
        };
        let Some(run) = self.request.run else {
            return Ok(());
        };
        let mut refusal = None;
        for process in asked {
            let known = self.logs.runs(process)?;
            let will_come = may_come && known.last().is_none_or(|last| *last < run);
            if will_come || known.contains(&run) {
                return Ok(());
            }
            refusal = Some(TaskLogError::NoRun {
                process: process.clone(),
                run,
                known,
            });
        }
        refusal.map_or(Ok(()), Err)
    }

    fn processes(&self) -> Result<Vec<String>, TaskLogError> {
        let mut processes = self.logs.processes()?;
        if !self.request.process.is_empty() {
            processes.retain(|process| *process == self.request.process);
        }
        Ok(processes)
    }

    fn streams(&self) -> &'static [LogStream] {
        match self.request.stream() {
            LogStream::Unspecified => &[LogStream::Stdout, LogStream::Stderr],
            LogStream::Stdout => &[LogStream::Stdout],
            LogStream::Stderr => &[LogStream::Stderr],
        }
    }

    // Reads the last `tail_bytes` of what is there; 0 means all.
    fn add_run(&mut self, process: &str, run: u32, tail_bytes: u64) -> Result<(), TaskLogError> {
        for stream in self.streams() {
            let file = self.logs.log(process, run, *stream)?;
            let length = file.as_ref().map_or(Ok(0), LogFile::len)?;
            let offset = if tail_bytes > 0 {
                length.saturating_sub(tail_bytes)
            } else {
                0
            };
            let end = (!self.request.follow).then_some(length);
            let key = (process.to_owned(), run, i32::from(*stream));
            self.places.insert(key, Place { file, offset, end });
        }
        self.newest.insert(process.to_owned(), run);
        Ok(())
    }

    /// Returns what is there to be read now; nothing means that there is nothing (yet).
    pub(super) fn poll(&mut self) -> Result<Vec<ReadTaskLogResponse>, TaskLogError> {
        if self.request.follow {
            self.find_new_runs()?;
        }
        let mut pieces = Vec::new();
        let mut read_up = HashSet::new();
        for (key, place) in &mut self.places {
            if pieces.len() >= MAX_PIECES_PER_POLL {
                return Ok(pieces);
            }
            let n_pieces = MAX_PIECES_PER_POLL - pieces.len();
            let found = read_place(&self.logs, key, place, n_pieces)?;
            if found.len() < n_pieces {
                read_up.insert(key.clone());
            }
            pieces.extend(found);
        }
        // Of the runs that were followed by another, what is read is done with.
        let newest = &self.newest;
        self.places
            .retain(|key, _| newest.get(&key.0) == Some(&key.1) || !read_up.contains(key));
        Ok(pieces)
    }

    fn find_new_runs(&mut self) -> Result<(), TaskLogError> {
        for process in self.processes()? {
            let newest = self.newest.get(&process).copied();
            for run in self.logs.runs(&process)? {
                let is_new = newest.is_none_or(|newest| newest < run);
                let is_asked_for = self.request.run.is_none_or(|asked| asked == run);
                if is_new && is_asked_for {
                    self.add_run(&process, run, 0)?;
                }
            }
        }
        Ok(())
    }
}

fn read_place(
    logs: &SandboxLogs,
    key: &(String, u32, i32),
    place: &mut Place,
    max_pieces: usize,
) -> Result<Vec<ReadTaskLogResponse>, TaskLogError> {
    let (process, run, stream) = key;
    let log_stream = LogStream::try_from(*stream).unwrap_or_default();
    if place.file.is_none() {
        place.file = logs.log(process, *run, log_stream)?;
    }
    let mut pieces = Vec::new();
    while pieces.len() < max_pieces {
        let Some(file) = &place.file else { break };
        let wanted = match place.end {
            Some(end) => usize::try_from(end.saturating_sub(place.offset)).unwrap_or(usize::MAX),
            None => MAX_PIECE_BYTES,
        };
        let data = file.read_at(place.offset, wanted.min(MAX_PIECE_BYTES))?;
        if data.is_empty() {
            if place.end.is_some() || !starts_over(logs, key, place)? {
                break;
            }
            continue;
        }
        let offset = place.offset;
        place.offset += data.len() as u64;
        pieces.push(ReadTaskLogResponse {
            process: process.clone(),
            run: *run,
            stream: *stream,
            offset,
            data,
        });
    }
    Ok(pieces)
}

// At the end of a file: it may have been cut, or put aside for a new one.
fn starts_over(
    logs: &SandboxLogs,
    key: &(String, u32, i32),
    place: &mut Place,
) -> Result<bool, TaskLogError> {
    let (process, run, stream) = key;
    let stream = LogStream::try_from(*stream).unwrap_or_default();
    let Some(file) = &place.file else {
        return Ok(false);
    };
    if file.len()? < place.offset {
        place.offset = 0;
        return Ok(true);
    }
    if !logs.was_replaced(process, *run, stream, file) {
        return Ok(false);
    }
    let Some(new) = logs.log(process, *run, stream)? else {
        return Ok(false);
    };
    // Renamed between the last read and now, the old one may have got a last line.
    if file.len()? > place.offset {
        return Ok(true);
    }
    place.file = Some(new);
    place.offset = 0;
    Ok(true)
}
