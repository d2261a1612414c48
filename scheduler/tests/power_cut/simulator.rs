//! Records a writer's life and replays it onto disks that lose their power at some point of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::disk::{Disk, Loss};
use super::journal::{self, Event};
use super::workload::{Model, Random};
use super::writer::Writer;

/// The compiled recorder.
pub(crate) struct Shim {
    library: PathBuf,
    root: tempfile::TempDir,
}

/// What is wrong with the store, for the sake of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// It does not call `fdatasync`.
    NoFdatasync,
}

/// How a run went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cuts: u64,
    /// Cuts after the first acknowledged commit.
    pub(crate) with_acks: u64,
    /// Cuts of a store that had been cut before.
    pub(crate) second_cuts: u64,
    pub(crate) failures: Vec<String>,
}

impl Shim {
    /// Compiles the recorder, if there is a C compiler.
    pub(crate) fn build() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let library = root.path().join("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/shim.c");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl");
        match compiler.status() {
            Ok(done) => assert!(done.success(), "the shim must compile"),
            Err(error) => {
                println!("skipped: no C compiler ({error})");
                return None;
            }
        }
        Some(Self { library, root })
    }

    fn command(&self, dir: &Path, seed: u64, commits: u64) -> (Command, PathBuf) {
        let log = self.root.path().join(format!("log-{:x}", self.unique()));
        let mut command = Writer::command(dir, seed, commits);
        command
            .env("LD_PRELOAD", &self.library)
            .env("AURORA_SHIM_DIR", dir.parent().unwrap())
            .env("AURORA_SHIM_LOG", &log);
        (command, log)
    }

    fn unique(&self) -> usize {
        fs::read_dir(self.root.path()).unwrap().count()
    }

    /// Lets a writer work on `dir` and returns what it did.
    fn record(&self, dir: &Path, seed: u64, commits: u64, bug: Bug) -> Vec<Event> {
        let (mut command, log) = self.command(dir, seed, commits);
        if bug == Bug::NoFdatasync {
            command.env("AURORA_SHIM_DEAF", "fdatasync");
        }
        let mut writer = Writer::spawn(command);
        writer.finish();
        assert_eq!(writer.failure, None);
        journal::parse(&fs::read(log).unwrap(), dir.parent().unwrap())
    }
}

/// Cuts the power `rounds` times, a quarter of them in the life after another cut.
pub(crate) fn run(shim: &Shim, seed: u64, rounds: u64, bug: Bug) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally::default();
    let root = tempfile::tempdir().unwrap();
    // More than one life, for chance moves the segments about.
    for life in 0..rounds.div_ceil(200) {
        let seed = seed.wrapping_add(life);
        let home = root.path().join(format!("life-{life}"));
        fs::create_dir(&home).unwrap();
        let events = shim.record(&home.join("data"), seed, 200, bug);
        let history = History {
            seed,
            start: Disk::default(),
            acked: 0,
            events,
        };
        let cuts = tally.cuts + 200.min(rounds - tally.cuts);
        while tally.cuts < cuts {
            let Some(point) = history.cut(&mut random, &mut tally) else {
                continue;
            };
            if tally.cuts.is_multiple_of(12) {
                second_life(shim, &point, &mut random, &mut tally);
            }
        }
    }
    tally
}

/// Cuts the power in a life that begins with the recovery from a cut.
fn second_life(shim: &Shim, point: &Point, random: &mut Random, tally: &mut Tally) {
    let root = tempfile::tempdir().unwrap();
    point.lay_out(root.path());
    let start = Disk::from_dir(root.path());
    let events = shim.record(&root.path().join("data"), point.seed, 15, Bug::None);
    let history = History {
        seed: point.seed,
        start,
        acked: point.found,
        events,
    };
    for _ in 0..3 {
        history.cut(random, tally);
        tally.second_cuts += 1;
    }
}

/// One power cut, repeatable.
struct Point {
    seed: u64,
    disk: Disk,
    loss: Loss,
    /// Decides what survives.
    chance: u64,
    /// The commits that were acknowledged before.
    acked: u64,
    /// The commits that were there afterwards.
    found: u64,
}

impl Point {
    fn lay_out(&self, into: &Path) {
        self.disk
            .cut(self.loss, &mut Random::new(self.chance), into);
    }

    /// Opens what the power cut left, and goes on with it.
    fn check(&mut self) -> Result<(), String> {
        let root = tempfile::tempdir().unwrap();
        self.lay_out(root.path());
        let mut model = Model::new(self.seed);
        let dir = root.path().join("data");
        self.found = model.check(&dir, self.acked)?;
        model.go_on(&dir)
    }
}

/// What was done to a disk.
struct History {
    seed: u64,
    start: Disk,
    /// The commits that the start holds.
    acked: u64,
    events: Vec<Event>,
}

impl History {
    /// Cuts the power at a random event; returns the point if the store came out whole.
    fn cut(&self, random: &mut Random, tally: &mut Tally) -> Option<Point> {
        let end = random.below(self.events.len() + 1);
        let mut disk = self.start.clone();
        let mut acked = self.acked;
        for event in &self.events[..end] {
            disk.feed(event);
            if let Event::Output { text } = event {
                let number = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("ack "))
                    .next_back();
                acked = number.map_or(acked, |number| number.parse().unwrap());
            }
        }
        let (loss, chance) = (Loss::random(random), random.next());
        let mut point = Point {
            seed: self.seed,
            disk,
            loss,
            chance,
            acked,
            found: 0,
        };
        tally.cuts += 1;
        tally.with_acks += u64::from(acked > 0);
        if let Err(error) = point.check() {
            let all = self.events.len();
            let seed = self.seed;
            tally.failures.push(format!(
                "seed {seed}, event {end} of {all}, {loss:?}: {error}"
            ));
            return None;
        }
        Some(point)
    }
}

/// Lets one system call of a writer fail, and checks that nothing is lost; returns what the writer
/// said when it stopped, if it did.
pub(crate) fn fail(shim: &Shim, seed: u64, what: &str) -> Option<String> {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let (mut command, _) = shim.command(&dir, seed, 300);
    command.env("AURORA_SHIM_FAIL", what);
    let mut writer = Writer::spawn(command);
    writer.finish();
    let failure = writer.failure.take();
    let found = Model::new(seed).check(&dir, writer.acked);
    found.unwrap_or_else(|error| panic!("{what}: {failure:?}: {error}"));
    failure
}
