//! The messages of a job's optional parts.

use aurora_proto::v1;

use super::texts;
use crate::{schema::Kind, size, value::ObjectData};

pub(super) fn logger(logger: &ObjectData) -> v1::Logger {
    let destination = match logger.text("destination") {
        "console" => v1::LoggerDestination::Console,
        "both" => v1::LoggerDestination::Both,
        "none" => v1::LoggerDestination::None,
        _ => v1::LoggerDestination::File,
    };
    let mode = match logger.text("mode") {
        "rotate" => v1::LoggerMode::Rotate,
        _ => v1::LoggerMode::Standard,
    };
    let rotate = match (mode, logger.object("rotate")) {
        (_, Some(policy)) => Some(v1::RotatePolicy {
            log_size_bytes: policy.int("log_size"),
            backups: policy.uint("backups"),
        }),
        (v1::LoggerMode::Rotate, None) => Some(v1::RotatePolicy {
            log_size_bytes: 100 * size::UNITS[2].1,
            backups: 5,
        }),
        _ => None,
    };
    v1::Logger {
        destination: destination.into(),
        mode: mode.into(),
        rotate,
    }
}

/// Services always carry update settings, so that no other place needs the defaults.
pub(super) fn update_config(job: &ObjectData) -> Option<v1::UpdateConfig> {
    let Some(update) = job.object("update_config") else {
        return job.bool("service").then(default_update_config);
    };
    Some(v1::UpdateConfig {
        batch_size: update.uint("batch_size"),
        watch_secs: update.uint("watch_secs"),
        max_per_shard_failures: update.uint("max_per_shard_failures"),
        max_total_failures: update.uint("max_total_failures"),
        rollback_on_failure: update.bool("rollback_on_failure"),
        wait_for_batch_completion: update.bool("wait_for_batch_completion"),
        pulse_interval_secs: update.uint("pulse_interval_secs"),
        sla_aware: update.bool("sla_aware"),
        strategy: Some(strategy(update)),
    })
}

fn default_update_config() -> v1::UpdateConfig {
    v1::UpdateConfig {
        batch_size: 1,
        watch_secs: 45,
        rollback_on_failure: true,
        strategy: Some(v1::update_config::Strategy::Queue(
            v1::QueueUpdateStrategy { batch_size: 1 },
        )),
        ..v1::UpdateConfig::default()
    }
}

fn strategy(update: &ObjectData) -> v1::update_config::Strategy {
    use v1::update_config::Strategy;
    let Some(given) = update.object("update_strategy") else {
        let batch_size = update.uint("batch_size");
        return if update.bool("wait_for_batch_completion") {
            Strategy::Batch(v1::BatchUpdateStrategy {
                batch_size,
                autopause_after_batch: false,
            })
        } else {
            Strategy::Queue(v1::QueueUpdateStrategy { batch_size })
        };
    };
    let autopause_after_batch = || given.bool("autopause_after_batch");
    if given.kind == Kind::BatchUpdateStrategy {
        Strategy::Batch(v1::BatchUpdateStrategy {
            batch_size: given.uint("batch_size"),
            autopause_after_batch: autopause_after_batch(),
        })
    } else if given.kind == Kind::VariableBatchUpdateStrategy {
        let sizes = given
            .list("batch_sizes")
            .iter()
            .filter_map(|value| value.as_int()?.try_into().ok());
        Strategy::VariableBatch(v1::VariableBatchUpdateStrategy {
            batch_sizes: sizes.collect(),
            autopause_after_batch: autopause_after_batch(),
        })
    } else {
        Strategy::Queue(v1::QueueUpdateStrategy {
            batch_size: given.uint("batch_size"),
        })
    }
}

pub(super) fn sla_policy(policy: &ObjectData) -> Option<v1::SlaPolicy> {
    use v1::sla_policy::Kind as Policy;
    let kind = if policy.kind == Kind::CountSlaPolicy {
        Policy::Count(v1::CountSlaPolicy {
            count: policy.uint("count"),
            duration_secs: policy.uint("duration_secs"),
        })
    } else if policy.kind == Kind::PercentageSlaPolicy {
        Policy::Percentage(v1::PercentageSlaPolicy {
            percentage: policy.number("percentage"),
            duration_secs: policy.uint("duration_secs"),
        })
    } else {
        Policy::Coordinator(v1::CoordinatorSlaPolicy {
            coordinator_url: policy.text("coordinator_url").to_owned(),
            status_key: policy.text("status_key").to_owned(),
        })
    };
    Some(v1::SlaPolicy { kind: Some(kind) })
}

