//! A command that runs beside the test, with everything that it has printed so far.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{fs, io};

use rustix::process::Signal;

use crate::{processes, wait};

/// A command that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Background {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Background {
    /// Starts a command that writes into `dir`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(dir: &Path, name: &str, mut command: Command) -> io::Result<Self> {
        let (stdout, stderr) = (
            dir.join(format!("{name}.out")),
            dir.join(format!("{name}.err")),
        );
        command
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?);
        Ok(Self {
            child: command.spawn()?,
            stdout,
            stderr,
        })
    }

    /// What it has printed.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it has complained about.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            processes::signal(pid, signal);
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until standard output holds `text`.
    pub fn wait_for_stdout(&mut self, text: &str) {
        wait::until(text, || {
            let found = self.stdout().contains(text);
            assert!(
                found || self.is_running(),
                "ended without {text:?}: {self:?} {}",
                self.stderr()
            );
            found.then_some(())
        });
    }

    /// Waits until standard error holds `text`.
    pub fn wait_for_stderr(&mut self, text: &str) {
        wait::until(text, || {
            let found = self.stderr().contains(text);
            assert!(
                found || self.is_running(),
                "ended without {text:?}: {self:?} {}",
                self.stderr()
            );
            found.then_some(())
        });
    }

    /// Waits for its end; returns the exit code, -1 for a signal.
    pub fn wait(&mut self) -> i32 {
        wait::until("the command to end", || {
            self.child.try_wait().ok().flatten()
        })
        .code()
        .unwrap_or(-1)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
