//! Builds the environment of a task's processes, from nothing: no secret of the executor leaks.

use std::path::Path;

use aurora_proto::v1::AssignedTask;

use crate::proc_fs::TASK_ID_VARIABLE;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the variables for the processes of `task`, which run as `user` in `sandbox`.
#[must_use]
pub fn task_environment(task: &AssignedTask, user: &str, sandbox: &Path) -> Vec<(String, String)> {
    let key = task.job.clone().unwrap_or_default();
    let path = std::env::var("PATH").ok().filter(|path| !path.is_empty());
    let mut variables: Vec<(String, String)> = [
        // Two that a shell would set, for programs that start without one.
        ("PWD", sandbox.to_string_lossy().into_owned()),
        ("SHLVL", "0".to_owned()),
        ("HOME", sandbox.to_string_lossy().into_owned()),
        ("USER", user.to_owned()),
        ("LOGNAME", user.to_owned()),
        ("PATH", path.unwrap_or_else(|| DEFAULT_PATH.to_owned())),
        (TASK_ID_VARIABLE, task.task_id.clone()),
        (
            "AURORA_JOB_KEY",
            format!("{}/{}/{}", key.role, key.environment, key.name),
        ),
        ("AURORA_CLUSTER", task.cluster.clone()),
        ("AURORA_ROLE", key.role),
        ("AURORA_ENVIRONMENT", key.environment),
        ("AURORA_JOB", key.name),
        ("AURORA_INSTANCE", task.instance.to_string()),
        ("AURORA_HOSTNAME", task.host.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    for (name, number) in &task.ports {
        variables.push((port_variable(name), number.to_string()));
    }
    variables
}

fn port_variable(port: &str) -> String {
    let suffix = port.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    });
    format!("AURORA_PORT_{}", suffix.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_names_become_variable_names() {
        assert_eq!(port_variable("http"), "AURORA_PORT_HTTP");
        assert_eq!(port_variable("admin-2.x"), "AURORA_PORT_ADMIN_2_X");
    }
}
