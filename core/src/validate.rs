//! What a submitted job must be like. The job language has checked the same on the client; a
//! scheduler trusts no client.

use std::collections::{BTreeMap, BTreeSet};

use aurora_proto::v1;
use prost::Message;
use regex::Regex;

use crate::call::{ApiError, ErrorCode};
use crate::settings::Settings;

/// The longest part of a job key.
const MAX_NAME: usize = 255;
/// The largest task configuration, encoded, in bytes.
const MAX_CONFIG_BYTES: usize = 256 * 1024;
/// The largest job-level part, encoded, in bytes.
const MAX_JOB_BYTES: usize = 64 * 1024;
/// Priorities lie within plus and minus this.
const MAX_PRIORITY: i32 = 1_000_000;
/// A machine that nobody has, as a guard against slips.
const MAX_CORES: f64 = 100_000.0;
const MB: i64 = 1024 * 1024;
const TIERS: [&str; 3] = ["preferred", "preemptible", "revocable"];

fn invalid<T>(message: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(ErrorCode::InvalidArgument, message))
}

/// Checks a job and returns its task.
pub(crate) fn validate_job<'a>(
    job: &'a v1::JobConfiguration,
    settings: &Settings,
    environments: &Regex,
) -> Result<&'a v1::TaskConfig, ApiError> {
    let Some(key) = &job.key else {
        return invalid("the job has no `key`");
    };
    validate_identifier("role", &key.role)?;
    validate_identifier("environment", &key.environment)?;
    validate_identifier("name", &key.name)?;
    if !environments.is_match(&key.environment) {
        return invalid(format!(
            "environment `{}` is not allowed here; allowed: {}",
            key.environment, settings.allowed_environments
        ));
    }
    if !job.cluster.is_empty() && job.cluster != settings.cluster_name {
        return invalid(format!(
            "the job is for cluster `{}`, and this is `{}`",
            job.cluster, settings.cluster_name
        ));
    }
    let max = settings.max_instances_per_job;
    if job.instances == 0 || job.instances > max {
        return invalid(format!(
            "`instances` is {}; a job has 1 to {max}",
            job.instances
        ));
    }
    validate_priority(job.priority)?;
    validate_contact(&job.contact)?;
    validate_metadata(&job.metadata)?;
    let Some(task) = &job.task else {
        return invalid("the job has no `task`");
    };
    validate_task(task)?;
    if task.service && job.cron.is_some() {
        return invalid("a job cannot be both a service and a cron job");
    }
    let job_bytes = job.encoded_len() - task.encoded_len();
    if job_bytes > MAX_JOB_BYTES {
        return invalid(format!(
            "the job's own fields take {job_bytes} bytes; at most {MAX_JOB_BYTES} are kept"
        ));
    }
    refuse_unsupported(job)?;
    Ok(task)
}

fn refuse_unsupported(job: &v1::JobConfiguration) -> Result<(), ApiError> {
    let unsupported = crate::unsupported::unsupported_features(job);
    let Some(first) = unsupported.first() else {
        return Ok(());
    };
    let all: Vec<String> = unsupported.iter().map(ToString::to_string).collect();
    debug_assert!(
        !first.field.is_empty(),
        "every unsupported feature names its field"
    );
    Err(ApiError::new(ErrorCode::Unimplemented, all.join("; ")))
}

fn validate_identifier(what: &str, text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
        let shown: String = text.chars().take(64).collect();
        return invalid(format!(
            "{what} `{}` is not valid: 1 to {MAX_NAME} of letters, digits, `_`, `-` and `.`",
            shown.escape_debug()
        ));
    }
    if text == "." || text == ".." {
        return invalid(format!(
            "{what} `{text}` is not valid: it names a directory"
        ));
    }
    Ok(())
}

pub(crate) fn validate_priority(priority: i32) -> Result<(), ApiError> {
    if (-MAX_PRIORITY..=MAX_PRIORITY).contains(&priority) {
        return Ok(());
    }
    invalid(format!(
        "`priority` is {priority}; it lies within ±{MAX_PRIORITY}"
    ))
}

pub(crate) fn validate_contact(contact: &str) -> Result<(), ApiError> {
    if contact.len() <= MAX_NAME {
        return Ok(());
    }
    invalid(format!("`contact` is longer than {MAX_NAME} bytes"))
}

pub(crate) fn validate_metadata(metadata: &[v1::Metadata]) -> Result<(), ApiError> {
    if metadata.len() > 256 {
        return invalid("`metadata` has more than 256 entries");
    }
    match metadata.iter().find(|entry| {
        entry.key.is_empty() || entry.key.len() > MAX_NAME || entry.value.len() > 4_096
    }) {
        None => Ok(()),
        Some(entry) => {
            let shown: String = entry.key.chars().take(64).collect();
            invalid(format!(
                "metadata `{shown}`: a key has 1 to {MAX_NAME} bytes and a value up to 4,096"
            ))
        }
    }
}

