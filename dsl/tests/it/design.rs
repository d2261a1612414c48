//! The example of the design page, word for word.

use aurora_dsl::Declaration;
use aurora_proto::v1;

use crate::support::{run, run_with};

const EXAMPLE: &str = r#"const RELEASE = param("release", "1.4.2");           // set with --bind release=1.5.0; unknown or missing binds are errors

let fetch = process(#{ name: "fetch", cmdline: `curl -fsSO https://repo.example/web-${RELEASE}.tar.gz` });
let serve = process(#{ name: "serve", cmdline: "exec ./web --port {{ports.http}} --shard {{instance}}" });

let web = sequential_task(#{                          // or task(#{ …, constraints: [order(fetch, serve)] })
    processes: [fetch, serve],
    resources: resources(#{ cpu: 0.5, ram: 256 * MB, disk: 1 * GB }),
});

for env in ["devel", "prod"] {
    service(#{
        cluster: "local", role: "www-data", environment: env, name: "web",
        instances: if env == "prod" { 20 } else { 2 },
        task: web,
        tier: if env == "prod" { "preferred" } else { "preemptible" },
        constraints: #{ host: "limit:1" },
        health_check_config: http_health_check(#{ endpoint: "/health", interval_secs: 5 }),
        update_config: update_config(#{ batch_size: 2, watch_secs: 20 }),
    });
}

cron_job(#{
    cluster: "local", role: "etl", environment: "prod", name: "nightly",
    cron_schedule: "30 2 * * 1-5", cron_timezone: "Europe/Berlin", cron_collision_policy: "CANCEL_NEW",
    task: simple_task("load", "./load --day {{run.scheduled_time}}"),
});

quota(#{ cluster: "local", role: "etl", cpu: 40.0, ram: 64 * GB, disk: 500 * GB });
"#;

#[test]
fn example_declares_what_it_says() {
    let evaluation = run(EXAMPLE).unwrap_or_else(|errors| panic!("{errors}"));
    let jobs: Vec<_> = evaluation.jobs().collect();
    assert_eq!(jobs.len(), 3);
    let web = jobs[1];
    assert_eq!((web.cluster.as_str(), web.instances), ("local", 20));
    let key = web.key.as_ref().expect("a key");
    assert_eq!(
        (
            key.role.as_str(),
            key.environment.as_str(),
            key.name.as_str()
        ),
        ("www-data", "prod", "web")
    );
    let task = web.task.as_ref().expect("a task");
    assert!(task.service && task.production);
    assert_eq!(task.ports, ["http"]);
    assert_eq!(
        task.order,
        [v1::Order {
            processes: vec!["fetch".into(), "serve".into()]
        }]
    );
    assert_eq!(
        task.processes[0].cmdline,
        "curl -fsSO https://repo.example/web-1.4.2.tar.gz"
    );
    let check = task.health_check.as_ref().expect("a health check");
    assert_eq!(
        (
            check.interval_secs,
            check.initial_interval_secs,
            check.timeout_secs
        ),
        (5.0, 15.0, 1.0)
    );
    let update = web.update_config.as_ref().expect("update settings");
    assert_eq!(
        (
            update.batch_size,
            update.watch_secs,
            update.rollback_on_failure
        ),
        (2, 20, true)
    );
    let cron = jobs[2].cron.as_ref().expect("a schedule");
    assert_eq!(cron.collision_policy(), v1::CronCollisionPolicy::CancelNew);
    let Some(Declaration::Quota { config, .. }) = evaluation.declarations.last() else {
        panic!("the quota comes last");
    };
    assert_eq!((config.cpu, config.ram_bytes), (40.0, 64 << 30));
}

#[test]
fn binds_change_it() {
    let bound = run_with(EXAMPLE, &[("release", "9")], Default::default()).expect("right");
    let job = bound.jobs().next().expect("a job");
    let task = job.task.as_ref().expect("a task");
    assert!(task.processes[0].cmdline.ends_with("web-9.tar.gz"));
    assert_eq!(bound.params[0].given.as_deref(), Some("9"));
    let unknown = run_with(EXAMPLE, &[("relase", "9")], Default::default()).expect_err("wrong");
    let shown = unknown
        .errors()
        .map(ToString::to_string)
        .collect::<String>();
    assert_eq!(
        shown,
        "error: the file has no parameter `relase`\n  help: did you mean `release`?\n"
    );
}

#[test]
fn evaluation_is_deterministic() {
    let first = run(EXAMPLE).expect("right");
    for _ in 0..20 {
        assert_eq!(run(EXAMPLE).expect("right"), first);
    }
}
