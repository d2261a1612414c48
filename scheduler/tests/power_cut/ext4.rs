//! A real file system on a loop device, whose power can be cut: ext4 forgets everything that is
//! neither on the disk nor in its journal.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CUT: &str = "
import fcntl, os, struct, sys
# EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))
";

/// The disk; unmounted when dropped.
pub(crate) struct LoopDisk {
    image: PathBuf,
    mount_point: PathBuf,
    _root: tempfile::TempDir,
}

impl LoopDisk {
    /// Makes the disk, if this user may.
    pub(crate) fn make() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("image");
        let mount_point = root.path().join("mount");
        std::fs::create_dir(&mount_point).unwrap();
        std::fs::File::create(&image)
            .unwrap()
            .set_len(96 << 20)
            .unwrap();
        let disk = Self {
            image,
            mount_point,
            _root: root,
        };
        let is_possible = rustix::process::geteuid().is_root()
            && succeeds(Command::new("mkfs.ext4").arg("-qF").arg(&disk.image))
            && succeeds(Command::new("python3").arg("-c").arg("import fcntl"))
            && disk.try_mount();
        if !is_possible {
            println!("skipped: needs root, mkfs.ext4, python3 and a loop device");
            return None;
        }
        disk.unmount();
        Some(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.mount_point
    }

    fn try_mount(&self) -> bool {
        succeeds(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&self.image)
                .arg(&self.mount_point),
        )
    }

    pub(crate) fn mount(&self) {
        assert!(self.try_mount(), "the disk must come back");
    }

    pub(crate) fn unmount(&self) {
        assert!(succeeds(Command::new("umount").arg(&self.mount_point)));
    }

    pub(crate) fn cut_power(&self) {
        assert!(succeeds(
            Command::new("python3")
                .args(["-c", CUT])
                .arg(&self.mount_point)
        ));
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mount_point = self.mount_point.to_str().unwrap();
        let ours = mounts
            .lines()
            .find(|line| line.contains(mount_point))
            .unwrap();
        assert!(ours.contains("shutdown"), "{ours}");
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Only a failed test leaves it mounted.
        succeeds(Command::new("umount").arg("--lazy").arg(&self.mount_point));
    }
}

fn succeeds(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|done| done.success())
}