fn validate_task(task: &v1::TaskConfig) -> Result<(), ApiError> {
    if task.encoded_len() > MAX_CONFIG_BYTES {
        return invalid(format!(
            "the task takes {} bytes; at most {MAX_CONFIG_BYTES} are allowed",
            task.encoded_len()
        ));
    }
    validate_resources(task.resources.as_ref())?;
    validate_processes(task)?;
    if task.max_task_failures < -1 {
        return invalid("`max_task_failures` is below -1, which already means never give up");
    }
    if !task.tier.is_empty() && !TIERS.contains(&task.tier.as_str()) {
        return invalid(format!(
            "tier `{}` is unknown; there are {}",
            task.tier,
            TIERS.join(", ")
        ));
    }
    if task.ports.len() > 256 {
        return invalid("the task asks for more than 256 ports");
    }
    let distinct: BTreeSet<_> = task.ports.iter().collect();
    if distinct.len() != task.ports.len() || task.ports.iter().any(String::is_empty) {
        return invalid("`ports` has an empty name, or one twice");
    }
    validate_constraints(&task.constraints)
}

fn validate_resources(resources: Option<&v1::Resources>) -> Result<(), ApiError> {
    let Some(resources) = resources else {
        return invalid("the task has no `resources`");
    };
    if !(resources.cpu > 0.0 && resources.cpu <= MAX_CORES) {
        return invalid(format!(
            "`resources.cpu` is {}; it is above 0 and at most {MAX_CORES}",
            resources.cpu
        ));
    }
    for (name, bytes) in [("ram", resources.ram_bytes), ("disk", resources.disk_bytes)] {
        if bytes < MB {
            return invalid(format!(
                "`resources.{name}` is {bytes} bytes; the least is 1 MB"
            ));
        }
    }
    if resources.gpu < 0 {
        return invalid(format!(
            "`resources.gpu` is {}; it is 0 or more",
            resources.gpu
        ));
    }
    Ok(())
}

fn validate_processes(task: &v1::TaskConfig) -> Result<(), ApiError> {
    if task.processes.is_empty() {
        return invalid("the task has no `processes`");
    }
    let mut by_name = BTreeMap::new();
    for process in &task.processes {
        let name = &process.name;
        let valid = !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.starts_with('.')
            && !name.contains(['/', '\0', '\n']);
        if !valid {
            return invalid(format!(
                "process `{}`: a name has no `/`, starts with no `.` and is not empty",
                name.escape_debug()
            ));
        }
        if process.cmdline.is_empty() || process.cmdline.contains('\0') {
            return invalid(format!(
                "process `{name}` has no `cmdline`, or one with a NUL in it"
            ));
        }
        if by_name.insert(name.as_str(), process).is_some() {
            return invalid(format!("there are two processes `{name}`"));
        }
    }
    validate_order(task, &by_name)
}

fn validate_order(
    task: &v1::TaskConfig,
    by_name: &BTreeMap<&str, &v1::Process>,
) -> Result<(), ApiError> {
    let mut after: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for order in &task.order {
        let mut previous: Option<&v1::Process> = None;
        for name in &order.processes {
            let Some(process) = by_name.get(name.as_str()) else {
                return invalid(format!(
                    "an order names `{name}`, and there is no such process"
                ));
            };
            if let Some(previous) = previous {
                check_edge(previous, process)?;
                after.entry(name).or_default().insert(&previous.name);
            }
            previous = Some(process);
        }
    }
    // Take away what depends on nothing, until nothing is left or everything waits for another.
    let mut left: BTreeSet<&str> = by_name.keys().copied().collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .copied()
            .filter(|name| {
                after
                    .get(name)
                    .is_none_or(|before| before.is_disjoint(&left))
            })
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = left.into_iter().collect();
    invalid(format!(
        "the order of {} goes in a circle",
        names.join(", ")
    ))
}

fn check_edge(before: &v1::Process, after: &v1::Process) -> Result<(), ApiError> {
    let (b, a) = (&before.name, &after.name);
    if before.r#final != after.r#final {
        return invalid(format!(
            "`{b}` and `{a}` are ordered, and only one of them is final"
        ));
    }
    if before.daemon {
        return invalid(format!(
            "`{a}` comes after `{b}`, which is a daemon and never ends"
        ));
    }
    if before.ephemeral && !after.ephemeral {
        return invalid(format!(
            "`{a}` comes after `{b}`, which is ephemeral and may never end"
        ));
    }
    Ok(())
}

fn validate_constraints(constraints: &[v1::PlacementConstraint]) -> Result<(), ApiError> {
    for constraint in constraints {
        let name = &constraint.attribute;
        if name.is_empty() || name.len() > MAX_NAME {
            return invalid("a constraint has no attribute, or too long a one");
        }
        match &constraint.kind {
            None => return invalid(format!("the constraint on `{name}` demands nothing")),
            Some(v1::placement_constraint::Kind::Value(value)) if value.values.is_empty() => {
                return invalid(format!("the constraint on `{name}` has no values"));
            }
            Some(v1::placement_constraint::Kind::Limit(limit)) if limit.limit == 0 => {
                return invalid(format!(
                    "the limit on `{name}` is 0, which no host can meet"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
