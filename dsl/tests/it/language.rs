//! What right files mean.

use aurora_core::unsupported::unsupported_features;
use aurora_dsl::{MemoryLoader, definitions, reference, schema};
use aurora_proto::v1;

use crate::support::{good, job, job_with, run_with};

fn task(text: &str) -> v1::TaskConfig {
    let text = format!(
        "job(#{{ cluster: \"c\", role: \"r\", environment: \"prod\", name: \"n\", task: {text} }});"
    );
    job(&text).task.expect("a task")
}

#[test]
fn every_field_can_be_written_as_a_key() {
    for object in schema::OBJECTS {
        for field in object.fields {
            good(&format!(
                "let m = #{{ {}: 1 }}; m.{};",
                field.name, field.name
            ));
        }
    }
}

#[test]
fn defaults_are_those_of_aurora() {
    let job = job(&job_with(""));
    assert_eq!(
        (job.instances, job.priority, job.enable_hooks),
        (1, 0, false)
    );
    assert_eq!(job.update_config, None);
    let task = job.task.expect("a task");
    assert_eq!(
        (
            task.max_failures,
            task.max_concurrency,
            task.finalization_wait_secs
        ),
        (1, 0, 30)
    );
    assert_eq!(
        (task.max_task_failures, task.service, task.tier.as_str()),
        (1, false, "")
    );
    assert_eq!(
        (task.health_check, task.lifecycle, task.executor_config),
        (None, None, None)
    );
    let process = &task.processes[0];
    assert_eq!((process.max_failures, process.min_duration_secs), (1, 5));
    assert_eq!(
        task.resources,
        Some(v1::Resources {
            cpu: 1.0,
            ram_bytes: 1 << 30,
            disk_bytes: 1 << 30,
            gpu: 0
        })
    );
}

#[test]
fn services_carry_update_settings() {
    let job = job(&job_with("service: true"));
    let update = job.update_config.expect("settings");
    assert_eq!(
        (
            update.batch_size,
            update.watch_secs,
            update.rollback_on_failure
        ),
        (1, 45, true)
    );
    let strategy = v1::update_config::Strategy::Queue(v1::QueueUpdateStrategy { batch_size: 1 });
    assert_eq!(update.strategy, Some(strategy));
}

#[test]
fn plus_copies_with_changes() {
    let text = "let p = process(#{ name: \"a\", cmdline: \"x\", max_failures: 3 });\n\
                let q = p + #{ name: \"b\", max_failures: () };\n\
                let r = resources(#{ cpu: 1, ram: \"64MB\", disk: 0.5 * GB }) + #{ cpu: 2.5 };\n\
                let t = task(#{ processes: [p, q], resources: r });\n\
                job(#{ cluster: \"c\", role: \"r\", environment: \"prod\", task: t + #{ name: \"n\" } });";
    let job = job(text);
    assert_eq!(job.key.as_ref().map(|key| key.name.as_str()), Some("n"));
    let task = job.task.expect("a task");
    let failures: Vec<u32> = task
        .processes
        .iter()
        .map(|process| process.max_failures)
        .collect();
    assert_eq!(failures, [3, 1]);
    let resources = task.resources.expect("resources");
    assert_eq!(
        (resources.cpu, resources.ram_bytes, resources.disk_bytes),
        (2.5, 64 << 20, 512 << 20)
    );
}

