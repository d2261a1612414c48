//! Job files that are wrong or hostile: told quickly, precisely, and without harm.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use aurora_tests::background::Background;
use aurora_tests::scheduler::{client, run, work_dir};
use aurora_tests::wait::Stopwatch;
use rustix::process::{Resource, getrlimit};

/// Checks may take so long on an idle machine; here others are at work.
const LIMIT: Duration = Duration::from_secs(5);

const TASK: &str = r#"task: simple_task("a", "true")"#;

/// Returns a job file with `extra` among the job's fields, which are all on its first line.
fn job(extra: &str) -> String {
    format!(r#"job(#{{ cluster: "local", role: "r", environment: "devel", name: "n", {extra} }});"#)
}

fn check(dir: &Path, name: &str, content: &[u8]) -> (i32, String) {
    let path = dir.join(format!("{name}.rhai"));
    std::fs::write(&path, content).unwrap();
    let mut command = client(&["config", "check", &format!("{name}.rhai")]);
    command.current_dir(dir);
    let watch = Stopwatch::start();
    let ran = run(command);
    assert!(watch.elapsed() < LIMIT, "{name} took {:?}", watch.elapsed());
    assert_eq!(ran.stdout, "", "{name}");
    (ran.code, ran.stderr)
}

/// Returns a job file with a task of the process `a` and another one.
fn two(other: &str, order: &str) -> String {
    format!(
        "let a = process(#{{ name: \"a\", cmdline: \"true\" }});\n\
         let b = process(#{{ name: \"{other}\", cmdline: \"true\" }});\n\
         job(#{{ cluster: \"local\", role: \"r\", environment: \"devel\", name: \"n\",\n\
         task: task(#{{ processes: [a, b], constraints: {order},\n\
         resources: resources(#{{ cpu: 0.1, ram: 16 * MB, disk: 16 * MB }}) }}) }});"
    )
}

/// Files with one mistake each: a name, the content, where the mistake is, what is said of it.
#[rustfmt::skip]
fn mistakes() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let twice = format!("{0}\n{0}", job(TASK));
    let cycle = two("b", "order(a, b) + order(b, a)");
    vec![
        ("unknown", job(&format!("instancs: 2, {TASK}")), ":1:70:", "did you mean `instances`?"),
        ("type", job(&format!("instances: \"two\", {TASK}")), ":1:70:", "must be an integer"),
        ("missing", job(""), ":1:1:", "task"),
        ("cycle", cycle, ":4:", "a -> b -> a"),
        ("names", two("a", "[]"), ":2:", "two processes of the task are called `a`"),
        ("jobs", twice, ":2:1:", "declared twice"),
        ("unbound", job(&TASK.replace("true", "{{nosuch}}")), ":1:", "unknown reference"),
        ("syntax", "job(#{".to_owned(), ":1:", "error"),
        ("variable", "let x = y;".to_owned(), ":1:9:", "y"),
        ("parameter", "let x = param(\"must\");".to_owned(), ":1:", "must"),
    ]
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let dir = work_dir();
    for (name, content, place, said) in mistakes() {
        let (code, stderr) = check(dir.path(), name, content.as_bytes());
        assert_eq!(code, 3, "{name}: {stderr}");
        assert!(
            stderr.contains(&format!("{name}.rhai{place}")),
            "{name}: {stderr}"
        );
        assert!(stderr.contains(said), "{name}: no {said:?} in {stderr}");
    }
    // All at once.
    let both = job(&format!("instancs: 2, contct: 3, {TASK}"));
    let (_, stderr) = check(dir.path(), "both", both.as_bytes());
    assert!(
        stderr.contains("instancs") && stderr.contains("contct"),
        "{stderr}"
    );
}

