//! Verbs that ask nobody: job files, usage, clusters.

use std::{
    os::unix::fs::symlink,
    process::Stdio,
    time::{Duration, SystemTime},
};

use crate::command::{JOBS, Place, Run};

fn check(file: &str, content: impl AsRef<[u8]>) -> Run {
    let place = Place::new();
    place.write(file, content);
    place.run(&["config", "check", file])
}

#[test]
fn valid_file_is_listed_and_inspected() {
    let place = Place::new();
    place.write("jobs.rhai", JOBS);
    place
        .run(&["config", "check", "jobs.rhai"])
        .exits(0)
        .prints("jobs.rhai: valid, 2 jobs\n");
    place
        .run(&["config", "list", "jobs.rhai"])
        .exits(0)
        .prints("local/www-data/devel/hello\nlocal/www-data/prod/web\n");
    let key = "local/www-data/devel/hello";
    let raw = place
        .run(&[
            "job",
            "inspect",
            key,
            "jobs.rhai",
            "--raw",
            "--bind",
            "who=you",
        ])
        .exits(0);
    let config: serde_json::Value = serde_json::from_str(&raw.stdout).unwrap();
    assert_eq!(config["task"]["processes"][0]["cmdline"], "echo hello you");
    let json = place
        .run(&["config", "inspect", key, "jobs.rhai", "--json"])
        .exits(0);
    assert_eq!(json.json("job-inspect")["config"]["instances"], 2);
}

#[test]
fn missing_job_names_the_nearest() {
    let place = Place::new();
    place.write("jobs.rhai", JOBS);
    place
        .run(&[
            "config",
            "inspect",
            "local/www-data/devel/helo",
            "jobs.rhai",
        ])
        .exits(3)
        .says("did you mean `local/www-data/devel/hello`?");
}

#[test]
fn every_error_of_a_file_is_told_with_its_place() {
    let run = check(
        "bad.rhai",
        "job(#{ clustr: \"local\",\n       role: 3 });\n",
    )
    .exits(3);
    assert!(run.stdout.is_empty(), "{run:#?}");
    run.says("bad.rhai:1:")
        .says("did you mean `cluster`?")
        .says("bad.rhai:2:")
        .says("role: 3");
}

#[test]
fn errors_come_as_json_too() {
    let place = Place::new();
    place.write("bad.rhai", "job(#{});");
    place.write("jobs.rhai", JOBS);
    let run = place
        .run(&["config", "check", "jobs.rhai", "bad.rhai", "--write-json"])
        .exits(3);
    let document = run.json("config-check");
    assert_eq!(document["valid"], false);
    assert_eq!(document["files"][0]["valid"], true);
    assert_eq!(document["files"][1]["problems"][0]["line"], 1);
}

#[test]
fn hostile_files_end_in_an_error() {
    let deep = format!("let x = {}1{};", "(".repeat(50_000), ")".repeat(50_000));
    let blocks = format!("{}{}", "{".repeat(100_000), "}".repeat(100_000));
    let many = "let a = 1;\n".repeat(4_000);
    for (what, text) in [
        ("loop", "loop { }"),
        ("string", "let s = \"x\"; loop { s += s; }"),
        ("array", "let a = [1]; loop { a += a; }"),
        (
            "many strings",
            "let a = []; loop { a.push(\"x\".repeat(1000) + a.len()); }",
        ),
        ("pad", "let a = []; a.pad(2000000000, \"xxxxxxxx\");"),
        (
            "map",
            "let m = #{}; for i in 0..1000000000 { m[`k${i}`] = i; }",
        ),
        ("recursion", "fn f(x) { f(x + 1) } f(0);"),
        ("deep expression", deep.as_str()),
        ("deep blocks", blocks.as_str()),
        ("eval", "eval(\"1\");"),
        ("sleep", "sleep(100);"),
        ("many variables", many.as_str()),
        ("throw", "throw \"no\";"),
        ("syntax", "job(#{"),
        ("nothing", "// nothing"),
        ("own import", "import \"x\" as x;"),
    ] {
        let start = SystemTime::now();
        let run = check("x.rhai", text);
        let took = start.elapsed().unwrap();
        assert_eq!(run.code, Some(3), "{what}: {run:#?}");
        assert!(
            !run.stderr.contains("fault of aurora-rs"),
            "{what}: {run:#?}"
        );
        assert!(took < Duration::from_secs(8), "{what} took {took:?}");
    }
}

