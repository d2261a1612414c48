//! Starts the program over where its parent left it something that no child may see.
//!
//! Two things cannot be undone in place without unsafe code: the environment that /proc shows to
//! every process of the same user, with the agent's token in it, and descriptors that would pass
//! on to every child. A shell closes the latter; the token goes through standard input.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use aurora_mesos::executor_env::{Secret, TOKEN_VARIABLE};

// Says that this is the second start, and that there may be a token.
const MARKER: &str = "AURORA_EXECUTOR_FRESH";
const O_CLOEXEC: u32 = 0o2_000_000;
const CLOSE_AND_EXECUTE: &str = "for fd in $0; do eval \"exec $fd>&-\"; done; exec \"$@\"";

/// Starts the program over if need be; returns the token if there is one.
///
/// # Errors
///
/// Fails if the program cannot be started over.
pub(crate) fn fresh_start(arguments: &[String]) -> io::Result<Option<Secret>> {
    if std::env::var_os(MARKER).is_some() {
        let mut token = String::new();
        io::stdin().read_to_string(&mut token)?;
        return Ok((!token.is_empty()).then(|| Secret::new(token)));
    }
    let token = std::env::var(TOKEN_VARIABLE).ok();
    let descriptors = inherited_descriptors()?;
    if token.is_none() && descriptors.is_empty() {
        return Ok(None);
    }
    let program = std::env::current_exe()?;
    let mut command = Command::new("/bin/bash");
    command
        .args(["-c", CLOSE_AND_EXECUTE, &descriptors.join(" ")])
        .arg(program)
        .args(arguments)
        .env_remove(TOKEN_VARIABLE)
        .env(MARKER, "1");
    let (reader, mut writer) = io::pipe()?;
    // Far smaller than a pipe holds.
    writer.write_all(token.unwrap_or_default().as_bytes())?;
    drop(writer);
    Err(command.stdin(Stdio::from(reader)).exec())
}

// The descriptors beyond the standard ones that would stay open in children.
fn inherited_descriptors() -> io::Result<Vec<String>> {
    let mut inherited = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_standard = name.parse::<u32>().is_ok_and(|number| number <= 2);
        // One may be gone already: that of this listing.
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        if !is_standard && stays_open(&info) {
            inherited.push(name);
        }
    }
    Ok(inherited)
}

fn stays_open(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & O_CLOEXEC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_that_close_by_themselves_do_not_count() {
        assert!(stays_open("pos:\t0\nflags:\t0100002\nmnt_id:\t15\n"));
        assert!(!stays_open("pos:\t0\nflags:\t02100000\nmnt_id:\t15\n"));
        assert!(!stays_open(""));
    }
}