/// Files that would take all time or memory, or reach where they should not.
#[rustfmt::skip]
const HOSTILE: [(&str, &str, &str); 12] = [
    ("loop", "let i = 0; while true { i += 1; }", "the file takes too"),
    ("string", "let s = \"x\"; loop { s += s; }", "too large"),
    ("array", "let a = []; loop { a.push(a); }", "too large"),
    ("map", "let m = #{}; loop { m = #{ a: m, b: m }; }", ""),
    ("pad", "let s = \"x\"; s.pad(1000000000, \"x\");", ""),
    ("range", "let a = []; for i in 0..1000000000 { a.push(\"x\" + i); }", ""),
    ("deep", "fn f(x) { f(x + 1) } f(1);", "too deeply"),
    ("clones", "let s = \"x\"; s.pad(1000000, \"y\"); let a = []; loop { a.push(s + \"z\"); }", ""),
    ("outside", "import \"../../etc/x\" as x;", "lies outside"),
    ("absolute", "import \"/etc/passwd\" as x;", "outside"),
    ("itself", "import \"itself\" as x;", ""),
    ("evaluate", "eval(\"loop {}\");", ""),
];

#[test]
fn hostile_files_end_soon() {
    let dir = work_dir();
    let nested = "[".repeat(20_000);
    for (name, content, said) in HOSTILE.into_iter().chain([("nested", nested.as_str(), "")]) {
        let (code, stderr) = check(dir.path(), name, content.as_bytes());
        assert_eq!(code, 3, "{name}: {stderr}");
        assert!(stderr.contains(said), "{name}: no {said:?} in {stderr}");
        assert!(!stderr.contains("panicked"), "{name}: {stderr}");
    }
}

#[test]
fn files_that_are_none_are_refused() {
    let dir = work_dir();
    let secret = tempfile::NamedTempFile::with_suffix(".rhai").unwrap();
    secret
        .as_file()
        .write_all(b"export const X = \"secret-content\";")
        .unwrap();
    std::os::unix::fs::symlink(secret.path(), dir.path().join("evil.rhai")).unwrap();
    let linked = b"import \"evil\" as e; print(e::X);";
    let noise: Vec<u8> = (0..5000_u32)
        .map(|n| (n * 7919 % 251).to_le_bytes()[0])
        .collect();
    for (name, content, said) in [
        ("symlink", linked.as_slice(), "outside"),
        ("binary", &noise, "binary"),
        ("empty", b"", "empty"),
        ("blank", b" \n\n// nothing\n", ""),
        ("latin1", b"// caf\xe9\n", ""),
    ] {
        let (code, stderr) = check(dir.path(), name, content);
        assert_eq!(code, 3, "{name}: {stderr}");
        assert!(stderr.contains(said), "{name}: no {said:?} in {stderr}");
        assert!(!stderr.contains("secret-content"), "{name}: {stderr}");
    }
    for path in ["missing.rhai", ".", "/dev/zero"] {
        let mut command = client(&["config", "check", path]);
        command.current_dir(dir.path());
        let watch = Stopwatch::start();
        run(command).expect_code(3);
        assert!(watch.elapsed() < LIMIT, "{path} took {:?}", watch.elapsed());
    }
    // A pipe that nobody writes to is not waited for.
    let pipe = dir.path().join("pipe.rhai");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let command = client(&["config", "check", pipe.to_str().unwrap()]);
    let mut check = Background::start(dir.path(), "pipe", command).unwrap();
    assert_eq!(check.wait(), 3, "{}", check.stderr());
}

/// A memory bomb is stopped by the limit of the child process that evaluates it, well below what
/// this machine has.
#[test]
fn memory_stays_bounded() {
    let dir = work_dir();
    let bomb = "let a = []; loop { let b = []; for i in 0..1000 { b.push(`${i}`); } a += b; }";
    std::fs::write(dir.path().join("bomb.rhai"), bomb).unwrap();
    // The whole tree of the command gets along with this much, stack and libraries included.
    let limit = 1 << 20;
    let most = getrlimit(Resource::As)
        .maximum
        .map_or(limit, |most| limit.min(most >> 10));
    let script = format!("ulimit -v {most}; exec \"$0\" config check bomb.rhai");
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", &script])
        .arg(aurora_tests::scheduler::binary())
        .current_dir(dir.path());
    let ran = run(command).expect_code(3);
    assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    assert!(!ran.stderr.is_empty());
}
