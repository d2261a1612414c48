//! Says how a run ended, for plans and for people.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::plan::RunEnd;

/// Judges an exit: death by a signal is a failure like any other.
#[must_use]
pub(crate) fn judge(status: ExitStatus) -> RunEnd {
    if status.success() {
        RunEnd::Succeeded
    } else {
        RunEnd::Failed
    }
}

/// Describes an exit, for example "process `fetch` exited with 3".
#[must_use]
pub(crate) fn describe(process: &str, status: ExitStatus) -> String {
    if let Some(signal) = status.signal() {
        let core = if status.core_dumped() {
            " (core dumped)"
        } else {
            ""
        };
        return format!(
            "process `{process}` was killed by {}{core}",
            signal_name(signal)
        );
    }
    let code = status.code().unwrap_or_default();
    // A shell reports the death of its child so. 126 and 127 are the shell's own words.
    match code {
        126 => format!("process `{process}` exited with 126 (command not executable)"),
        127 => format!("process `{process}` exited with 127 (command not found)"),
        129..=159 => {
            format!(
                "process `{process}` exited with {code} ({})",
                signal_name(code - 128)
            )
        }
        _ => format!("process `{process}` exited with {code}"),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_described_for_people() {
        for (raw, expected) in [
            (3 << 8, "process `p` exited with 3"),
            (11, "process `p` was killed by SIGSEGV"),
            (6 | 0x80, "process `p` was killed by SIGABRT (core dumped)"),
            (137 << 8, "process `p` exited with 137 (SIGKILL)"),
            (127 << 8, "process `p` exited with 127 (command not found)"),
            (64, "process `p` was killed by signal 64"),
        ] {
            assert_eq!(describe("p", ExitStatus::from_raw(raw)), expected);
        }
        assert_eq!(judge(ExitStatus::from_raw(0)), RunEnd::Succeeded);
        assert_eq!(judge(ExitStatus::from_raw(9)), RunEnd::Failed);
    }
}
