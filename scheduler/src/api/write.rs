//! The calls that change jobs.

use aurora_core::call::{Call, Reply};
use aurora_proto::v1;
use aurora_proto::v1::scheduler_service_server::SchedulerService;
use tonic::{Request, Response, Status};

use crate::api::Api;
use crate::api::status::{engine_status, status};
use crate::random;

impl Api {
    pub(super) async fn call(&self, call: Call) -> Result<Reply, Status> {
        self.0
            .engine
            .call(call)
            .await
            .map_err(engine_status)?
            .map_err(|error| status(&error))
    }
}

/// Sees to it that a mutation has a request id, so that it is found in the history.
fn with_request_id(context: &mut Option<v1::RequestContext>) {
    let context = context.get_or_insert_default();
    if context.request_id.is_empty() {
        context.request_id = random::request_id();
    }
}

macro_rules! answer {
    ($reply:expr, $variant:ident) => {
        match $reply {
            Reply::$variant(response) => Ok(Response::new(response)),
            other => Err(Status::internal(format!(
                "the engine mixed up its answers: {other:?}"
            ))),
        }
    };
}
pub(super) use answer;

#[tonic::async_trait]
impl SchedulerService for Api {
    async fn create_job(
        &self,
        request: Request<v1::CreateJobRequest>,
    ) -> Result<Response<v1::CreateJobResponse>, Status> {
        let mut request = request.into_inner();
        with_request_id(&mut request.context);
        answer!(
            self.call(Call::CreateJob(Box::new(request))).await?,
            CreateJob
        )
    }

    async fn kill_tasks(
        &self,
        request: Request<v1::KillTasksRequest>,
    ) -> Result<Response<v1::KillTasksResponse>, Status> {
        let mut request = request.into_inner();
        with_request_id(&mut request.context);
        answer!(self.call(Call::KillTasks(request)).await?, KillTasks)
    }

    async fn restart_tasks(
        &self,
        request: Request<v1::RestartTasksRequest>,
    ) -> Result<Response<v1::RestartTasksResponse>, Status> {
        let mut request = request.into_inner();
        with_request_id(&mut request.context);
        answer!(self.call(Call::RestartTasks(request)).await?, RestartTasks)
    }

    async fn add_instances(
        &self,
        request: Request<v1::AddInstancesRequest>,
    ) -> Result<Response<v1::AddInstancesResponse>, Status> {
        let mut request = request.into_inner();
        with_request_id(&mut request.context);
        answer!(self.call(Call::AddInstances(request)).await?, AddInstances)
    }

    async fn edit_job(
        &self,
        request: Request<v1::EditJobRequest>,
    ) -> Result<Response<v1::EditJobResponse>, Status> {
        let mut request = request.into_inner();
        with_request_id(&mut request.context);
        answer!(self.call(Call::EditJob(request)).await?, EditJob)
    }
}
