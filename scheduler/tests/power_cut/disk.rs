//! A disk that keeps only what was synced, and of the rest whatever chance leaves.
//!
//! Names change in order, as on any journaling file system, but are durable only once their
//! directory was synced. Contents that were not synced survive in any combination of blocks.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::journal::Event;
use super::workload::Random;

/// What becomes of the writes that were not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    /// All are lost.
    All,
    /// All survive.
    None,
    /// Those of each file survive up to one, which is torn.
    Tail,
    /// Each block of so many bytes survives or not.
    Blocks(usize),
}

impl Loss {
    pub(crate) fn random(random: &mut Random) -> Self {
        [
            Self::All,
            Self::None,
            Self::Tail,
            Self::Blocks(4096),
            Self::Blocks(512),
        ][random.below(5)]
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum NameChange {
    /// A file, or a directory for want of an inode.
    Add(PathBuf, Option<usize>),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

type Names = BTreeMap<PathBuf, Option<usize>>;

/// The state of a disk, fed with events until the power goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    /// As the process sees them.
    names: Names,
    durable_names: Names,
    /// From `durable_names` to `names`.
    pending_names: Vec<NameChange>,
}

impl Disk {
    /// Returns a disk that holds a directory's content, all of it durable.
    pub(crate) fn from_dir(root: &Path) -> Self {
        let mut disk = Self::default();
        let mut todo = vec![root.to_owned()];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_owned();
                if path.is_dir() {
                    disk.durable_names.insert(name, None);
                    todo.push(path);
                } else {
                    let durable = fs::read(&path).unwrap();
                    disk.durable_names.insert(name, Some(disk.inodes.len()));
                    disk.inodes.push(Inode {
                        durable,
                        pending: Vec::new(),
                    });
                }
            }
        }
        disk.names = disk.durable_names.clone();
        disk
    }

    pub(crate) fn feed(&mut self, event: &Event) {
        match event {
            Event::Write { path, at, bytes } => {
                self.inode(path)
                    .pending
                    .push(Change::Write(*at, bytes.clone()));
            }
            Event::Truncate { path, length } => {
                self.inode(path).pending.push(Change::Length(*length));
            }
            Event::Create { path } => {
                self.rename_or_so(NameChange::Add(path.clone(), Some(self.inodes.len())));
                self.inodes.push(Inode::default());
            }
            Event::Mkdir { path } => self.rename_or_so(NameChange::Add(path.clone(), None)),
            Event::Remove { path } => self.rename_or_so(NameChange::Remove(path.clone())),
            Event::Rename { from, to } => {
                self.rename_or_so(NameChange::Rename(from.clone(), to.clone()));
            }
            Event::Sync { path } => self.sync(path),
            Event::Output { .. } => {}
        }
    }

    fn inode(&mut self, path: &Path) -> &mut Inode {
        let index = self.names[path].unwrap();
        &mut self.inodes[index]
    }

    fn rename_or_so(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.pending_names.push(change);
    }

    fn sync(&mut self, path: &Path) {
        if let Some(Some(index)) = self.names.get(path) {
            let inode = &mut self.inodes[*index];
            for change in inode.pending.drain(..) {
                inode.durable.change(&change);
            }
            return;
        }
        let is_in_dir = |change: &NameChange| match change {
            NameChange::Add(name, _) | NameChange::Remove(name) => name.parent() == Some(path),
            NameChange::Rename(from, to) => {
                from.parent() == Some(path) || to.parent() == Some(path)
            }
        };
        let Some(last) = self.pending_names.iter().rposition(is_in_dir) else {
            return;
        };
        for change in self.pending_names.drain(..=last) {
            apply(&mut self.durable_names, &change);
        }
    }

    /// Cuts the power, and writes what is left into an empty directory.
    pub(crate) fn cut(&self, loss: Loss, random: &mut Random, into: &Path) {
        let mut names = self.durable_names.clone();
        let survivors = match loss {
            Loss::All => 0,
            Loss::None => self.pending_names.len(),
            Loss::Tail | Loss::Blocks(_) => random.below(self.pending_names.len() + 1),
        };
        for change in &self.pending_names[..survivors] {
            apply(&mut names, change);
        }
        for (name, inode) in names {
            let path = into.join(name);
            match inode {
                // Parents come first in the order of paths.
                None => fs::create_dir(path).unwrap(),
                Some(index) => fs::write(path, self.inodes[index].cut(loss, random)).unwrap(),
            }
        }
    }
}

fn apply(names: &mut Names, change: &NameChange) {
    match change {
        NameChange::Add(path, inode) => {
            names.insert(path.clone(), *inode);
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
        NameChange::Rename(from, to) => {
            let moved: Vec<_> = names
                .keys()
                .filter(|name| name.starts_with(from))
                .cloned()
                .collect();
            for name in moved {
                let inode = names.remove(&name).unwrap();
                let rest = name.strip_prefix(from).unwrap();
                let is_self = rest.as_os_str().is_empty();
                names.insert(if is_self { to.clone() } else { to.join(rest) }, inode);
            }
        }
    }
}

impl Inode {
    fn cut(&self, loss: Loss, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        match loss {
            Loss::All => {}
            Loss::None => self.pending.iter().for_each(|change| bytes.change(change)),
            Loss::Tail => {
                let whole = random.below(self.pending.len() + 1);
                self.pending[..whole]
                    .iter()
                    .for_each(|change| bytes.change(change));
                if let Some(Change::Write(at, torn)) = self.pending.get(whole) {
                    let kept = random.below(torn.len() + 1) / 512 * 512;
                    bytes.change(&Change::Write(*at, torn[..kept].to_vec()));
                }
            }
            Loss::Blocks(size) => {
                let odds = [10, 50, 90][random.below(3)];
                for change in &self.pending {
                    for block in blocks(change, size) {
                        if random.below(100) < odds {
                            bytes.change(&block);
                        }
                    }
                }
            }
        }
        bytes
    }
}

/// Cuts a write where the disk's blocks end.
fn blocks(change: &Change, size: usize) -> Vec<Change> {
    let Change::Write(at, bytes) = change else {
        return vec![change.clone()];
    };
    let mut blocks = Vec::new();
    let mut done = 0;
    while done < bytes.len() {
        let length = (size - (at + done) % size).min(bytes.len() - done);
        blocks.push(Change::Write(
            at + done,
            bytes[done..done + length].to_vec(),
        ));
        done += length;
    }
    blocks
}

trait Content {
    fn change(&mut self, change: &Change);
}

impl Content for Vec<u8> {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Length(length) => self.resize(*length, 0),
            Change::Write(at, bytes) => {
                if bytes.is_empty() {
                    return;
                }
                let end = at + bytes.len();
                if self.len() < end {
                    self.resize(end, 0);
                }
                self[*at..end].copy_from_slice(bytes);
            }
        }
    }
}
