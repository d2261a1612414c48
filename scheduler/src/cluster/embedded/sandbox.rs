//! Where tasks have their directories.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

// Of most file systems.
const MAX_NAME_BYTES: usize = 255;

/// Returns whether a task id can be the name of a directory and a word of a journal.
pub(super) fn is_safe_task_id(task_id: &str) -> bool {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&task_id.len())
        && !task_id.starts_with('.')
        && task_id.bytes().all(safe)
}

/// Returns the directory that holds an agent's sandboxes.
pub(super) fn sandboxes_dir(agent_dir: &Path) -> PathBuf {
    agent_dir.join("sandboxes")
}

/// Makes the sandbox of a task whose id is safe; fails if there is one already.
pub(super) fn create_sandbox(agent_dir: &Path, task_id: &str) -> io::Result<PathBuf> {
    let path = sandboxes_dir(agent_dir).join(task_id);
    DirBuilder::new().mode(0o700).create(&path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_could_leave_the_directory_are_refused() {
        for good in ["a", "www-data-prod-web-3-0f0e", "a.b_C"] {
            assert!(is_safe_task_id(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "a b",
            "a\n",
            "ä",
            &"x".repeat(256),
        ] {
            assert!(!is_safe_task_id(bad), "{bad}");
        }
    }
}
