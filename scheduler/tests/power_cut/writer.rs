//! The writer: this test binary again, as a child that can be killed.

use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use aurora_scheduler::store::{SledStore, Store};

use super::workload::{OPTIONS, batch};

const DIR: &str = "AURORA_WRITER_DIR";
const SEED: &str = "AURORA_WRITER_SEED";
const COMMITS: &str = "AURORA_WRITER_COMMITS";
/// The writer closes and opens its store again after so many commits.
const REOPEN_EVERY: u64 = 60;

/// Writes, if this process is a child; the test of the same name calls it.
pub(crate) fn run() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let variable = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (seed, mut left) = (variable(SEED), variable(COMMITS));
    while left > 0 {
        say("opening");
        let mut store = match SledStore::open_or_create(&dir, OPTIONS) {
            Ok(store) => store,
            Err(error) => return say(&format!("failed {error}")),
        };
        say("opened");
        for _ in 0..left.min(REOPEN_EVERY) {
            let number = store.commits() + 1;
            if let Err(error) = store.commit(&batch(seed, number)) {
                return say(&format!("failed {error}"));
            }
            say(&format!("ack {number}"));
            left -= 1;
        }
    }
    say("done");
}

/// One line in one write: it is out or it is not.
fn say(words: &str) {
    // Past the test harness, which would collect it.
    std::io::stdout()
        .write_all(format!("{words}\n").as_bytes())
        .unwrap();
    std::io::stdout().flush().unwrap();
}

/// A child that writes.
pub(crate) struct Writer {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// The last commit that it was told of.
    pub(crate) acked: u64,
    /// What the writer said when it gave up.
    pub(crate) failure: Option<String>,
}

impl Writer {
    pub(crate) fn command(dir: &Path, seed: u64, commits: u64) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "writer_child", "--nocapture", "--test-threads=1"])
            .env(DIR, dir)
            .env(SEED, seed.to_string())
            .env(COMMITS, commits.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            acked: 0,
            failure: None,
        }
    }

    /// Reads lines until one begins with `words` or the writer ends.
    pub(crate) fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            self.take(line.trim_end());
            if line.starts_with(words) {
                return;
            }
            line.clear();
        }
    }

    fn take(&mut self, line: &str) {
        if let Some(number) = line.strip_prefix("ack ") {
            self.acked = number.parse().unwrap();
        }
        if let Some(failure) = line.strip_prefix("failed ") {
            self.failure = Some(failure.to_owned());
        }
    }

    /// Kills the writer; its last words are still heard.
    pub(crate) fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.finish();
        self.acked
    }

    /// Waits for the writer's end.
    pub(crate) fn finish(&mut self) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        for line in rest
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n'))
        {
            self.take(line);
        }
        self.child.wait().unwrap();
    }
}
