//! The exit codes of the command: one documented set for every verb.

use tonic::Code;

/// Why the command ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Everything asked for was done.
    Ok = 0,
    /// The arguments make no sense.
    Usage = 2,
    /// A job file, a settings file or the list of clusters is wrong, or the cluster is unknown.
    InvalidConfig = 3,
    /// The command was understood and failed.
    CommandFailed = 4,
    /// A parameter does not fit, or nothing was found.
    InvalidParameter = 6,
    /// The scheduler cannot be reached.
    Network = 7,
    /// Waiting took too long.
    Timeout = 9,
    /// The scheduler refused.
    Refused = 10,
    /// Something that has no code of its own.
    Unknown = 20,
    /// The scheduler does not know or does not trust the caller.
    Authentication = 30,
    /// Ctrl-C.
    Interrupted = 130,
}

impl ExitStatus {
    /// Returns the number that the process exits with.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Returns the exit code for an answer of the scheduler: the only place that decides it.
    pub(crate) fn of_grpc(code: Code) -> Self {
        match code {
            Code::Ok => Self::Ok,
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::Unimplemented => Self::Refused,
            Code::NotFound => Self::InvalidParameter,
            Code::Unavailable => Self::Network,
            Code::DeadlineExceeded => Self::Timeout,
            Code::Unauthenticated | Code::PermissionDenied => Self::Authentication,
            Code::Cancelled
            | Code::Unknown
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::DataLoss => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grpc_code_has_its_exit_code() {
        let expected = [
            (Code::Ok, 0),
            (Code::Cancelled, 20),
            (Code::Unknown, 20),
            (Code::InvalidArgument, 10),
            (Code::DeadlineExceeded, 9),
            (Code::NotFound, 6),
            (Code::AlreadyExists, 10),
            (Code::PermissionDenied, 30),
            (Code::ResourceExhausted, 10),
            (Code::FailedPrecondition, 10),
            (Code::Aborted, 20),
            (Code::OutOfRange, 20),
            (Code::Unimplemented, 10),
            (Code::Internal, 20),
            (Code::Unavailable, 7),
            (Code::DataLoss, 20),
            (Code::Unauthenticated, 30),
        ];
        for (code, exit) in expected {
            assert_eq!(ExitStatus::of_grpc(code).number(), exit, "{code:?}");
        }
    }
}
