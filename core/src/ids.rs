//! Names of tasks.

use std::fmt::Write as _;

use aurora_proto::v1::JobKey;

/// A task's number: unique and rising over the whole life of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskNumber(pub u64);

/// A job's place in the state; dense, and used again after the job is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobIdx(pub(crate) u32);

/// A task configuration's place in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConfigIdx(pub(crate) u32);

/// An agent's place in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AgentIdx(pub(crate) u32);

macro_rules! slab_index {
    ($name:ident) => {
        impl $name {
            pub(crate) fn new(index: usize) -> Self {
                Self(u32::try_from(index).expect("fewer than 2^32 entries fit into memory"))
            }

            pub(crate) fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
slab_index!(JobIdx);
slab_index!(ConfigIdx);
slab_index!(AgentIdx);

/// Returns the canonical `role/environment/name`.
pub fn job_path(key: &JobKey) -> String {
    format!("{}/{}/{}", key.role, key.environment, key.name)
}

/// Reads `role/environment/name`.
pub fn parse_job_path(path: &str) -> Option<JobKey> {
    let mut parts = path.split('/');
    let key = JobKey {
        role: parts.next()?.to_owned(),
        environment: parts.next()?.to_owned(),
        name: parts.next()?.to_owned(),
    };
    parts.next().is_none().then_some(key)
}

/// Returns a task's id: `role-environment-name-instance-epoch-number`, with every character
/// outside `[A-Za-z0-9_-]` replaced by `-`.
///
/// The store's epoch and the number alone make it unique; the rest is for people. That way an
/// id is never used again, even after an old backup was restored.
pub fn task_id(key: &JobKey, instance: u32, epoch: u32, number: TaskNumber) -> String {
    let mut id =
        String::with_capacity(key.role.len() + key.environment.len() + key.name.len() + 32);
    for part in [&key.role, &key.environment, &key.name] {
        id.extend(part.chars().map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                c
            } else {
                '-'
            }
        }));
        id.push('-');
    }
    let written = write!(id, "{instance}-{epoch:08x}-{:x}", number.0);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    id
}

/// Returns epoch and number of a task id, if it has the form of one.
pub fn parse_task_id(id: &str) -> Option<(u32, TaskNumber)> {
    let (rest, number) = id.rsplit_once('-')?;
    let (_, epoch) = rest.rsplit_once('-')?;
    Some((
        u32::from_str_radix(epoch, 16).ok()?,
        TaskNumber(u64::from_str_radix(number, 16).ok()?),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_id_keeps_its_number_and_drops_odd_characters() {
        let key = parse_job_path("www-data/prod/web.v2").unwrap();
        let id = task_id(&key, 7, 0xab, TaskNumber(255));
        assert_eq!(id, "www-data-prod-web-v2-7-000000ab-ff");
        assert_eq!(parse_task_id(&id), Some((0xab, TaskNumber(255))));
    }

    #[test]
    fn foreign_ids_are_not_task_ids() {
        for id in ["", "x", "a-b", "web-0-zz-1"] {
            assert_eq!(parse_task_id(id), None, "{id}");
        }
    }
}
