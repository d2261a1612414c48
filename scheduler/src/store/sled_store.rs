//! The store on disk.

use std::fs;
use std::path::Path;

use aurora_core::store::{FORMAT, Table, Write};
use aurora_proto::storage::v1::Meta;
use prost::Message;

use super::ballast::{Ballast, BallastFile};
use super::data_dir::{DataDir, clean_generating, sync_dir};
use super::database::Database;
use super::error::Damage;
use super::frame::{self, Kind};
use super::listing::{Item, Listing};
use super::mark::Mark;
use super::stage::{self, Head, Stage};
use super::{LoadSummary, META_KEY, Store, StoreError, Visit};

/// How to open a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// The size of the ballast file; 0 for none.
    pub ballast_bytes: u64,
    /// The size of the page cache. Small, because all state lives in the scheduler's memory.
    pub cache_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            ballast_bytes: 64 << 20,
            cache_bytes: 64 << 20,
        }
    }
}

/// What was noteworthy about opening a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the disk had room.
    pub ballast: Ballast,
    /// Whether the store was made just now.
    pub is_new: bool,
}

/// A store on disk, in one data directory:
///
/// - `state/`: the database,
/// - `snapshots/`: our own snapshots of it,
/// - `lock`: keeps other schedulers out,
/// - `mark`: the number of the newest durable commit,
/// - `ballast`: space for the day when the disk is full.
#[derive(Debug)]
pub struct SledStore {
    database: Database,
    head: Head,
    mark: Mark,
    ballast: BallastFile,
    report: OpenReport,
    stopped: Option<String>,
    /// Dropped last, for it holds the lock.
    dir: DataDir,
}

impl SledStore {
    /// Opens the store of a data directory.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::Missing`] if there is none, and refuses one that is damaged, newer
    /// than this release, or in use.
    pub fn open(data_dir: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        Self::open_locked(DataDir::open(data_dir)?, options)
    }

    /// Makes an empty store in a fresh directory.
    ///
    /// # Errors
    ///
    /// Fails with [`StoreError::NotEmpty`] if anything is there but what an interrupted attempt
    /// leaves behind.
    pub fn create(data_dir: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        Self::create_with(DataDir::create(data_dir)?, options, |_| Ok(()))
    }

    /// Opens the store of a data directory, or makes one if the directory is fresh.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] and [`Self::create`].
    pub fn open_or_create(data_dir: &Path, options: OpenOptions) -> Result<Self, StoreError> {
        let dir = DataDir::create(data_dir)?;
        if dir.state().exists() {
            return Self::open_locked(dir, options);
        }
        Self::create_with(dir, options, |_| Ok(()))
    }