#[test]
fn tasks_can_be_put_together() {
    let parts = "let r = |cpu, ram| resources(#{ cpu: cpu, ram: ram * MB, disk: 10 * MB });\n\
                 let p = |name| process(#{ name: name, cmdline: \"x\" });\n\
                 let one = sequential_task(#{ processes: [p.call(\"a\"), p.call(\"b\")], resources: r.call(1, 64) });\n\
                 let two = task(#{ name: \"two\", processes: [p.call(\"c\")], resources: r.call(2, 32), finalization_wait: 5 });\n";
    let merged = |call: &str| {
        let text = format!(
            "{parts}job(#{{ cluster: \"c\", role: \"r\", environment: \"prod\", task: {call} }});"
        );
        job(&text).task.expect("a task")
    };
    let both = merged("combine_tasks(one, two)");
    let names: Vec<_> = both
        .processes
        .iter()
        .map(|process| process.name.as_str())
        .collect();
    assert_eq!((names, both.name.as_str()), (vec!["a", "b", "c"], "two"));
    assert_eq!(both.order.len(), 1);
    assert_eq!(both.finalization_wait_secs, 30);
    let resources = both.resources.expect("resources");
    assert_eq!((resources.cpu, resources.ram_bytes >> 20), (3.0, 96));
    let chain = merged("concat_tasks([one, two]) + #{ name: \"chain\" }");
    let orders: Vec<_> = chain
        .order
        .iter()
        .map(|order| order.processes.join(" "))
        .collect();
    assert_eq!(orders, ["a b", "a c", "b c"]);
    assert_eq!(
        (chain.finalization_wait_secs, chain.name.as_str()),
        (35, "chain")
    );
    let resources = chain.resources.expect("resources");
    assert_eq!((resources.cpu, resources.ram_bytes >> 20), (2.0, 64));
}

#[test]
fn lists_of_processes_are_orders() {
    let orders = |text: &str| {
        let processes = "[#{ name: \"b\", cmdline: \"x\" }, #{ name: \"a\", cmdline: \"x\" }]";
        let text = format!(
            "#{{ processes: {processes}, constraints: {text},\n\
             resources: #{{ cpu: 1, ram: 1 * MB, disk: 1 * MB }} }}"
        );
        let orders = task(&text).order;
        orders
            .into_iter()
            .map(|order| order.processes.join(" "))
            .collect::<Vec<_>>()
    };
    for text in [
        "order(\"b\", \"a\")",
        "order([\"b\", \"a\"])",
        "[order(\"b\", \"a\")]",
        "[[\"b\", \"a\"]]",
        "[constraint(#{ order: [\"b\", \"a\"] })]",
        "[#{ order: [\"b\", \"a\"] }]",
    ] {
        assert_eq!(orders(text), ["b a"], "{text}");
    }
}

#[test]
fn ports_are_those_mentioned_after_aliases() {
    let with = |announce: &str| {
        let text = format!(
            "job(#{{ cluster: \"c\", role: \"r\", environment: \"prod\", name: \"n\",\n\
             constraints: #{{ dedicated: \"r/x\" }}, {announce}\n\
             task: simple_task(\"t\", \"x {{{{ports.b}}}} {{{{thermos.ports[a]}}}} {{{{ports.b}}}}\"),\n\
             health_check_config: shell_health_check(#{{ shell_command: \"nc {{{{ports.health}}}}\" }}) }});"
        );
        job(&text).task.expect("a task").ports
    };
    assert_eq!(with(""), ["b", "a", "health"]);
    assert_eq!(
        with("announce: announcer(#{}),"),
        ["b", "a", "health", "http"]
    );
    let aliases = "announce: announcer(#{ primary_port: \"a\", portmap: #{ a: \"b\", health: 8080, z: \"y\" } }),";
    assert_eq!(with(aliases), ["b", "y"]);
}

#[test]
fn checkers_and_timing_meet() {
    let check = |text: &str| {
        let job = job(&job_with(&format!("health_check_config: {text}")));
        job.task
            .and_then(|task| task.health_check)
            .expect("a check")
    };
    let http = check("http_health_check(#{ endpoint: \"/x\", interval_secs: 5 })");
    assert_eq!((http.interval_secs, http.timeout_secs), (5.0, 1.0));
    let shell = check(
        "health_check_config(#{ timeout_secs: 2.5, health_checker: shell_health_check(#{ shell_command: \"true\", interval_secs: 3 }) })",
    );
    assert_eq!((shell.interval_secs, shell.timeout_secs), (3.0, 2.5));
    assert!(matches!(
        shell.checker,
        Some(v1::health_check_config::Checker::Shell(_))
    ));
    let plain = check("#{ max_consecutive_failures: 2 }");
    assert_eq!(plain.max_consecutive_failures, 2);
    assert!(matches!(
        plain.checker,
        Some(v1::health_check_config::Checker::Http(_))
    ));
}

