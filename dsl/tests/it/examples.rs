//! Every file of `dsl-examples` is right.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use aurora_core::unsupported::unsupported_features;
use aurora_dsl::{Evaluation, MemoryLoader, Options, Source, evaluate};

fn texts() -> BTreeMap<String, String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dsl-examples");
    let mut texts = BTreeMap::new();
    for folder in ["", "lib"] {
        for entry in fs::read_dir(root.join(folder)).expect("the examples are there") {
            let path = entry.expect("a file").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "rhai")
            {
                let name = path
                    .strip_prefix(&root)
                    .expect("below the root")
                    .display()
                    .to_string();
                texts.insert(name, fs::read_to_string(&path).expect("text"));
            }
        }
    }
    texts
}

fn evaluate_example(name: &str, texts: &BTreeMap<String, String>, options: &Options) -> Evaluation {
    let mut loader = MemoryLoader::new();
    for (name, text) in texts {
        loader = loader.with(name.clone(), text.clone());
    }
    let source = Source::new(name, texts[name].clone());
    evaluate(source, Arc::new(loader), options)
        .map_err(|errors| errors.to_string())
        .expect(name)
}

#[test]
fn every_example_is_right() {
    let texts = texts();
    let files: Vec<&String> = texts
        .keys()
        .filter(|name| !name.starts_with("lib/"))
        .collect();
    assert!(files.len() >= 10, "{files:?}");
    for name in files {
        let evaluation = evaluate_example(name, &texts, &Options::default());
        assert!(!evaluation.is_empty(), "{name}");
        assert_eq!(evaluation.warnings, [], "{name}");
        for job in evaluation.jobs() {
            let unsupported = unsupported_features(job);
            if name == "nightly_cron.rhai" {
                assert_eq!(unsupported.len(), 1, "{name}");
            } else {
                assert_eq!(unsupported, [], "{name}");
            }
        }
    }
}

#[test]
fn parameters_take_binds() {
    let binds = [("release", "2.0"), ("instances", "3"), ("verbose", "TRUE")];
    let binds = binds.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = Options {
        binds: BTreeMap::from(binds),
        ..Options::default()
    };
    let evaluation = evaluate_example("parameters.rhai", &texts(), &options);
    let job = evaluation.jobs().next().expect("a job");
    assert_eq!(job.instances, 3);
    assert_eq!(job.metadata[0].value, "2.0");
    let task = job.task.as_ref().expect("a task");
    assert_eq!(
        task.processes[0].cmdline,
        "echo \"starting release 2.0 --verbose as {{instance}}\"; sleep 10"
    );
}

#[test]
fn environments_differ_as_they_say() {
    let evaluation = evaluate_example("environments.rhai", &texts(), &Options::default());
    let jobs: Vec<(u32, i64)> = evaluation
        .jobs()
        .map(|job| {
            let task = job.task.as_ref().expect("a task");
            (
                job.instances,
                task.resources.as_ref().expect("resources").ram_bytes >> 20,
            )
        })
        .collect();
    assert_eq!(jobs, [(1, 16), (1, 16), (3, 16), (1, 32)]);
}
