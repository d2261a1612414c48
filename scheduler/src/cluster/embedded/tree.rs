//! Walks directories that belong to users who may wish us ill.
//!
//! Nothing is followed out of the tree: no link, no mount. However deep a tree is, only a bounded
//! number of descriptors is open.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, openat2, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

const MAX_DEPTH: u32 = 64;
const MAX_MEASURED_ENTRIES: u32 = 10_000;
// Each moves what is deeper than the limit to the top.
const MAX_PASSES: u32 = 10_000;

/// Deletes a directory with everything in it.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let root = match open_root(path) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        // Not a directory, or a link: deleted as what it is.
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(unlinkat(CWD, path, AtFlags::empty())?),
        Err(errno) => return Err(errno.into()),
    };
    let mut n_moved = 0;
    for _ in 0..MAX_PASSES {
        let moved_before = n_moved;
        empty_directory(root.as_fd(), root.as_fd(), 0, &mut n_moved)?;
        match unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) if n_moved > moved_before => {}
            other => return Ok(other?),
        }
    }
    Err(io::Error::other("the tree is too deep"))
}

fn empty_directory(
    root: BorrowedFd<'_>,
    dir: BorrowedFd<'_>,
    depth: u32,
    n_moved: &mut u64,
) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_dot(name) {
            continue;
        }
        if entry.file_type() != FileType::Directory {
            match unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                // Of a file system that does not say what its entries are.
                Err(Errno::ISDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        if depth == MAX_DEPTH {
            *n_moved += 1;
            let at_the_top = CString::new(format!(".aurora-deep-{n_moved}"))?;
            renameat_with(
                dir,
                name,
                root,
                at_the_top.as_c_str(),
                RenameFlags::NOREPLACE,
            )?;
            continue;
        }
        let below = open_to_empty(dir, name)?;
        empty_directory(root, below.as_fd(), depth + 1, n_moved)?;
        match unlinkat(dir, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Returns how many bytes a tree takes, links not followed; less if it is huge.
pub(super) fn tree_bytes(path: &Path) -> u64 {
    let mut entries_left = MAX_MEASURED_ENTRIES;
    match open_root(path) {
        Ok(root) => directory_bytes(root.as_fd(), 0, &mut entries_left),
        Err(_) => 0,
    }
}

fn directory_bytes(dir: BorrowedFd<'_>, depth: u32, entries_left: &mut u32) -> u64 {
    let Ok(entries) = Dir::read_from(dir) else {
        return 0;
    };
    let mut bytes = 0_u64;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if *entries_left == 0 {
            return bytes;
        }
        *entries_left -= 1;
        if name == c".." {
            continue;
        }
        if let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
            bytes = bytes.saturating_add(blocks.saturating_mul(512));
        }
        if name != c"."
            && entry.file_type() == FileType::Directory
            && depth < MAX_DEPTH
            && let Ok(below) = open_below(dir, name, OFlags::RDONLY)
        {
            bytes = bytes.saturating_add(directory_bytes(below.as_fd(), depth + 1, entries_left));
        }
    }
    bytes
}

fn is_dot(name: &CStr) -> bool {
    name == c"." || name == c".."
}

fn open_root(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
}

fn open_below(dir: BorrowedFd<'_>, name: &CStr, access: OFlags) -> rustix::io::Result<OwnedFd> {
    openat2(
        dir,
        name,
        access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )
}

// A task may have taken the right to read its own directories away.
fn open_to_empty(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    // Emptying needs all three rights, which only a try would show: set them first. The handle
    // pins the directory, so that nothing put in its place is changed.
    let handle = open_below(dir, name, OFlags::PATH)?;
    let stat = rustix::fs::fstat(&handle)?;
    if stat.st_mode & 0o700 != 0o700 {
        use std::os::fd::AsRawFd as _;
        let itself = format!("/proc/self/fd/{}", handle.as_raw_fd());
        rustix::fs::chmod(itself, Mode::RWXU)?;
    }
    Ok(open_below(dir, name, OFlags::RDONLY)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn links_are_deleted_and_what_they_point_at_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "kept").unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink(outside.join("file"), tree.join("file-link")).unwrap();
        fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "kept");

        symlink(&outside, &tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.is_symlink());
        assert!(outside.join("file").exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut here = open_root(&tree).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&here, "deeper", Mode::RWXU).unwrap();
            here = open_below(here.as_fd(), c"deeper", OFlags::RDONLY).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn bytes_of_links_targets_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let big = dir.path().join("big");
        fs::write(&big, vec![1; 1 << 20]).unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        symlink(&big, tree.join("link")).unwrap();
        assert!(tree_bytes(&tree) < 1 << 20);
        fs::write(tree.join("own"), vec![1; 1 << 20]).unwrap();
        assert!(tree_bytes(&tree) >= 1 << 20);
    }
}
