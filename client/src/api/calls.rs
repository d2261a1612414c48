//! The calls, one method each; lists come whole, page after page.

use aurora_proto::v1;

use crate::{
    api::{Api, CallKind, TasksAndConfigs},
    error::CliResult,
    instances::InstanceSet,
    job_key::JobKey,
};

/// Fewer round trips than the scheduler's default.
const PAGE_SIZE: u32 = 5_000;

/// Defines a method that sends one request and returns the answer.
macro_rules! calls {
    ($($(#[doc = $doc:literal])+ $name:ident, $client:ident, $request:ident -> $response:ident,
        $what:literal, $kind:ident;)+) => {
        impl Api {
            $($(#[doc = $doc])+
            pub(crate) async fn $name(&self, request: v1::$request) -> CliResult<v1::$response> {
                calls!(@id id, request, $kind);
                self.call($what, calls!(@kind id, $kind), || {
                    let (mut client, request) = (self.$client(), request.clone());
                    async move { client.$name(request).await }
                })
                .await
            })+
        }
    };
    (@id $id:ident, $request:ident, Read) => {};
    (@id $id:ident, $request:ident, Mutation) => {
        let $id = $request.context.clone().unwrap_or_default().request_id;
    };
    (@kind $id:ident, Read) => { CallKind::Read };
    (@kind $id:ident, Mutation) => { CallKind::Mutation(&$id) };
}

calls! {
    /// Returns a job.
    get_job, reads, GetJobRequest -> GetJobResponse, "read the job", Read;
    /// Returns one page of jobs.
    list_jobs, reads, ListJobsRequest -> ListJobsResponse, "list jobs", Read;
    /// Returns one page of tasks.
    list_tasks, reads, ListTasksRequest -> ListTasksResponse, "list tasks", Read;
    /// Returns why instances wait.
    explain_pending, reads, ExplainPendingRequest -> ExplainPendingResponse,
        "explain the job", Read;
    /// Returns what happened to a job.
    get_job_history, reads, GetJobHistoryRequest -> GetJobHistoryResponse,
        "read the job's history", Read;
    /// Returns the machines.
    list_agents, reads, ListAgentsRequest -> ListAgentsResponse, "list the hosts", Read;
    /// Makes a job.
    create_job, scheduler, CreateJobRequest -> CreateJobResponse, "create the job", Mutation;
    /// Ends instances for good.
    kill_tasks, scheduler, KillTasksRequest -> KillTasksResponse, "kill instances", Mutation;
    /// Ends instances, to be replaced.
    restart_tasks, scheduler, RestartTasksRequest -> RestartTasksResponse,
        "restart instances", Mutation;
    /// Adds instances.
    add_instances, scheduler, AddInstancesRequest -> AddInstancesResponse,
        "add instances", Mutation;
    /// Writes a snapshot.
    snapshot, admin, SnapshotRequest -> SnapshotResponse, "write a snapshot", Read;
    /// Returns one page of tasks over all jobs.
    query_tasks, admin, ListTasksRequest -> ListTasksResponse, "query tasks", Read;
    /// Deletes records of ended tasks.
    prune_tasks, admin, PruneTasksRequest -> PruneTasksResponse, "prune tasks", Mutation;
    /// Compares the scheduler's tasks with the cluster's.
    reconcile, admin, ReconcileRequest -> ReconcileResponse, "reconcile tasks", Read;
}

impl Api {
    /// Returns what the scheduler says about itself.
    pub(crate) async fn server_info(&self) -> CliResult<v1::GetServerInfoResponse> {
        self.call("ask the scheduler who it is", CallKind::Read, || {
            let mut client = self.reads();
            async move { client.get_server_info(v1::GetServerInfoRequest {}).await }
        })
        .await
    }

    /// Returns all jobs that pass the filter.
    pub(crate) async fn all_jobs(&self, filter: v1::JobFilter) -> CliResult<Vec<v1::JobSummary>> {
        let mut request = v1::ListJobsRequest {
            filter: Some(filter),
            page_size: PAGE_SIZE,
            ..v1::ListJobsRequest::default()
        };
        let mut jobs = Vec::new();
        loop {
            let page = self.list_jobs(request.clone()).await?;
            jobs.extend(page.jobs);
            if page.next_page_token.is_empty() {
                return Ok(jobs);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Returns all tasks that the request asks for, with their configurations if it wants them.
    pub(crate) async fn all_tasks(
        &self,
        mut request: v1::ListTasksRequest,
    ) -> CliResult<TasksAndConfigs> {
        request.page_size = PAGE_SIZE;
        let (mut tasks, mut configs) = TasksAndConfigs::default();
        loop {
            let page = self.list_tasks(request.clone()).await?;
            tasks.extend(page.tasks);
            configs.extend(page.configs);
            if page.next_page_token.is_empty() {
                return Ok((tasks, configs));
            }
            request.page_token = page.next_page_token;
        }
    }

    /// Returns the tasks of one job, or of some of its instances, without configurations.
    pub(crate) async fn tasks_of(
        &self,
        job: &JobKey,
        instances: Option<&InstanceSet>,
    ) -> CliResult<Vec<v1::Task>> {
        let request = v1::ListTasksRequest {
            filter: Some(job.filter()),
            instances: instances.map(InstanceSet::to_proto).unwrap_or_default(),
            without_configs: true,
            ..v1::ListTasksRequest::default()
        };
        Ok(self.all_tasks(request).await?.0)
    }

    /// Returns the tasks with these ids, without configurations.
    pub(crate) async fn tasks_by_id(&self, task_ids: Vec<String>) -> CliResult<Vec<v1::Task>> {
        let request = v1::ListTasksRequest {
            task_ids,
            without_configs: true,
            ..v1::ListTasksRequest::default()
        };
        Ok(self.all_tasks(request).await?.0)
    }

    /// Opens the stream of a task's output.
    pub(crate) async fn task_log(
        &self,
        request: v1::ReadTaskLogRequest,
    ) -> Result<tonic::Streaming<v1::ReadTaskLogResponse>, tonic::Status> {
        Ok(self.reads().read_task_log(request).await?.into_inner())
    }

    /// Opens the stream of a backup.
    pub(crate) async fn backup(
        &self,
    ) -> Result<tonic::Streaming<v1::BackupResponse>, tonic::Status> {
        Ok(self
            .admin()
            .backup(v1::BackupRequest {})
            .await?
            .into_inner())
    }
}
