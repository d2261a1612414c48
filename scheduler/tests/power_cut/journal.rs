//! What the shim recorded.

use std::path::{Path, PathBuf};

/// One thing that the process did.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Write {
        path: PathBuf,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        length: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Mkdir {
        path: PathBuf,
    },
    Sync {
        path: PathBuf,
    },
    Create {
        path: PathBuf,
    },
    Output {
        text: String,
    },
}

/// Decodes a log of the shim. Paths come out relative to `root`.
pub(crate) fn parse(mut log: &[u8], root: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(op) = log.split_off_first() {
        let from_length = number(&mut log, 4);
        let from = text(&mut log, from_length);
        let to_length = number(&mut log, 4);
        let to = text(&mut log, to_length);
        let offset = number(&mut log, 8);
        let length = number(&mut log, 8);
        let bytes = log.split_off(..length).unwrap().to_vec();
        let relative = |path: &str| Path::new(path).strip_prefix(root).unwrap().to_owned();
        let path = || relative(&from);
        events.push(match op {
            1 => Event::Write {
                path: path(),
                at: offset,
                bytes,
            },
            2 => Event::Truncate {
                path: path(),
                length: offset,
            },
            3 => Event::Rename {
                from: path(),
                to: relative(&to),
            },
            4 => Event::Remove { path: path() },
            5 => Event::Mkdir { path: path() },
            6 => Event::Sync { path: path() },
            7 => Event::Create { path: path() },
            8 => Event::Output {
                text: String::from_utf8(bytes).unwrap(),
            },
            other => panic!("event {other} is unknown"),
        });
    }
    events
}

fn number(log: &mut &[u8], length: usize) -> usize {
    let bytes = log.split_off(..length).unwrap();
    let value = bytes
        .iter()
        .rev()
        .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    usize::try_from(value).unwrap()
}

fn text(log: &mut &[u8], length: usize) -> String {
    String::from_utf8(log.split_off(..length).unwrap().to_vec()).unwrap()
}