    /// Makes a store that nobody can open before `fill` is through with it.
    pub(super) fn create_with(
        dir: DataDir,
        options: OpenOptions,
        fill: impl FnOnce(&mut Filler<'_>) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        dir.check_fresh()?;
        dir.close_to_others()?;
        clean_generating(dir.path())?;
        dir.make_new_state()?;
        let new_state = dir.new_state();
        let database = Database::open(&new_state, dir.path(), options.cache_bytes)?;
        fill(&mut Filler {
            database: &database,
            data_dir: dir.path(),
            head: Head::default(),
        })?;
        database.sync_new(&new_state)?;
        drop(database);
        let state = dir.state();
        fs::rename(&new_state, &state).map_err(|e| StoreError::io("rename", &new_state, e))?;
        sync_dir(dir.path())?;
        let mut store = Self::open_locked(dir, options)?;
        store.report.is_new = true;
        Ok(store)
    }

    fn open_locked(dir: DataDir, options: OpenOptions) -> Result<Self, StoreError> {
        if !dir.state().is_dir() {
            return Err(StoreError::Missing {
                path: dir.path().to_owned(),
            });
        }
        let ballast = BallastFile::new(dir.ballast(), options.ballast_bytes);
        let (database, is_freed) = open_with_ballast(&dir, &ballast, options)?;
        let mark_path = dir.mark();
        let mark = Mark::open(&mark_path).map_err(|e| StoreError::io("open", &mark_path, e))?;
        let head = read_head(&database, dir.path())?;
        check_mark(head, &mark, dir.path())?;
        check_format(&database, dir.path())?;
        let mut store = Self {
            database,
            head,
            mark,
            ballast,
            report: OpenReport::default(),
            stopped: None,
            dir,
        };
        store.report.ballast = if is_freed {
            Ballast::Freed
        } else {
            store.keep_ballast()
        };
        Ok(store)
    }

    /// What was noteworthy about opening the store.
    pub fn report(&self) -> OpenReport {
        self.report
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The number of commits in the store's life.
    pub fn commits(&self) -> u64 {
        self.head.commits
    }

    /// Takes the ballast's space again if the disk has room for it; worth a try now and then.
    pub fn keep_ballast(&self) -> Ballast {
        self.ballast.keep().unwrap_or_else(|error| {
            tracing::warn!(path = %self.dir.path().display(), %error, "failed to keep ballast");
            Ballast::Absent
        })
    }

    fn try_commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let head = apply(&self.database, self.dir.path(), self.head, writes)?;
        self.head = head;
        self.mark
            .note(head.commits)
            .map_err(|e| StoreError::io("write", &self.dir.mark(), e))
    }
}

impl Store for SledStore {
    fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if let Some(cause) = &self.stopped {
            return Err(StoreError::Stopped {
                cause: cause.clone(),
            });
        }
        if writes.is_empty() {
            return Ok(());
        }
        let result = self.try_commit(writes);
        // Once a sync has failed, the kernel may have dropped the pages: a later sync that
        // succeeds proves nothing.
        self.stopped = result.as_ref().err().map(StoreError::chain);
        result
    }

    fn load(&self, visit: &mut Visit<'_>) -> Result<LoadSummary, StoreError> {
        let data_dir = self.dir.path();
        let read = |key: &[u8]| self.database.get(key);
        let damaged = |table, key: &[u8], what: &str| damage_of(data_dir, table, key, what);
        let mut summary = LoadSummary {
            commits: self.head.commits,
            ..LoadSummary::default()
        };
        let mut seen = Head {
            commits: self.head.commits,
            ..Head::default()
        };
        for table in Table::ALL {
            for pair in self.database.scan(&[table as u8]) {
                let (physical_key, bytes) = pair?;
                let key = physical_key.get(1..).unwrap_or_default();
                let frame = frame::decode(&physical_key, &bytes)
                    .map_err(|what| damaged(table, key, what))?;
                summary.records += 1;
                let visited = if frame.kind == Kind::Whole {
                    seen.add(frame.digest);
                    summary.bytes += (key.len() + frame.payload.len()) as u64;
                    visit(table, key, frame.payload)
                } else {
                    let add = |digest| seen.add(digest);
                    let value = stage::value_of(table, key, frame, &read, &damaged, add)?;
                    summary.bytes += (key.len() + value.len()) as u64;
                    visit(table, key, &value)
                };
                visited.map_err(|reason| damaged(table, key, &format!("no record: {reason}")))?;
            }
        }
        if seen != self.head {
            let what = format!(
                "records are missing or were put back: {} frames of {} are there",
                seen.frames, self.head.frames
            );
            return Err(StoreError::Damaged(Box::new(Damage::new(data_dir, what))));
        }
        Ok(summary)
    }

    fn listing(&self) -> Result<Listing, StoreError> {
        let mut items = Vec::new();
        for table in Table::ALL {
            for pair in self.database.scan(&[table as u8]) {
                let (physical_key, frame) = pair?;
                let chunks = self.chunks_of(&physical_key, &frame)?;
                items.push(Item::Framed {
                    table,
                    physical_key,
                    frame,
                    chunks,
                });
            }
        }
        Ok(Listing::from_items(items, self.dir.path().to_owned()))
    }
}

impl SledStore {
    /// Collects the chunks of a value; what is wrong with them is found out on decoding.
    fn chunks_of(&self, key: &[u8], bytes: &[u8]) -> Result<Vec<sled::IVec>, StoreError> {
        // Few values are chunked, and the checksum need not be computed twice.
        if !frame::may_be_chunked(bytes) {
            return Ok(Vec::new());
        }
        let mut chunks = Vec::new();
        for number in 0_u32.. {
            match self.database.get(&frame::chunk_key(key, number))? {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
        }
        Ok(chunks)
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        if self.stopped.is_none()
            && let Err(error) = self.mark.sync()
        {
            tracing::debug!(%error, "failed to sync the mark");
        }
    }
}

/// Writes into a store that has no name yet.
pub(super) struct Filler<'a> {
    database: &'a Database,
    data_dir: &'a Path,
    head: Head,
}

