//! What a job may declare and this build does not run yet. Each is refused by name, never
//! silently left out.

use std::fmt;

use aurora_proto::v1;

/// One thing that a job needs and this build does not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The field, as in the job file.
    pub field: String,
    /// What is missing.
    pub why: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not supported by this release: {}",
            self.field, self.why
        )
    }
}

/// Returns everything that the job needs and this build does not do.
pub fn unsupported_features(job: &v1::JobConfiguration) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut note = |present: bool, field: &str, why: &str| {
        if present {
            found.push(Unsupported {
                field: field.to_owned(),
                why: why.to_owned(),
            });
        }
    };
    note(
        job.cron.is_some(),
        "cron_schedule",
        "cron jobs can be checked but not run yet",
    );
    note(
        job.sla_policy.is_some(),
        "sla_policy",
        "nothing drains hosts or updates jobs under an SLA yet",
    );
    note(
        job.enable_hooks,
        "enable_hooks",
        "there are no client hooks",
    );
    if let Some(task) = &job.task {
        for (present, field, why) in task_features(task) {
            note(present, field, why);
        }
        for process in &task.processes {
            if process.logger.as_ref().is_some_and(needs_more_than_files) {
                let field = format!("processes.{}.logger", process.name);
                note(true, &field, "output goes to plain files without rotation");
            }
        }
    }
    found
}

fn task_features(task: &v1::TaskConfig) -> [(bool, &'static str, &'static str); 6] {
    let foreign_executor = task.executor_config.as_ref().is_some_and(|executor| {
        !matches!(executor.name.as_str(), "" | "AuroraExecutor") || !executor.data.is_empty()
    });
    [
        (
            task.container.is_some(),
            "container",
            "tasks run as plain processes",
        ),
        (
            foreign_executor,
            "executor_config",
            "there is no executor but aurora-rs's own",
        ),
        (
            task.announce.is_some(),
            "announce",
            "nothing is announced to ZooKeeper yet",
        ),
        (
            task.health_check.is_some(),
            "health_check_config",
            "health is not checked yet",
        ),
        (
            task.lifecycle
                .as_ref()
                .is_some_and(|lifecycle| lifecycle.http.is_some()),
            "lifecycle",
            "tasks are ended by signals only, not over HTTP",
        ),
        (
            task.tier == "revocable",
            "tier",
            "no cluster offers revocable resources yet",
        ),
    ]
}

fn needs_more_than_files(logger: &v1::Logger) -> bool {
    use v1::{LoggerDestination as Destination, LoggerMode as Mode};
    !matches!(
        logger.destination(),
        Destination::Unspecified | Destination::File
    ) || !matches!(logger.mode(), Mode::Unspecified | Mode::Standard)
}
