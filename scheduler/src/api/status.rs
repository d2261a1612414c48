//! Refusals as gRPC statuses.

use aurora_core::call::{ApiError, ErrorCode};
use tonic::{Code, Status};

use crate::engine::EngineError;

/// Returns the gRPC status of a refusal.
pub(super) fn status(error: &ApiError) -> Status {
    let code = match error.code {
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::FailedPrecondition => Code::FailedPrecondition,
        ErrorCode::ResourceExhausted => Code::ResourceExhausted,
        ErrorCode::Unimplemented => Code::Unimplemented,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::Internal => Code::Internal,
    };
    Status::new(code, &error.message)
}

/// Returns the gRPC status of an engine that gives no answer.
pub(super) fn engine_status(error: EngineError) -> Status {
    status(&error.into())
}
