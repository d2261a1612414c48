//! Turns checked objects into the messages of the API.

use aurora_proto::v1;

mod parts;

use crate::{
    checks::{
        job::{job_name, task_name},
        placement, ports,
    },
    recorder::{Recorder, Report},
    schema::MEBIBYTE,
    value::{Object, ObjectData},
};

/// Makes the job's message; `None` if something is wrong, which has been reported then.
pub(crate) fn job(job: &Object, recorder: &Recorder) -> Option<v1::JobConfiguration> {
    let task = job.object("task")?;
    let config = v1::JobConfiguration {
        key: Some(v1::JobKey {
            role: job.text("role").to_owned(),
            environment: job.text("environment").to_owned(),
            name: job_name(job, task).to_owned(),
        }),
        cluster: job.text("cluster").to_owned(),
        instances: job.uint("instances"),
        task: Some(task_config(job, task)),
        contact: job.text("contact").to_owned(),
        priority: signed(job.int("priority")),
        metadata: metadata(job),
        update_config: parts::update_config(job),
        sla_policy: job
            .object("sla_policy")
            .and_then(|policy| parts::sla_policy(policy)),
        cron: job.has("cron_schedule").then(|| cron(job)),
        enable_hooks: job.bool("enable_hooks"),
    };
    let bytes = config.task.as_ref().map_or(0, prost::Message::encoded_len);
    let limit = recorder.limits.task_bytes;
    if bytes > limit {
        let message =
            format!("the task takes {bytes} bytes when encoded, at most {limit} are allowed");
        let report = Report::error(&job.at, message);
        recorder.report(report.hint("put long scripts into a file that the command fetches"));
        return None;
    }
    Some(config)
}

/// Makes the quota's message.
pub(crate) fn quota(quota: &ObjectData) -> v1::QuotaConfiguration {
    v1::QuotaConfiguration {
        cluster: quota.text("cluster").to_owned(),
        role: quota.text("role").to_owned(),
        cpu: quota.number("cpu"),
        ram_bytes: quota.int("ram"),
        disk_bytes: quota.int("disk"),
        gpu: quota.int("gpu"),
    }
}

fn signed(value: i64) -> i32 {
    // Every field that comes here has a range within 32 bits.
    i32::try_from(value).unwrap_or_default()
}

/// The tier, with the deprecated flag folded in.
fn tier(job: &ObjectData) -> &str {
    match (job.text("tier"), job.bool("production")) {
        ("", true) => "preferred",
        (tier, _) => tier,
    }
}

fn task_config(job: &Object, task: &Object) -> v1::TaskConfig {
    v1::TaskConfig {
        name: task_name(task).to_owned(),
        processes: task
            .objects("processes")
            .map(|object| process(object))
            .collect(),
        order: task
            .objects("constraints")
            .map(|object| order(object))
            .collect(),
        resources: task.object("resources").map(|object| resources(object)),
        max_failures: task.uint("max_failures"),
        max_concurrency: task.uint("max_concurrency"),
        finalization_wait_secs: task.uint("finalization_wait"),
        service: job.bool("service"),
        max_task_failures: signed(job.int("max_task_failures")),
        tier: tier(job).to_owned(),
        production: tier(job) == "preferred",
        constraints: constraints(job),
        ports: ports::allocated(job, task),
        health_check: parts::health_check(job),
        lifecycle: parts::lifecycle(job),
        announce: parts::announcer(job),
        container: parts::container(job),
        executor_config: job
            .object("executor_config")
            .map(|config| v1::ExecutorConfig {
                name: config.text("name").to_owned(),
                data: config.text("data").to_owned(),
            }),
        partition_policy: job
            .object("partition_policy")
            .map(|policy| v1::PartitionPolicy {
                reschedule: policy.bool("reschedule"),
                delay_secs: policy.uint("delay_secs"),
            }),
        task_links: texts(job, "task_links"),
        user: task.text("user").to_owned(),
    }
}

fn process(process: &ObjectData) -> v1::Process {
    v1::Process {
        name: process.text("name").to_owned(),
        cmdline: process.text("cmdline").to_owned(),
        max_failures: process.uint("max_failures"),
        daemon: process.bool("daemon"),
        ephemeral: process.bool("ephemeral"),
        min_duration_secs: process.uint("min_duration"),
        r#final: process.bool("final"),
        logger: process.object("logger").map(|object| parts::logger(object)),
        resources: process.object("resources").map(|object| resources(object)),
    }
}

fn order(order: &ObjectData) -> v1::Order {
    v1::Order {
        processes: order.texts("order").map(str::to_owned).collect(),
    }
}

/// Memory and disk are given out in whole mebibytes, as in Aurora.
fn resources(resources: &ObjectData) -> v1::Resources {
    let floored = |name| resources.int(name) / MEBIBYTE * MEBIBYTE;
    v1::Resources {
        cpu: resources.number("cpu"),
        ram_bytes: floored("ram"),
        disk_bytes: floored("disk"),
        gpu: resources.int("gpu"),
    }
}

fn constraints(job: &ObjectData) -> Vec<v1::PlacementConstraint> {
    let parsed = job
        .map("constraints")
        .filter_map(|(attribute, value)| placement::parse(attribute, value.as_text()?).ok());
    parsed.collect()
}

fn metadata(job: &ObjectData) -> Vec<v1::Metadata> {
    let mut pairs: Vec<v1::Metadata> = Vec::new();
    for object in job.objects("metadata") {
        let pair = v1::Metadata {
            key: object.text("key").to_owned(),
            value: object.text("value").to_owned(),
        };
        // A set, as in Aurora: the very same pair counts once.
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

fn cron(job: &ObjectData) -> v1::Cron {
    let policy = match job.text("cron_collision_policy") {
        "CANCEL_NEW" => v1::CronCollisionPolicy::CancelNew,
        _ => v1::CronCollisionPolicy::KillExisting,
    };
    let fields: Vec<&str> = job.text("cron_schedule").split_whitespace().collect();
    v1::Cron {
        schedule: fields.join(" "),
        timezone: job.text("cron_timezone").to_owned(),
        collision_policy: policy.into(),
    }
}

fn texts<M: FromIterator<(String, String)>>(object: &ObjectData, name: &str) -> M {
    let pairs = object.map(name).map(|(key, value)| {
        let number = value.as_int().map(|number| number.to_string());
        let value = number.unwrap_or_else(|| value.as_text().unwrap_or_default().to_owned());
        (key.to_owned(), value)
    });
    pairs.collect()
}