#[test]
fn what_is_not_run_yet_is_named() {
    for (fields, field) in [
        ("cron_schedule: \"0 0 * * *\"", "cron_schedule"),
        ("container: docker(#{ image: \"x\" })", "container"),
        (
            "container: container(#{ docker: docker(#{ image: \"x\" }) })",
            "container",
        ),
        (
            "container: mesos(#{ image: docker_image(#{ name: \"a\", tag: \"b\" }) })",
            "container",
        ),
        (
            "executor_config: executor_config(#{ name: \"other\" })",
            "executor_config",
        ),
        ("announce: announcer(#{})", "announce"),
        ("health_check_config: #{}", "health_check_config"),
        ("lifecycle: http_lifecycle(#{})", "lifecycle"),
        ("tier: \"revocable\"", "tier"),
        (
            "sla_policy: coordinator_sla_policy(#{ coordinator_url: \"http://x\" }), tier: \"preferred\"",
            "sla_policy",
        ),
    ] {
        let found = unsupported_features(&job(&job_with(fields)));
        let names: Vec<_> = found
            .iter()
            .map(|unsupported| unsupported.field.as_str())
            .collect();
        assert_eq!(names, [field], "{fields}");
    }
    for fields in [
        "lifecycle: disable_lifecycle()",
        "executor_config: executor_config(#{})",
        "update_config: #{}",
        "partition_policy: #{}",
        "tier: \"preferred\"",
    ] {
        assert_eq!(
            unsupported_features(&job(&job_with(fields))),
            [],
            "{fields}"
        );
    }
    let rotated = "simple_task(\"t\", \"x\") + #{ processes: [process(#{ name: \"t\", cmdline: \"x\", logger: logger(#{ mode: \"rotate\" }) })] }";
    let config = v1::JobConfiguration {
        task: Some(task(rotated)),
        ..Default::default()
    };
    assert_eq!(unsupported_features(&config)[0].field, "processes.t.logger");
}

#[test]
fn metadata_is_a_map_or_a_list() {
    let map = job(&job_with("metadata: #{ b: \"1\", a: \"2\" }"));
    let pairs: Vec<_> = map
        .metadata
        .iter()
        .map(|pair| (pair.key.as_str(), pair.value.as_str()))
        .collect();
    assert_eq!(pairs, [("a", "2"), ("b", "1")]);
    let pair = |value: &str| format!("metadata(#{{ key: \"k\", value: \"{value}\" }})");
    let list = job(&job_with(&format!(
        "metadata: [{}, {}, {}]",
        pair("x"),
        pair("y"),
        pair("x")
    )));
    assert_eq!(list.metadata.len(), 2);
}

#[test]
fn units_and_constants_are_known_in_functions() {
    let text = "const N = 2;\nfn size() { global::N * MB + KB - 1 * BYTES }\nprint(size());";
    assert_eq!(good(text).output, [((2 << 20) + 1023).to_string()]);
}

#[test]
fn libraries_are_read_once() {
    let loader = MemoryLoader::new()
        .with(
            "a/x.rhai",
            "import \"y\" as y; print(\"x\"); export const X = y::Y + 1;",
        )
        .with("a/y.rhai", "print(\"y\"); export const Y = 1;");
    let text = "import \"a/x\" as x; import \"a/y.rhai\" as y; import \"a/x\" as again; print(x::X + y::Y);";
    let evaluation = run_with(text, &[], loader).expect("right");
    assert_eq!(evaluation.output, ["y", "x", "3"]);
    assert_eq!(evaluation.files, ["job.rhai", "a/x.rhai", "a/y.rhai"]);
}

#[test]
fn definitions_name_everything() {
    let (definitions, reference) = (definitions(), reference());
    for object in schema::OBJECTS {
        assert!(
            definitions.contains(&format!("fn {}(fields: Map)", object.name)),
            "{}",
            object.name
        );
        for field in object.fields {
            assert!(
                reference.contains(&format!("| `{}` |", field.name)),
                "{}",
                field.name
            );
        }
    }
    for name in ["order", "param", "concat_tasks", "const MB: int"] {
        assert!(definitions.contains(name), "{name}");
    }
}
