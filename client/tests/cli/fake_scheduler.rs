//! A scheduler that only keeps up appearances: jobs live by a script.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use aurora_proto::v1::{
    self, TaskState,
    read_service_server::{ReadService, ReadServiceServer},
    scheduler_service_server::{SchedulerService, SchedulerServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;

/// What the scheduler knows, and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) jobs: BTreeMap<String, v1::JobConfiguration>,
    /// Newest first.
    pub(crate) tasks: Vec<v1::Task>,
    /// The states that a new task goes through, one for each time it is asked for.
    pub(crate) life: Vec<TaskState>,
    /// Answers that changes get before they are carried out.
    pub(crate) failures: VecDeque<Status>,
    /// Killed tasks stay as they are.
    pub(crate) deaf: bool,
    pub(crate) request_ids: Vec<String>,
    pub(crate) contexts: Vec<v1::RequestContext>,
    pub(crate) log: Vec<v1::ReadTaskLogResponse>,
    made: u32,
}

/// A scheduler that listens on a free port for as long as it is kept.
pub(crate) struct FakeScheduler {
    state: Arc<Mutex<State>>,
    pub(crate) uri: String,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

impl FakeScheduler {
    pub(crate) fn start(life: &[TaskState]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let state = State {
            life: life.to_vec(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let service = Service(Arc::clone(&state));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        runtime.spawn(
            Server::builder()
                .add_service(ReadServiceServer::new(service.clone()))
                .add_service(SchedulerServiceServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self {
            state,
            uri: format!("http://{address}"),
            _runtime: runtime,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a job with so many running instances.
    pub(crate) fn with_job(self, name: &str, instances: u32) -> Self {
        let key = v1::JobKey {
            role: "www-data".to_owned(),
            environment: "prod".to_owned(),
            name: name.to_owned(),
        };
        let config = v1::JobConfiguration {
            key: Some(key.clone()),
            cluster: "local".to_owned(),
            instances,
            task: Some(v1::TaskConfig {
                service: true,
                ..v1::TaskConfig::default()
            }),
            ..v1::JobConfiguration::default()
        };
        let mut state = self.state();
        state.jobs.insert(name.to_owned(), config);
        for instance in 0..instances {
            state.make_task(&key, instance, TaskState::Running);
        }
        drop(state);
        self
    }
}

impl State {
    fn make_task(&mut self, key: &v1::JobKey, instance: u32, task_state: TaskState) -> String {
        self.made += 1;
        let task_id = format!("{}-{instance}-{}", key.name, self.made);
        let event = v1::TaskEvent {
            timestamp_ms: 1_700_000_000_000,
            state: task_state.into(),
            message: String::new(),
        };
        let task = v1::Task {
            task_id: task_id.clone(),
            job: Some(key.clone()),
            instance,
            state: task_state.into(),
            events: vec![event],
            host: "node-1".to_owned(),
            ..v1::Task::default()
        };
        self.tasks.insert(0, task);
        task_id
    }

    fn change(&mut self, context: Option<v1::RequestContext>) -> Result<(), Status> {
        let context = context.unwrap_or_default();
        self.request_ids.push(context.request_id.clone());
        self.contexts.push(context);
        self.failures.pop_front().map_or(Ok(()), Err)
    }

    fn job(&self, key: Option<v1::JobKey>) -> Result<v1::JobConfiguration, Status> {
        let name = key.unwrap_or_default().name;
        let missing = || Status::not_found(format!("no job {name}"));
        self.jobs.get(&name).cloned().ok_or_else(missing)
    }

    /// Tasks that live by the script take their next step.
    fn step(&mut self) {
        let life = self.life.clone();
        for task in &mut self.tasks {
            let at = life.iter().position(|&state| state == task.state());
            if let Some(&next) = at.and_then(|at| life.get(at + 1)) {
                set_state(task, next, "as scripted");
            }
        }
    }
}

fn set_state(task: &mut v1::Task, state: TaskState, message: &str) {
    task.state = state.into();
    task.events.push(v1::TaskEvent {
        timestamp_ms: 1_700_000_001_000,
        state: state.into(),
        message: message.to_owned(),
    });
}

fn contains(ranges: &[v1::InstanceRange], instance: u32) -> bool {
    ranges.is_empty()
        || ranges
            .iter()
            .any(|range| (range.first..=range.last).contains(&instance))
}

fn part_matches(pattern: &str, text: &str) -> bool {
    pattern.is_empty() || pattern == "*" || pattern == text
}

fn passes(filter: Option<&v1::JobFilter>, key: &v1::JobKey) -> bool {
    filter.is_none_or(|filter| {
        part_matches(&filter.role, &key.role)
            && part_matches(&filter.environment, &key.environment)
            && part_matches(&filter.name, &key.name)
    })
}

fn is_active(task: &v1::Task) -> bool {
    !matches!(
        task.state(),
        TaskState::Finished | TaskState::Failed | TaskState::Killed | TaskState::Lost
    )
}

#[tonic::async_trait]
impl ReadService for Service {
    async fn get_server_info(
        &self,
        _: Request<v1::GetServerInfoRequest>,
    ) -> Answer<v1::GetServerInfoResponse> {
        let cluster_name = "local".to_owned();
        Ok(Response::new(v1::GetServerInfoResponse {
            cluster_name,
            ..Default::default()
        }))
    }

    async fn list_jobs(
        &self,
        request: Request<v1::ListJobsRequest>,
    ) -> Answer<v1::ListJobsResponse> {
        let filter = request.into_inner().filter;
        let state = self.0.lock().unwrap();
        let keys = state.jobs.values().filter_map(|config| config.key.clone());
        let jobs = keys
            .filter(|key| passes(filter.as_ref(), key))
            .map(|key| v1::JobSummary {
                key: Some(key),
                ..Default::default()
            })
            .collect();
        Ok(Response::new(v1::ListJobsResponse {
            jobs,
            next_page_token: String::new(),
        }))
    }

    async fn get_job(&self, request: Request<v1::GetJobRequest>) -> Answer<v1::GetJobResponse> {
        let config = self.0.lock().unwrap().job(request.into_inner().key)?;
        let group = v1::InstanceGroup {
            instances: vec![v1::InstanceRange {
                first: 0,
                last: config.instances - 1,
            }],
            config: config.task.clone(),
            config_digest: String::new(),
        };
        Ok(Response::new(v1::GetJobResponse {
            summary: Some(v1::JobSummary {
                key: config.key.clone(),
                ..Default::default()
            }),
            config: Some(config),
            groups: vec![group],
        }))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Answer<v1::ListTasksResponse> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.step();
        let wanted = |task: &&v1::Task| {
            passes(
                request.filter.as_ref(),
                &task.job.clone().unwrap_or_default(),
            ) && contains(&request.instances, task.instance)
                && (request.task_ids.is_empty() || request.task_ids.contains(&task.task_id))
        };
        let tasks = state.tasks.iter().filter(wanted).cloned().collect();
        Ok(Response::new(v1::ListTasksResponse {
            tasks,
            ..Default::default()
        }))
    }

    async fn explain_pending(
        &self,
        _: Request<v1::ExplainPendingRequest>,
    ) -> Answer<v1::ExplainPendingResponse> {
        Ok(Response::new(v1::ExplainPendingResponse::default()))
    }

    async fn get_job_history(
        &self,
        _: Request<v1::GetJobHistoryRequest>,
    ) -> Answer<v1::GetJobHistoryResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_agents(
        &self,
        _: Request<v1::ListAgentsRequest>,
    ) -> Answer<v1::ListAgentsResponse> {
        Err(Status::permission_denied("not you"))
    }

    type ReadTaskLogStream = Stream<v1::ReadTaskLogResponse>;

    async fn read_task_log(
        &self,
        _: Request<v1::ReadTaskLogRequest>,
    ) -> Answer<Self::ReadTaskLogStream> {
        let log = self.0.lock().unwrap().log.clone();
        let stream = tokio_stream::iter(log.into_iter().map(Ok));
        Ok(Response::new(Box::pin(stream)))
    }
}

#[tonic::async_trait]
impl SchedulerService for Service {
    async fn create_job(
        &self,
        request: Request<v1::CreateJobRequest>,
    ) -> Answer<v1::CreateJobResponse> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.change(request.context)?;
        let config = request.config.unwrap_or_default();
        let key = config.key.clone().unwrap_or_default();
        if state.jobs.contains_key(&key.name) {
            return Err(Status::already_exists(format!(
                "{} has instances",
                key.name
            )));
        }
        let first = state.life.first().copied().unwrap_or(TaskState::Pending);
        for instance in 0..config.instances {
            state.make_task(&key, instance, first);
        }
        let instances = vec![v1::InstanceRange {
            first: 0,
            last: config.instances - 1,
        }];
        state.jobs.insert(key.name, config);
        Ok(Response::new(v1::CreateJobResponse {
            version: 1,
            instances,
        }))
    }

    async fn kill_tasks(
        &self,
        request: Request<v1::KillTasksRequest>,
    ) -> Answer<v1::KillTasksResponse> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.change(request.context)?;
        let deaf = state.deaf;
        let mut response = v1::KillTasksResponse::default();
        for task in &mut state.tasks {
            if is_active(task) && contains(&request.instances, task.instance) {
                let instance = task.instance;
                response.instances.push(v1::InstanceRange {
                    first: instance,
                    last: instance,
                });
                response.task_ids.push(task.task_id.clone());
                let next = if deaf {
                    TaskState::Killing
                } else {
                    TaskState::Killed
                };
                set_state(task, next, "killed by a user");
            }
        }
        Ok(Response::new(response))
    }

    async fn restart_tasks(
        &self,
        request: Request<v1::RestartTasksRequest>,
    ) -> Answer<v1::RestartTasksResponse> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.change(request.context)?;
        let key = request.key.unwrap_or_default();
        let first = state.life.first().copied().unwrap_or(TaskState::Pending);
        let mut old = Vec::new();
        for task in &mut state.tasks {
            if is_active(task) && contains(&request.instances, task.instance) {
                set_state(task, TaskState::Killed, "restarted");
                old.push((task.instance, task.task_id.clone()));
            }
        }
        for (instance, _) in &old {
            state.make_task(&key, *instance, first);
        }
        let task_ids = old.into_iter().map(|(_, task_id)| task_id).collect();
        Ok(Response::new(v1::RestartTasksResponse { task_ids }))
    }

    async fn add_instances(
        &self,
        request: Request<v1::AddInstancesRequest>,
    ) -> Answer<v1::AddInstancesResponse> {
        let request = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.change(request.context)?;
        let mut config = state.job(request.key)?;
        let key = config.key.clone().unwrap_or_default();
        let range = v1::InstanceRange {
            first: config.instances,
            last: config.instances + request.count - 1,
        };
        config.instances += request.count;
        for instance in range.first..=range.last {
            state.make_task(&key, instance, TaskState::Pending);
        }
        state.jobs.insert(key.name, config);
        Ok(Response::new(v1::AddInstancesResponse {
            instances: vec![range],
        }))
    }

    async fn edit_job(&self, _: Request<v1::EditJobRequest>) -> Answer<v1::EditJobResponse> {
        Err(Status::unimplemented("not here"))
    }
}
