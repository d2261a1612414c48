//! `CreateJob`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_proto::v1::{self, JobState};

use crate::call::{ApiError, ErrorCode, Reply};
use crate::calls::{check_context, require_key};
use crate::ids::{ConfigIdx, JobIdx, job_path};
use crate::instances::InstanceSet;
use crate::job::Job;
use crate::scheduler::Scheduler;
use crate::time::Timestamp;
use crate::validate::validate_job;

impl Scheduler {
    pub(crate) fn create_job(
        &mut self,
        now: Timestamp,
        request: &v1::CreateJobRequest,
    ) -> Result<Reply, ApiError> {
        let context = check_context(request.context.as_ref())?;
        let config = request.config.as_ref().ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidArgument,
                "the request has no job (`config`)",
            )
        })?;
        self.once(now, &context, config, |scheduler| {
            scheduler.create_once(now, &context, config)
        })
    }

    fn create_once(
        &mut self,
        now: Timestamp,
        context: &v1::RequestContext,
        config: &v1::JobConfiguration,
    ) -> Result<v1::CreateJobResponse, ApiError> {
        let task = validate_job(config, &self.settings, &self.environments)?;
        let key = require_key(config.key.as_ref())?;
        let path = job_path(key);
        let existing = self.state.job_idx(&path);
        if let Some(job) = existing {
            self.refuse_active(job)?;
        }

        let mut task = task.clone();
        if task.tier.is_empty() {
            task.tier.clone_from(&self.settings.default_tier);
        }
        task.production = task.tier == "preferred";
        let config_idx = self.state.intern_config(task);
        let mut proto = config.clone();
        proto.task = None;
        let instances = config.instances;
        let job = match existing {
            Some(job) => self.recreate(now, job, proto, config_idx),
            None => self.insert_new_job(now, key, path, proto, config_idx),
        };
        let version = self.note_call(
            now,
            job,
            "create",
            context,
            &format!(
                "{instances} instance{}",
                if instances == 1 { "" } else { "s" }
            ),
        );
        for instance in 0..instances {
            self.new_task(now, job, config_idx, instance);
        }
        let instances: InstanceSet = (0..instances).collect();
        Ok(v1::CreateJobResponse {
            version,
            instances: instances.to_proto(),
        })
    }

    fn refuse_active(&self, job: JobIdx) -> Result<(), ApiError> {
        let job = self.state.job(job);
        if job.active.is_empty() {
            return Ok(());
        }
        let instances: InstanceSet = job.active.keys().copied().collect();
        Err(ApiError::new(
            ErrorCode::AlreadyExists,
            format!(
                "job {} exists and has active instances ({instances}); \
                 end them with `job killall` first, or add instances with `job add`",
                job.path
            ),
        ))
    }

    fn insert_new_job(
        &mut self,
        now: Timestamp,
        key: &v1::JobKey,
        path: String,
        proto: v1::JobConfiguration,
        config: ConfigIdx,
    ) -> JobIdx {
        self.state.insert_job(Job {
            path: Arc::from(path),
            key: key.clone(),
            proto,
            config,
            version: 0,
            created: now,
            updated: now,
            state: JobState::JobActive,
            events: Vec::new(),
            active: BTreeMap::new(),
            ended: BTreeSet::new(),
            counts: [0; 16],
        })
    }

    /// The job is there from an earlier life; its history goes on.
    fn recreate(
        &mut self,
        now: Timestamp,
        idx: JobIdx,
        proto: v1::JobConfiguration,
        config: ConfigIdx,
    ) -> JobIdx {
        self.state.retain_config(config);
        let job = self.state.job_mut(idx);
        let before = std::mem::replace(&mut job.config, config);
        job.proto = proto;
        job.state = JobState::JobActive;
        job.updated = now;
        self.state.release_config(before);
        idx
    }
}
