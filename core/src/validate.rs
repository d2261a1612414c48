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
/// What a core is divided into.
const MIN_CORES: f64 = 0.001;
const MAX_CONSTRAINTS: usize = 64;
const MAX_CONSTRAINT_VALUES: usize = 1_024;
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
    validate_constraints(&task.constraints, &key.role)?;
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
    Ok(())
}

fn validate_resources(resources: Option<&v1::Resources>) -> Result<(), ApiError> {
    let Some(resources) = resources else {
        return invalid("the task has no `resources`");
    };
    if !(resources.cpu >= MIN_CORES && resources.cpu <= MAX_CORES) {
        return invalid(format!(
            "`resources.cpu` is {}; it lies within {MIN_CORES} and {MAX_CORES}",
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
    // Take away what waits for nothing, until nothing is left or everything waits for another.
    let mut waits_for: BTreeMap<&str, usize> = by_name.keys().map(|name| (*name, 0)).collect();
    for (name, before) in &after {
        waits_for.insert(name, before.len());
    }
    let mut followers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, before) in &after {
        for before in before {
            followers.entry(before).or_default().push(name);
        }
    }
    let mut free: Vec<&str> = by_name.keys().copied().collect();
    free.retain(|name| waits_for.get(name) == Some(&0));
    while let Some(name) = free.pop() {
        waits_for.remove(name);
        for follower in followers.remove(name).unwrap_or_default() {
            let left = waits_for.entry(follower).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                free.push(follower);
            }
        }
    }
    if waits_for.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = waits_for.into_keys().take(20).collect();
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

fn validate_constraints(
    constraints: &[v1::PlacementConstraint],
    role: &str,
) -> Result<(), ApiError> {
    use v1::placement_constraint::Kind;
    if constraints.len() > MAX_CONSTRAINTS {
        return invalid(format!("more than {MAX_CONSTRAINTS} constraints"));
    }
    for constraint in constraints {
        let name = &constraint.attribute;
        if name.is_empty() || name.len() > MAX_NAME {
            return invalid("a constraint has no attribute, or too long a one");
        }
        match &constraint.kind {
            None => return invalid(format!("the constraint on `{name}` demands nothing")),
            Some(Kind::Value(value)) if value.values.is_empty() => {
                return invalid(format!("the constraint on `{name}` has no values"));
            }
            Some(Kind::Value(value)) if value.values.len() > MAX_CONSTRAINT_VALUES => {
                return invalid(format!("the constraint on `{name}` has too many values"));
            }
            Some(Kind::Limit(limit)) if limit.limit == 0 => {
                return invalid(format!(
                    "the limit on `{name}` is 0, which no host can meet"
                ));
            }
            Some(kind) if name == "dedicated" => validate_dedicated(kind, role)?,
            Some(_) => {}
        }
    }
    Ok(())
}

/// A job may ask for hosts that are dedicated to its own role, or to everybody's use of a kind.
fn validate_dedicated(kind: &v1::placement_constraint::Kind, role: &str) -> Result<(), ApiError> {
    if let v1::placement_constraint::Kind::Value(value) = kind
        && let [dedicated] = value.values.as_slice()
        && !value.negated
    {
        let owner = dedicated.split('/').next().unwrap_or_default();
        if owner == role || owner == "*" {
            return Ok(());
        }
    }
    invalid(format!(
        "the constraint on `dedicated` has to be one value, `{role}`, `{role}/…` or `*/…`"
    ))
}
