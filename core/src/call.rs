//! The calls that change state, and their answers.

use aurora_proto::v1;

/// Ties a reply to the caller that waits for it; the engine's to choose.
pub type ReplyTo = u64;

/// A call, as it comes over the API.
#[derive(Clone, Debug)]
pub enum Call {
    /// Makes a job.
    CreateJob(Box<v1::CreateJobRequest>),
    /// Ends instances for good.
    KillTasks(v1::KillTasksRequest),
    /// Ends instances, to be replaced.
    RestartTasks(v1::RestartTasksRequest),
    /// Makes more instances of a job.
    AddInstances(v1::AddInstancesRequest),
    /// Changes job-level fields.
    EditJob(v1::EditJobRequest),
    /// Deletes records of ended tasks.
    PruneTasks(v1::PruneTasksRequest),
    /// Compares with the cluster.
    Reconcile(v1::ReconcileRequest),
}

/// The answer to a [`Call`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To `CreateJob`.
    CreateJob(v1::CreateJobResponse),
    /// To `KillTasks`.
    KillTasks(v1::KillTasksResponse),
    /// To `RestartTasks`.
    RestartTasks(v1::RestartTasksResponse),
    /// To `AddInstances`.
    AddInstances(v1::AddInstancesResponse),
    /// To `EditJob`.
    EditJob(v1::EditJobResponse),
    /// To `PruneTasks`.
    PruneTasks(v1::PruneTasksResponse),
    /// To `Reconcile`.
    Reconcile(v1::ReconcileResponse),
}

/// Why a call was refused; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The class of the refusal.
    pub code: ErrorCode,
    /// What is wrong and what to do, for the caller's eyes.
    pub message: String,
}

/// Classes of refusals, after gRPC's codes of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request can never be right.
    InvalidArgument,
    /// What it names does not exist.
    NotFound,
    /// What it makes is there already.
    AlreadyExists,
    /// It may be right later, in another state.
    FailedPrecondition,
    /// A limit is reached.
    ResourceExhausted,
    /// This build does not do it.
    Unimplemented,
    /// Not now; whether a mutation took effect is not known, so ask again with its request id.
    Unavailable,
    /// Something is wrong with the scheduler itself.
    Internal,
}

impl ApiError {
    /// Returns an error of the class.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
