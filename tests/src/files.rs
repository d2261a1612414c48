//! Job files for tests.

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
