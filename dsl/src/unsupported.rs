//! What a job needs that this build does not run yet.
//!
//! Looks at messages only, so that the scheduler's side can be asked the same question.

use aurora_proto::v1;

/// Something a job needs and would not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The field of the job file.
    pub field: String,
    /// What does not work, in words for the job's author.
    pub why: &'static str,
}

fn unsupported(field: impl Into<String>, why: &'static str) -> Unsupported {
    Unsupported {
        field: field.into(),
        why,
    }
}

/// Returns everything the job needs that this build does not run yet.
///
/// What a job has by default is not a need: health checks and lifecycles count when they were given.
pub fn unsupported_features(config: &v1::JobConfiguration) -> Vec<Unsupported> {
    let mut found = Vec::new();
    if config.cron.is_some() {
        found.push(unsupported(
            "cron_schedule",
            "cron jobs are kept but not started yet",
        ));
    }
    if config.sla_policy.is_some() {
        found.push(unsupported(
            "sla_policy",
            "maintenance does not heed SLA policies yet",
        ));
    }
    let Some(task) = &config.task else {
        return found;
    };
    of_task(task, &mut found);
    for process in &task.processes {
        let Some(logger) = &process.logger else {
            continue;
        };
        if let Some(why) = of_logger(logger) {
            found.push(unsupported(
                format!("processes.{}.logger", process.name),
                why,
            ));
        }
    }
    found
}

fn of_task(task: &v1::TaskConfig, found: &mut Vec<Unsupported>) {
    if task.tier == "revocable" {
        found.push(unsupported(
            "tier",
            "there are no revocable resources on the embedded cluster yet",
        ));
    }
    if let Some(check) = &task.health_check {
        found.push(unsupported(
            "health_check_config",
            match check.checker {
                Some(v1::health_check_config::Checker::Shell(_)) => {
                    "shell health checks are not run yet"
                }
                _ => "HTTP health checks are not run yet",
            },
        ));
    }
    if task
        .lifecycle
        .as_ref()
        .is_some_and(|lifecycle| lifecycle.http.is_some())
    {
        found.push(unsupported(
            "lifecycle",
            "tasks are ended by SIGTERM only, not by HTTP yet",
        ));
    }
    if task.announce.is_some() {
        found.push(unsupported(
            "announce",
            "instances are not registered with service discovery yet",
        ));
    }
    if task
        .container
        .as_ref()
        .is_some_and(|container| container.kind.is_some())
    {
        found.push(unsupported(
            "container",
            "tasks run without a container yet: no image, no volumes",
        ));
    }
    if task
        .executor_config
        .as_ref()
        .is_some_and(|config| config.name != "AuroraExecutor")
    {
        found.push(unsupported(
            "executor_config",
            "there is no executor but AuroraExecutor yet",
        ));
    }
}

fn of_logger(logger: &v1::Logger) -> Option<&'static str> {
    if logger.mode() == v1::LoggerMode::Rotate {
        return Some("output files are not rotated yet");
    }
    match logger.destination() {
        v1::LoggerDestination::Console | v1::LoggerDestination::Both => {
            Some("output goes to files only, not to the console yet")
        }
        v1::LoggerDestination::Unspecified
        | v1::LoggerDestination::File
        | v1::LoggerDestination::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_job_needs_nothing_special() {
        let config = v1::JobConfiguration {
            task: Some(v1::TaskConfig {
                tier: "preferred".to_owned(),
                lifecycle: Some(v1::LifecycleConfig { http: None }),
                partition_policy: Some(v1::PartitionPolicy::default()),
                ..v1::TaskConfig::default()
            }),
            update_config: Some(v1::UpdateConfig::default()),
            ..v1::JobConfiguration::default()
        };
        assert_eq!(unsupported_features(&config), []);
    }
}
