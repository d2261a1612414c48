//! What an executor has been handed, in a file that survives the scheduler.
//!
//! Lines are gathered and written with one call, before anything that rests on them leaves. There
//! is no fsync: after a power cut the tasks are gone with the machine, and so is what this says.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aurora_core::cluster::ReportedState;
use aurora_core::resources::Resources;

// Below this a journal is not worth rewriting.
const MIN_REWRITE_BYTES: u64 = 4 * 1024 * 1024;

/// What a journal says about one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournaledTask {
    /// The task.
    pub(super) task_id: String,
    /// What it holds; nothing once it has ended.
    pub(super) resources: Resources,
    /// The ports it holds.
    pub(super) ports: Vec<u16>,
    /// The last state that was acknowledged to the executor.
    pub(super) acknowledged: Option<ReportedState>,
}

/// The journal of one executor.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    written: u64,
    // Of the last rewrite.
    base: u64,
    unwritten: String,
}

impl Journal {
    /// Opens a journal that holds just these tasks.
    pub(super) fn create<'a>(
        path: PathBuf,
        tasks: impl Iterator<Item = &'a JournaledTask>,
    ) -> io::Result<Self> {
        let text = snapshot(tasks);
        let file = replace(&path, &text)?;
        let written = text.len() as u64;
        Ok(Self {
            path,
            file,
            written,
            base: written,
            unwritten: String::new(),
        })
    }

    /// Notes a task that is about to be handed over.
    pub(super) fn launched(&mut self, task_id: &str, resources: &Resources, ports: &[u16]) {
        push_launch(&mut self.unwritten, task_id, resources, ports);
    }

    /// Notes that a state is about to be acknowledged to the executor.
    pub(super) fn acknowledged(&mut self, task_id: &str, state: ReportedState) {
        push_state(&mut self.unwritten, task_id, state);
    }

    /// Notes that a task no longer holds anything.
    pub(super) fn released(&mut self, task_id: &str) {
        push_line(&mut self.unwritten, format_args!("R {task_id}"));
    }

    /// Notes that a task is over and done with.
    pub(super) fn forgotten(&mut self, task_id: &str) {
        push_line(&mut self.unwritten, format_args!("E {task_id}"));
    }

    /// Writes what was noted. After a failure it is tried again with the next flush.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(self.unwritten.as_bytes()) {
            // Some of it may be there: what is written next must not go on in the same line.
            if !self.unwritten.starts_with('\n') {
                self.unwritten.insert(0, '\n');
            }
            return Err(error);
        }
        self.written = self.written.saturating_add(self.unwritten.len() as u64);
        self.unwritten.clear();
        Ok(())
    }

    /// Returns whether most of the file is about tasks that are gone.
    pub(super) fn wants_rewrite(&self) -> bool {
        self.written > MIN_REWRITE_BYTES.max(self.base.saturating_mul(4))
    }

    /// Rewrites the file with just these tasks.
    pub(super) fn rewrite<'a>(
        &mut self,
        tasks: impl Iterator<Item = &'a JournaledTask>,
    ) -> io::Result<()> {
        let text = snapshot(tasks);
        self.file = replace(&self.path, &text)?;
        self.written = text.len() as u64;
        self.base = self.written;
        self.unwritten.clear();
        Ok(())
    }
}

/// Reads the tasks of a journal, in the order of their launch. A line cut short counts as absent.
pub(super) fn read_journal(path: &Path) -> io::Result<Vec<JournaledTask>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&text);
    let mut tasks = TaskTable::default();
    for line in text.split_inclusive('\n') {
        // A scheduler that is killed while it writes leaves a line without an end.
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        if !line.is_empty() && tasks.apply(line).is_none() {
            tracing::warn!(path = %path.display(), line, "skipped a line that makes no sense");
        }
    }
    Ok(tasks.tasks.into_iter().flatten().collect())
}

#[derive(Default)]
struct TaskTable {
    tasks: Vec<Option<JournaledTask>>,
    index: std::collections::HashMap<String, usize>,
}

impl TaskTable {
    fn apply(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let task_id = words.next()?;
        if kind == "L" {
            let task = parse_launch(task_id, words)?;
            // There are two of the same only where the first could not be written whole.
            match self
                .index
                .get(task_id)
                .and_then(|index| self.tasks.get_mut(*index))
            {
                Some(slot) => *slot = Some(task),
                None => {
                    self.index.insert(task_id.to_owned(), self.tasks.len());
                    self.tasks.push(Some(task));
                }
            }
            return Some(());
        }
        let slot = self.tasks.get_mut(*self.index.get(task_id)?)?;
        match kind {
            "A" => slot.as_mut()?.acknowledged = Some(parse_state(words.next()?)?),
            "R" => {
                let task = slot.as_mut()?;
                task.resources = Resources::default();
                task.ports.clear();
            }
            "E" => *slot = None,
            _ => return None,
        }
        Some(())
    }
}