impl Filler<'_> {
    /// Adds records.
    pub(super) fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        self.head = apply(self.database, self.data_dir, self.head, writes)?;
        Ok(())
    }
}

/// Makes writes durable and returns the head that they leave behind.
fn apply(
    database: &Database,
    data_dir: &Path,
    head: Head,
    writes: &[Write],
) -> Result<Head, StoreError> {
    let read = |key: &[u8]| database.get(key);
    let damaged = |table, key: &[u8], what: &str| damage_of(data_dir, table, key, what);
    let (batch, head) = Stage::new(head, &read, &damaged).finish(writes)?;
    database.apply(batch)?;
    Ok(head)
}

/// Opens the database, giving up the ballast if the disk is too full for that.
fn open_with_ballast(
    dir: &DataDir,
    ballast: &BallastFile,
    options: OpenOptions,
) -> Result<(Database, bool), StoreError> {
    let path = dir.ballast();
    let free = || {
        ballast
            .free()
            .map_err(|e| StoreError::io("delete", &path, e))
    };
    let mut is_freed = false;
    // Better before sled tries: it may have to be killed to let go of its file.
    if ballast
        .is_needed()
        .map_err(|e| StoreError::io("look at the disk of", &path, e))?
    {
        is_freed = free()?;
    }
    let open = || Database::open(&dir.state(), dir.path(), options.cache_bytes);
    match open() {
        Err(error) if error.is_disk_full() && free()? => Ok((open()?, true)),
        result => Ok((result?, is_freed)),
    }
}

fn read_head(database: &Database, data_dir: &Path) -> Result<Head, StoreError> {
    let damaged = |what: &str| {
        Err(StoreError::Damaged(Box::new(Damage::new(
            data_dir,
            format!("the head record: {what}"),
        ))))
    };
    let Some(bytes) = database.get(frame::HEAD_KEY)? else {
        if database.is_empty()? {
            return Ok(Head::default());
        }
        return damaged("it is missing");
    };
    match frame::decode(frame::HEAD_KEY, &bytes) {
        Ok(frame) => Head::from_payload(frame.payload).map_or_else(|| damaged("wrong size"), Ok),
        Err(what) => damaged(what),
    }
}

fn check_mark(head: Head, mark: &Mark, data_dir: &Path) -> Result<(), StoreError> {
    match mark.found {
        Some(commits) if commits > head.commits => {
            let what = format!(
                "it holds {} commits, but {commits} were acknowledged",
                head.commits
            );
            Err(StoreError::Damaged(Box::new(Damage::new(data_dir, what))))
        }
        _ => Ok(()),
    }
}

fn check_format(database: &Database, data_dir: &Path) -> Result<(), StoreError> {
    let damaged = |what: &str| damage_of(data_dir, Table::Meta, META_KEY, what);
    let physical_key = frame::record_key(Table::Meta, META_KEY);
    let Some(bytes) = database.get(&physical_key)? else {
        return Ok(());
    };
    let frame = frame::decode(&physical_key, &bytes).map_err(damaged)?;
    let read = |key: &[u8]| database.get(key);
    let damage = |table, key: &[u8], what: &str| damage_of(data_dir, table, key, what);
    let value = stage::value_of(Table::Meta, META_KEY, frame, &read, &damage, |_| {})?;
    let meta =
        Meta::decode(value.as_slice()).map_err(|error| damaged(&format!("no record: {error}")))?;
    if meta.format > FORMAT {
        return Err(StoreError::NewerFormat {
            path: data_dir.to_owned(),
            found: meta.format,
            supported: FORMAT,
        });
    }
    Ok(())
}

fn damage_of(data_dir: &Path, table: Table, key: &[u8], what: &str) -> StoreError {
    StoreError::Damaged(Box::new(Damage::of_record(data_dir, table, key, what)))
}
