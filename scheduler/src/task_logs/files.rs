//! Opens log files in a directory whose owner may wish us ill.
//!
//! Every step goes from an open directory to what is right below it: no link, no mount and no
//! `..` is followed, and what is not an ordinary file of one name is not read. So nobody can make
//! a scheduler that runs as root read files of others.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use aurora_proto::v1::LogStream;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat,
};
use rustix::io::Errno;

const LOG_DIR: &str = ".logs";
// The task's user can make more, which are then his own to miss.
const MAX_ENTRIES: usize = 10_000;

/// A task's open sandbox.
#[derive(Debug)]
pub(super) struct SandboxLogs(OwnedFd);

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    inode: u64,
}

/// Returns the file name of a stream.
pub(super) const fn file_name(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Stderr => "stderr",
        LogStream::Stdout | LogStream::Unspecified => "stdout",
    }
}

impl SandboxLogs {
    /// Opens a sandbox.
    pub(super) fn open(sandbox: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(openat(CWD, sandbox, flags, Mode::empty())?))
    }

    /// Returns the names of the processes that have a log directory, in order.
    pub(super) fn processes(&self) -> io::Result<Vec<String>> {
        let logs = match self.directory(None) {
            Ok(logs) => logs,
            Err(errno) => return none_if_absent(errno),
        };
        let mut names = directory_names(logs.as_fd())?;
        names.sort();
        Ok(names)
    }

    /// Returns the runs of a process that have a log directory, in order.
    pub(super) fn runs(&self, process: &str) -> io::Result<Vec<u32>> {
        let of_process = match self.directory(Some(process)) {
            Ok(of_process) => of_process,
            Err(errno) => return none_if_absent(errno),
        };
        let names = directory_names(of_process.as_fd())?;
        let mut runs: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        runs.sort_unstable();
        Ok(runs)
    }

    /// Opens a log; `None` where there is none, or something that is no log.
    pub(super) fn log(
        &self,
        process: &str,
        run: u32,
        stream: LogStream,
    ) -> io::Result<Option<LogFile>> {
        let opened = self.run(process, run).and_then(|of_run| {
            // NONBLOCK: a pipe in its place would have us wait for a writer.
            below(
                of_run.as_fd(),
                file_name(stream),
                OFlags::RDONLY | OFlags::NONBLOCK,
            )
        });
        let fd = match opened {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::NOTDIR) => {
                return Ok(None);
            }
            Err(errno) => return Err(errno.into()),
        };
        let stat = fstat(&fd)?;
        // A second name may be that of a file which the task's user could not read.
        let is_log =
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink == 1;
        Ok(is_log.then(|| LogFile {
            file: File::from(fd),
            inode: stat.st_ino,
        }))
    }

    /// Returns whether another file is now at the place of `file`, as after a rotation.
    pub(super) fn was_replaced(
        &self,
        process: &str,
        run: u32,
        stream: LogStream,
        file: &LogFile,
    ) -> bool {
        let stat = self.run(process, run).and_then(|of_run| {
            statat(of_run.as_fd(), file_name(stream), AtFlags::SYMLINK_NOFOLLOW)
        });
        stat.is_ok_and(|stat| stat.st_ino != file.inode)
    }

    fn run(&self, process: &str, run: u32) -> rustix::io::Result<OwnedFd> {
        let of_process = self.directory(Some(process))?;
        below(
            of_process.as_fd(),
            &run.to_string(),
            OFlags::RDONLY | OFlags::DIRECTORY,
        )
    }

    fn directory(&self, process: Option<&str>) -> rustix::io::Result<OwnedFd> {
        let access = OFlags::RDONLY | OFlags::DIRECTORY;
        let logs = below(self.0.as_fd(), LOG_DIR, access)?;
        match process {
            Some(process) => below(logs.as_fd(), process, access),
            None => Ok(logs),
        }
    }
}

impl LogFile {
    /// Returns how long the file is now.
    pub(super) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads at `offset`; an empty answer means that there is nothing (yet).
    pub(super) fn read_at(&self, offset: u64, n_bytes: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n_bytes];
        let n_read = self.file.read_at(&mut bytes, offset)?;
        bytes.truncate(n_read);
        Ok(bytes)
    }
}

fn below(dir: BorrowedFd<'_>, name: &str, access: OFlags) -> rustix::io::Result<OwnedFd> {
    openat2(
        dir,
        name,
        access | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )
}

fn directory_names(dir: BorrowedFd<'_>) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)?.take(MAX_ENTRIES) {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap_or_default();
        let may_be_directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if may_be_directory && !matches!(name, "" | "." | "..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn none_if_absent<T>(errno: Errno) -> io::Result<Vec<T>> {
    match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV => Ok(Vec::new()),
        other => Err(other.into()),
    }
}
