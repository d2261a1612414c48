//! The calls that only read.

mod agents;
mod explain;
mod jobs;
mod pattern;
mod tasks;

pub(crate) use pattern::JobPattern;

use crate::call::{ApiError, ErrorCode};

/// Rows of one page where the caller does not say.
const DEFAULT_PAGE: usize = 1_000;
/// Rows of one page at most.
const MAX_PAGE: usize = 10_000;

fn page_size(asked: u32) -> usize {
    match asked as usize {
        0 => DEFAULT_PAGE,
        n => n.min(MAX_PAGE),
    }
}

fn bad_token() -> ApiError {
    ApiError::new(
        ErrorCode::InvalidArgument,
        "`page_token` is not one that this scheduler gave out",
    )
}
