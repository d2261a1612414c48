//! Job files and job configurations for tests.

use serde_json::{Value, json};

use crate::scheduler::ROLE;

/// Returns a job file with one task of one process.
///
/// `kind` is `service` or `job`; `extra` goes into the job's map as it is.
pub fn one_process(kind: &str, role: &str, name: &str, cmdline: &str, extra: &str) -> String {
    format!(
        r#"{kind}(#{{
    cluster: "local", role: "{role}", environment: "devel", name: "{name}",
    task: task(#{{
        processes: [process(#{{ name: "main", cmdline: {cmdline:?} }})],
        resources: resources(#{{ cpu: 0.1, ram: 16 * MB, disk: 16 * MB }}),
    }}),
    {extra}
}});
"#
    )
}

/// Returns the file of a service that does nothing, for ever.
pub fn idle(name: &str, extra: &str) -> String {
    one_process("service", ROLE, name, "exec sleep 100000", extra)
}

/// Returns the key of a test's job, as the API takes it.
pub fn key(name: &str) -> Value {
    json!({ "role": ROLE, "environment": "devel", "name": name })
}

/// Returns the configuration of a service with one process, as the API takes it.
pub fn config(name: &str, instances: u64, cmdline: &str) -> Value {
    json!({
        "key": key(name),
        "cluster": "local",
        "instances": instances,
        "task": {
            "name": "main",
            "service": true,
            "max_failures": 1,
            "max_task_failures": 1,
            "finalization_wait_secs": 5,
            "processes": [{ "name": "main", "cmdline": cmdline, "max_failures": 1 }],
            "resources": { "cpu": 0.1, "ram_bytes": 16 << 20, "disk_bytes": 16 << 20 },
        },
    })
}
