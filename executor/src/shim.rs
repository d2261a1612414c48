//! Becomes another user with all his groups, then the user's program.
//!
//! The standard library sets a child's user and group but empties its other groups. Where a user
//! has some, the executor starts itself as `… exec-as`, which sets all three and executes.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::process::{Gid, Uid};
use thiserror::Error;

use crate::users::User;

/// The argument that asks for this.
pub const EXEC_AS: &str = "exec-as";

// What shells answer when a command cannot be executed.
const CANNOT_EXECUTE: u8 = 126;

/// How to start this program so that it acts as the shim.
#[derive(Debug, Clone)]
pub struct Shim {
    /// The program.
    pub program: PathBuf,
    /// What goes before [`EXEC_AS`].
    pub arguments: Vec<String>,
}

impl Shim {
    pub(crate) fn command(&self, user: &User, words: &[&str]) -> Command {
        let groups: Vec<String> = user.groups.iter().map(ToString::to_string).collect();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(EXEC_AS)
            .args([user.uid.to_string(), user.gid.to_string(), groups.join(",")])
            .args(words);
        command
    }
}

#[derive(Debug, Error)]
enum ShimError {
    #[error("expected UID GID GROUPS PROGRAM…")]
    Usage,
    #[error("failed to change the identity")]
    Identity(#[from] rustix::io::Errno),
    #[error("failed to execute the program")]
    Execute(#[source] std::io::Error),
}

/// Does what the arguments after [`EXEC_AS`] say. Returns only if that fails.
///
/// Must be called before there are threads: each has an identity of its own.
pub(crate) fn exec_as(arguments: &[String]) -> ExitCode {
    let Err(error) = try_exec_as(arguments);
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(%error, cause, "cannot run a process as its user");
    ExitCode::from(CANNOT_EXECUTE)
}

fn try_exec_as(arguments: &[String]) -> Result<std::convert::Infallible, ShimError> {
    let [uid, gid, groups, program, rest @ ..] = arguments else {
        return Err(ShimError::Usage);
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| ShimError::Usage);
    let (uid, gid) = (number(uid)?, number(gid)?);
    let groups = groups
        .split(',')
        .map(|group| number(group).map(Gid::from_raw))
        .collect::<Result<Vec<_>, _>>()?;
    rustix::thread::set_thread_groups(&groups)?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Err(ShimError::Execute(Command::new(program).args(rest).exec()))
}