fn parse_launch<'a>(
    task_id: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Option<JournaledTask> {
    let mut amount = || words.next()?.parse::<u64>().ok();
    let resources = Resources {
        cpu_millis: amount()?,
        ram: amount()?,
        disk: amount()?,
        gpu: amount()?,
    };
    let ports = words
        .map(|port| port.parse().ok())
        .collect::<Option<Vec<u16>>>()?;
    Some(JournaledTask {
        task_id: task_id.to_owned(),
        resources,
        ports,
        acknowledged: None,
    })
}

fn snapshot<'a>(tasks: impl Iterator<Item = &'a JournaledTask>) -> String {
    let mut text = String::new();
    for task in tasks {
        push_launch(&mut text, &task.task_id, &task.resources, &task.ports);
        if let Some(state) = task.acknowledged {
            push_state(&mut text, &task.task_id, state);
        }
    }
    text
}

fn push_launch(text: &mut String, task_id: &str, resources: &Resources, ports: &[u16]) {
    let Resources {
        cpu_millis,
        ram,
        disk,
        gpu,
    } = resources;
    let mut words = format!("L {task_id} {cpu_millis} {ram} {disk} {gpu}");
    for port in ports {
        words.push(' ');
        words.push_str(&port.to_string());
    }
    push_line(text, format_args!("{words}"));
}

fn push_state(text: &mut String, task_id: &str, state: ReportedState) {
    push_line(text, format_args!("A {task_id} {}", state_word(state)));
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

const STATES: [(ReportedState, &str); 7] = [
    (ReportedState::Starting, "starting"),
    (ReportedState::Running, "running"),
    (ReportedState::Finished, "finished"),
    (ReportedState::Failed, "failed"),
    (ReportedState::Killed, "killed"),
    (ReportedState::Lost, "lost"),
    (ReportedState::Unreachable, "unreachable"),
];

fn state_word(state: ReportedState) -> &'static str {
    STATES
        .iter()
        .find(|(known, _)| *known == state)
        .map_or("lost", |(_, word)| word)
}

fn parse_state(word: &str) -> Option<ReportedState> {
    STATES
        .iter()
        .find(|(_, known)| *known == word)
        .map(|(state, _)| *state)
}

// Renamed into place, so that a kill in between leaves the old or the new file whole.
fn replace(path: &Path, text: &str) -> io::Result<File> {
    let new_path = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new_path)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(&new_path, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(cpu_millis: u64) -> Resources {
        Resources {
            cpu_millis,
            ram: 2,
            disk: 3,
            gpu: 4,
        }
    }

    #[test]
    fn what_was_flushed_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks");
        let mut journal = Journal::create(path.clone(), std::iter::empty()).unwrap();
        journal.launched("a", &resources(1), &[5, 6]);
        journal.launched("b", &resources(2), &[]);
        journal.launched("c", &resources(3), &[7]);
        journal.acknowledged("a", ReportedState::Starting);
        journal.acknowledged("a", ReportedState::Running);
        journal.forgotten("b");
        journal.released("c");
        journal.flush().unwrap();
        journal.launched("unflushed", &resources(1), &[]);
        let expected = [
            JournaledTask {
                task_id: "a".to_owned(),
                resources: resources(1),
                ports: vec![5, 6],
                acknowledged: Some(ReportedState::Running),
            },
            JournaledTask {
                task_id: "c".to_owned(),
                resources: Resources::default(),
                ports: Vec::new(),
                acknowledged: None,
            },
        ];
        assert_eq!(read_journal(&path).unwrap(), expected);

        journal.rewrite(expected.iter()).unwrap();
        assert_eq!(read_journal(&path).unwrap(), expected);
        journal.forgotten("a");
        journal.flush().unwrap();
        assert_eq!(read_journal(&path).unwrap(), expected[1..]);
    }

    #[test]
    fn a_line_cut_short_and_nonsense_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks");
        std::fs::write(
            &path,
            "L a 1 2\n\nL a 1 2 3 4\nL a 1 2 3 4 5\nX a\nE unknown\nL b 1 2 x 4\n\nE a",
        )
        .unwrap();
        let tasks = read_journal(&path).unwrap();
        assert_eq!(tasks.len(), 1);
        assert_eq!(
            (tasks[0].task_id.as_str(), tasks[0].ports.as_slice()),
            ("a", [5].as_slice())
        );
        assert!(read_journal(&dir.path().join("absent")).unwrap().is_empty());
    }
}