/// Timing comes from the config, then from the checker, then from the defaults.
pub(super) fn health_check(job: &ObjectData) -> Option<v1::HealthCheckConfig> {
    let given = job.object("health_check_config")?;
    let checker = checker(given);
    let source = |name: &str| match checker {
        Some(checker) if !given.has(name) && checker.has(name) => checker,
        _ => given,
    };
    let number = |name: &str| source(name).number(name);
    let count = |name: &str| source(name).uint(name);
    Some(v1::HealthCheckConfig {
        checker: Some(checker.map_or_else(default_checker, checker_message)),
        initial_interval_secs: number("initial_interval_secs"),
        interval_secs: number("interval_secs"),
        max_consecutive_failures: count("max_consecutive_failures"),
        min_consecutive_successes: count("min_consecutive_successes"),
        timeout_secs: number("timeout_secs"),
    })
}

/// Finds the checker in whatever the job's field holds; the shell's wins, as in Aurora.
fn checker(given: &ObjectData) -> Option<&ObjectData> {
    if given.kind == Kind::HealthCheckConfig {
        return given
            .object("health_checker")
            .and_then(|inner| checker(inner));
    }
    if given.kind == Kind::HealthCheckerConfig {
        return given
            .object("shell")
            .or_else(|| given.object("http"))
            .map(|object| &**object);
    }
    Some(given)
}

fn default_checker() -> v1::health_check_config::Checker {
    v1::health_check_config::Checker::Http(v1::HttpHealthChecker {
        endpoint: "/health".to_owned(),
        expected_response: "ok".to_owned(),
        expected_response_code: 0,
    })
}

fn checker_message(checker: &ObjectData) -> v1::health_check_config::Checker {
    use v1::health_check_config::Checker;
    if checker.kind == Kind::ShellHealthCheck {
        let shell_command = checker.text("shell_command").to_owned();
        return Checker::Shell(v1::ShellHealthChecker { shell_command });
    }
    Checker::Http(v1::HttpHealthChecker {
        endpoint: checker.text("endpoint").to_owned(),
        expected_response: checker.text("expected_response").to_owned(),
        expected_response_code: checker.uint("expected_response_code"),
    })
}

pub(super) fn lifecycle(job: &ObjectData) -> Option<v1::LifecycleConfig> {
    let given = job.object("lifecycle")?;
    let http = if given.kind == Kind::LifecycleConfig {
        given.object("http")
    } else {
        Some(given)
    };
    let http = http.map(|http| v1::HttpLifecycleConfig {
        port: http.text("port").to_owned(),
        graceful_shutdown_endpoint: http.text("graceful_shutdown_endpoint").to_owned(),
        shutdown_endpoint: http.text("shutdown_endpoint").to_owned(),
        graceful_shutdown_wait_secs: http.uint("graceful_shutdown_wait_secs"),
        shutdown_wait_secs: http.uint("shutdown_wait_secs"),
    });
    Some(v1::LifecycleConfig { http })
}

pub(super) fn announcer(job: &ObjectData) -> Option<v1::Announcer> {
    let announcer = job.object("announce")?;
    let mut config = v1::Announcer {
        primary_port: announcer.text("primary_port").to_owned(),
        portmap: texts(announcer, "portmap"),
        zk_path: announcer.text("zk_path").to_owned(),
    };
    if !announcer.has("portmap") {
        config
            .portmap
            .insert("aurora".to_owned(), config.primary_port.clone());
    }
    Some(config)
}

pub(super) fn container(job: &ObjectData) -> Option<v1::Container> {
    use v1::container::Kind as Message;
    let mut given = job.object("container")?;
    if given.kind == Kind::Container {
        given = given.object("docker")?;
    }
    let kind = if given.kind == Kind::Docker {
        let parameters = given
            .objects("parameters")
            .map(|parameter| v1::DockerParameter {
                name: parameter.text("name").to_owned(),
                value: parameter.text("value").to_owned(),
            });
        Message::Docker(v1::DockerContainer {
            image: given.text("image").to_owned(),
            parameters: parameters.collect(),
        })
    } else {
        Message::Mesos(mesos(given))
    };
    Some(v1::Container { kind: Some(kind) })
}

fn mesos(given: &ObjectData) -> v1::MesosContainer {
    use v1::mesos_container::Image;
    let image = given.object("image").map(|image| {
        let name = image.text("name").to_owned();
        if image.kind == Kind::DockerImage {
            Image::Docker(v1::DockerImage {
                name,
                tag: image.text("tag").to_owned(),
            })
        } else {
            Image::Appc(v1::AppcImage {
                name,
                image_id: image.text("image_id").to_owned(),
            })
        }
    });
    let volumes = given.objects("volumes").map(|volume| {
        let mode = match volume.text("mode") {
            "RO" => v1::VolumeMode::Ro,
            _ => v1::VolumeMode::Rw,
        };
        v1::Volume {
            container_path: volume.text("container_path").to_owned(),
            host_path: volume.text("host_path").to_owned(),
            mode: mode.into(),
        }
    });
    v1::MesosContainer {
        image,
        volumes: volumes.collect(),
    }
}