#[test]
fn files_that_are_no_text_are_told_apart() {
    check("x.rhai", b"\x7fELF\0\0")
        .exits(3)
        .says("`x.rhai` is a binary file");
    check("x.rhai", b"// caf\xe9")
        .exits(3)
        .says("not UTF-8 text: byte 7");
    check("x.rhai", b"").exits(3).says("`x.rhai` is empty");
    check("x.rhai", vec![b' '; 2 << 20])
        .exits(3)
        .says("at most 1048576");
    check("d/x.rhai", b"").exits(3);
    let place = Place::new();
    place
        .run(&["config", "check", "none.rhai"])
        .exits(3)
        .says("no file `none.rhai`");
    place
        .run(&["config", "check", "."])
        .exits(3)
        .says("is a directory");
    place
        .run(&["config", "check", "/dev/zero"])
        .exits(3)
        .says("is no regular file");
}

#[test]
fn imports_stay_below_the_file() {
    let place = Place::new();
    place.write("jobs/lib/common.rhai", "export const NAME = \"hello\";");
    place.write("secret.rhai", "export const NAME = \"secret\";");
    symlink(place.path("secret.rhai"), place.path("jobs/link.rhai")).unwrap();
    let job = |import: &str| {
        let text = format!(
            "import \"{import}\" as c;\njob(#{{ cluster: \"local\", role: \"r\", environment: \
             \"devel\", name: c::NAME, task: simple_task(\"t\", \"true\") }});"
        );
        place.write("jobs/main.rhai", text);
        place.run(&["config", "list", "jobs/main.rhai"])
    };
    job("lib/common").exits(0).prints("local/r/devel/hello\n");
    let absolute = place.path("secret").display().to_string();
    for outside in ["../secret", "lib/../../secret", "link", &absolute] {
        job(outside).exits(3).says("outside");
    }
    job("nothing").exits(3).says("jobs/nothing.rhai");
}

#[test]
fn unknown_parameters_are_errors() {
    let place = Place::new();
    place.write("jobs.rhai", JOBS);
    place
        .run(&["config", "list", "jobs.rhai", "--bind", "whom=you"])
        .exits(3)
        .says("did you mean `who`?");
    place
        .run(&["config", "list", "jobs.rhai", "--bind", "who"])
        .exits(2)
        .says("NAME=VALUE");
}

#[test]
fn wrong_usage_exits_with_2() {
    let place = Place::new();
    for arguments in [
        &["job", "create", "local/a/b", "x.rhai"][..],
        &["job", "kill", "local/a/b/c/1-2-3"],
        &["job", "kill", "local/a/b/c/3-1"],
        &["job", "kill", "local/a/b/c/0", "--batch-size", "0"],
        &["job", "add", "local/a/b/c", "1"],
        &["job", "status", "a/b/c/d/e"],
        &["job", "nothing"],
        &[
            "job",
            "create",
            "local/a/b/c",
            "x.rhai",
            "--wait-until",
            "LOST",
        ],
        &["admin", "query", "--state", "RUNNIN"],
        &["scheduler", "--engine", "mesos"],
    ] {
        let run = place.run(arguments).exits(2);
        assert!(
            run.stdout.is_empty() && run.stderr.starts_with("error: "),
            "{run:#?}"
        );
    }
    place
        .run(&["update", "start"])
        .exits(2)
        .says("hint: `update` is not in this release");
}

#[test]
fn unreachable_scheduler_is_told_with_its_address() {
    let place = Place::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let run = place
        .run(&["job", "list", "local", "--scheduler-uri", &uri])
        .exits(7);
    run.says(&format!("no scheduler answers at {uri}"))
        .says("aurora-rs dev");
    place.write(
        ".aurora/clusters.json",
        format!(r#"[{{"name": "x", "scheduler_uri": "{uri}"}}]"#),
    );
    place.run(&["job", "list", "x"]).exits(7).says(&uri);
    place
        .run(&["job", "list", "y"])
        .exits(3)
        .says("known clusters: local, x");
    place.write(".aurora/clusters.json", "[{]");
    place
        .run(&["job", "list", "x"])
        .exits(3)
        .says("clusters.json");
}

#[test]
fn reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut child = place
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn manual_has_a_page_for_each_command() {
    let place = Place::new();
    place.run(&["man", "pages"]).exits(0);
    for page in [
        "aurora-rs",
        "aurora-rs-job-create",
        "aurora-rs-admin-hosts-list",
    ] {
        let text = std::fs::read_to_string(place.path(&format!("pages/{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(!place.path("pages/aurora-rs-executor.1").exists());
}

#[test]
fn no_color_reaches_a_pipe() {
    let run = check("bad.rhai", "job(#{});");
    assert!(!run.stderr.contains('\u{1b}'), "{run:#?}");
}
