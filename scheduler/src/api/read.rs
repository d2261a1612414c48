//! The calls that change nothing.

use std::pin::Pin;
use std::sync::Arc;

use aurora_core::call::ApiError;
use aurora_core::{Scheduler, task};
use aurora_proto::v1;
use aurora_proto::v1::read_service_server::ReadService;
use futures_util::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::api::Api;
use crate::api::status::{engine_status, status};
use crate::engine::Engine;
use crate::task_logs;

type LogStream = Pin<Box<dyn Stream<Item = Result<v1::ReadTaskLogResponse, Status>> + Send>>;

impl Api {
    /// Reads the state with a function of the core that may refuse.
    pub(super) async fn query<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Scheduler) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let result = self.0.engine.read(query).await.map_err(engine_status)?;
        result.map(Response::new).map_err(|error| status(&error))
    }
}

#[tonic::async_trait]
impl ReadService for Api {
    type ReadTaskLogStream = LogStream;

    async fn get_server_info(
        &self,
        _request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let started_at_ms = self.0.started.0;
        let now_ms = self.0.clock.now().0;
        let engine = self.0.cluster.name().to_owned();
        self.query(move |core| {
            Ok(v1::GetServerInfoResponse {
                cluster_name: core.cluster_name().to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                engine,
                started_at_ms,
                now_ms,
            })
        })
        .await
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Result<Response<v1::ListJobsResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.list_jobs(&request)).await
    }

    async fn get_job(
        &self,
        request: Request<v1::GetJobRequest>,
    ) -> Result<Response<v1::GetJobResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.get_job(&request)).await
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.list_tasks(&request)).await
    }

    async fn explain_pending(
        &self,
        request: Request<v1::ExplainPendingRequest>,
    ) -> Result<Response<v1::ExplainPendingResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.explain_pending(&request)).await
    }

    async fn get_job_history(
        &self,
        request: Request<v1::GetJobHistoryRequest>,
    ) -> Result<Response<v1::GetJobHistoryResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.get_job_history(&request)).await
    }

    async fn list_agents(
        &self,
        _request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        self.query(|core| Ok(core.list_agents())).await
    }

    async fn read_task_log(
        &self,
        request: Request<v1::ReadTaskLogRequest>,
    ) -> Result<Response<LogStream>, Status> {
        let request = request.into_inner();
        let task_id = request.task_id.clone();
        let known = self
            .0
            .engine
            .read(move |core| core.get_task(&task_id))
            .await
            .map_err(engine_status)?;
        if known.is_none() {
            return Err(Status::not_found(format!(
                "there is no task `{}`",
                request.task_id
            )));
        }
        let Some(sandbox) = self.0.cluster.sandbox(&request.task_id) else {
            return Err(Status::not_found(format!(
                "task `{}` has no sandbox: it has not been placed yet, or its sandbox has been \
                 collected",
                request.task_id
            )));
        };
        let engine = self.0.engine.clone();
        let task_id: Arc<str> = request.task_id.as_str().into();
        let ended = move || has_ended(engine.clone(), Arc::clone(&task_id));
        let logs = task_logs::read(sandbox, request, ended).await?;
        let stopping = self.0.stopping.clone();
        let logs = logs
            .map(|piece| piece.map_err(Status::from))
            .take_until(async move { stopping.cancelled().await });
        Ok(Response::new(Box::pin(logs)))
    }
}

/// Whether nothing more will be written by the task.
async fn has_ended(engine: Engine, task_id: Arc<str>) -> bool {
    let state = engine
        .read(move |core| core.get_task(&task_id).map(|task| task.state()))
        .await;
    // A task that is no longer known has ended; an engine that is gone tells no more either.
    state.ok().flatten().is_none_or(task::is_terminal)
}
