//! Every file in `dsl-examples/` is valid and does what it says.

use std::collections::{BTreeMap, BTreeSet};

use aurora_tests::scheduler::{Scheduler, client, project, run};
use aurora_tests::wait;
use serde_json::Value;

/// What becomes of the jobs of an example.
enum Expected {
    /// They run, and instance 0 of the first prints this.
    Runs(&'static str),
    /// They end well, and instance 0 of the first prints this.
    Finishes(&'static str),
    /// They end, well or not: the example is about failures.
    Ends,
    /// This release does not run them and says so, with this word.
    Refused(&'static str),
    /// It declares no job.
    NoJob,
}

fn expectations() -> BTreeMap<&'static str, Expected> {
    BTreeMap::from([
        ("batch", Expected::Finishes("shard 0 of 4: part 10 of 10")),
        ("constraints", Expected::Runs("")),
        (
            "environments",
            Expected::Runs("www-data/devel/echo/0 is alive"),
        ),
        (
            "hello_world",
            Expected::Runs("Hello, world! This is instance 0 of hello_world."),
        ),
        ("nightly_cron", Expected::Refused("cron")),
        (
            "parameters",
            Expected::Finishes("starting release 1.4.2 as 0"),
        ),
        (
            "pipeline",
            Expected::Finishes("1000 numbers, the greatest is 1000"),
        ),
        ("quota", Expected::NoJob),
        ("retries", Expected::Ends),
        ("sidecar", Expected::Finishes("step 20")),
        ("uses_library", Expected::Runs("")),
        ("web_service", Expected::Runs("")),
    ])
}

/// The examples, by name.
fn examples() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(project().join("dsl-examples")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    let examples = paths.filter(|path| path.extension().is_some_and(|ext| ext == "rhai"));
    examples
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, path.to_str().unwrap().to_owned())
        })
        .collect()
}

fn keys(path: &str) -> Vec<String> {
    let listed = run(client(&["config", "list", path])).expect_code(0).stdout;
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn every_example_is_valid_and_has_an_expectation() {
    let examples = examples();
    for (name, path) in &examples {
        run(client(&["config", "check", path])).expect_code(0);
        assert!(
            expectations().contains_key(name.as_str()),
            "dsl-examples/{name}.rhai is new: say in tests/e2e/examples.rs what becomes of it"
        );
    }
    let gone: Vec<_> = expectations()
        .into_keys()
        .filter(|name| !examples.contains_key(*name))
        .collect();
    assert!(gone.is_empty(), "no longer in dsl-examples/: {gone:?}");
}

#[test]
fn examples_do_what_they_say() {
    let scheduler = Scheduler::start(&["--agent-cpus", "32", "--agent-ram", "64GB"]);
    let examples = examples();
    let expected = expectations();
    let known = |name: &str| {
        expected
            .get(name)
            .map(|expected| (examples[name].clone(), expected))
    };
    // All are submitted before any is waited for: they take their time side by side.
    let submitted: Vec<_> = examples
        .keys()
        .filter_map(|name| known(name))
        .flat_map(|(path, expected)| {
            let keys = keys(&path);
            assert_eq!(
                keys.is_empty(),
                matches!(expected, Expected::NoJob),
                "{path}: {keys:?}"
            );
            keys.into_iter()
                .map(move |key| (path.clone(), key, expected))
        })
        .collect();
    for (path, key, expected) in &submitted {
        let created = scheduler.run(&["job", "create", key, path]);
        match expected {
            Expected::Refused(word) => {
                assert_ne!(created.code, 0, "{created:?}");
                assert!(created.stderr.contains(word), "{created:?}");
            }
            Expected::Runs(_) | Expected::Finishes(_) | Expected::Ends | Expected::NoJob => {
                assert_eq!(created.code, 0, "{created:?}");
            }
        }
    }
    let mut first_of_file = BTreeSet::new();
    for (path, key, expected) in &submitted {
        let first = first_of_file.insert(path);
        match expected {
            Expected::Runs(output) => {
                wait_for(&scheduler, key, "", if first { output } else { "" });
            }
            Expected::Finishes(output) => {
                wait_for(&scheduler, key, "FINISHED", if first { output } else { "" });
            }
            Expected::Ends => wait_for(&scheduler, key, "ENDED", ""),
            Expected::Refused(_) | Expected::NoJob => {}
        }
    }
}

/// Waits until every instance has come as far, and instance 0 has printed this.
fn wait_for(scheduler: &Scheduler, key: &str, state: &str, output: &str) {
    wait::until_ok(|| {
        let status = scheduler
            .run(&["job", "status", key, "--json"])
            .expect_code(0)
            .json();
        let job = &status["jobs"][0];
        let count = |state: &str| job["summary"]["stats"][state].as_u64().unwrap_or(0);
        let wanted = instances(job);
        let far = match state {
            "" => count("running") + count("finished") >= wanted,
            "FINISHED" => count("finished") >= wanted,
            _ => job["summary"]["state"] == "JOB_ENDED",
        };
        if far {
            Ok(())
        } else {
            Err(format!("{key} is to be {state}: {status}"))
        }
    });
    wait::until_ok(|| {
        let logs = scheduler.run(&["task", "logs", &format!("{key}/0")]);
        let said = logs.stdout.contains(output);
        if said {
            Ok(())
        } else {
            Err(format!("{key} is to say {output:?}: {logs:?}"))
        }
    });
}

/// How many instances the job had at first: those that are wanted, and those that have ended.
fn instances(job: &Value) -> u64 {
    let all = ["active", "inactive"]
        .into_iter()
        .flat_map(|part| job[part].as_array());
    let all: BTreeSet<_> = all
        .flatten()
        .map(|task| task["instance"].as_u64())
        .collect();
    u64::try_from(all.len()).unwrap_or(u64::MAX).max(1)
}
