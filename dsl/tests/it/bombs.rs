//! Hostile files: each ends quickly in a diagnostic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use aurora_dsl::{MemoryLoader, Options, Source, evaluate};

use crate::support::{bad, run_with};

#[expect(clippy::too_many_lines, reason = "a table")]
fn bombs() -> Vec<(&'static str, String, &'static str)> {
    let many = |part: &str, count: usize| part.repeat(count);
    vec![
        ("loop", "loop {}".into(), "too many operations"),
        ("while", "let x = 0; while true { x += 1; }".into(), "too many operations"),
        ("recursion", "fn f(n) { f(n + 1) } f(0);".into(), "too deeply"),
        ("mutual", "fn f(n) { g(n) } fn g(n) { f(n) } f(0);".into(), "too deeply"),
        ("string", "let s = \"x\"; loop { s += s; }".into(), "too large"),
        ("array", "let a = [1]; loop { a += a; }".into(), "too large"),
        ("nested array", "let a = [1]; loop { a = [a, a]; }".into(), "too large"),
        ("map", "let m = #{}; for i in 0..1000000 { m[`k${i}`] = i; }".into(), "too large"),
        ("map of strings", "let s = \"x\"; s.pad(200000, 'x'); let m = #{}; for i in 0..100000 { m[`k${i}`] = s + i; }".into(), "too large"),
        ("array of strings", "let s = \"x\"; s.pad(200000, 'x'); let a = []; a.pad(9000, 0); for i in 0..9000 { a[i] = s + i; }".into(), "too large"),
        ("this", "let s = \"x\"; s.pad(200000, 'x'); fn grow(s) { for i in 0..100000 { this[`k${i}`] = s + i; } } let m = #{}; m.grow(s);".into(), "too large"),
        ("frames", "fn f(n, s) { let a = []; a.pad(9000, 0); for i in 0..20 { a[i] = s + i; } f(n + 1, s) } let s = \"x\"; s.pad(200000, 'x'); f(0, s);".into(), "too large"),
        ("big strings", "let s = \"x\"; s.pad(200000, 'x'); let a = []; loop { a.push(s); }".into(), "too large"),
        ("pad", "let s = \"x\"; s.pad(2000000000, 'x');".into(), "too large"),
        ("pad text", "let s = \"x\"; s.pad(2000000000, \"xy\");".into(), "too large"),
        ("pad array", "let a = []; a.pad(2000000000, 1);".into(), "too large"),
        (
            "replace",
            "let s = \"x\"; s.pad(200000, 'x'); let t = s; s.replace(\"x\", t); s.replace('x', t);".into(),
            "too large",
        ),
        ("replace empty", "let s = \"x\"; s.pad(200000, 'x'); let t = s; s.replace(\"\", t);".into(), "too large"),
        ("parentheses", format!("let x = {}1{};", many("(", 5000), many(")", 5000)), "error"),
        ("brackets", format!("let x = {}{};", many("[", 5000), many("]", 5000)), "error"),
        ("maps", format!("let x = {}1{};", many("#{a:", 5000), many("}", 5000)), "error"),
        ("blocks", many("{", 5000), "error"),
        ("unary", format!("let x = {}1;", many("-", 5000)), "error"),
        ("not", format!("let x = {}true;", many("!", 5000)), "error"),
        ("sum", format!("let x = 1{};", many(" + 1", 5000)), "error"),
        ("dots", format!("let x = #{{}}; x{};", many(".a", 5000)), "error"),
        ("ifs", format!("{} {}", many("if true {", 5000), many("}", 5000)), "error"),
        ("else ifs", format!("if false {{}} {}", many("else if false {}", 5000)), "error"),
        ("interpolation", many("`${", 5000), "error"),
        ("closures", format!("let x = {}1;", many("|a| ", 5000)), "error"),
        ("source", many("let x = 1;\n", 200_000), "is too large"),
        ("variables", (0..4000).map(|i| format!("let v{i} = {i};\n")).collect(), "error"),
        ("functions", (0..4000).map(|i| format!("fn f{i}() {{}}\n")).collect(), "error"),
        ("eval", "eval(\"1\");".into(), "eval"),
        ("timestamp", "let t = timestamp();".into(), "`timestamp` is not available"),
        ("sleep", "sleep(5);".into(), "`sleep` is not available"),
        ("sleep float", "sleep(5.0);".into(), "`sleep` is not available"),
        ("rand", "rand();".into(), "`rand` is not available"),
        ("exit", "exit(1);".into(), "`exit` is not available"),
        ("nul", "let a = 1;\0".into(), "NUL"),
        ("nul name", crate::support::job_with("contact: \"a\\x00b\""), "NUL"),
        ("open file", "open_file(\"/etc/passwd\");".into(), "no function `open_file"),
        ("blob", "let b = blob(2000000000, 0);".into(), "no function `blob"),
        ("overflow", "let x = 9223372036854775807 + 1;".into(), "error"),
        ("objects", "let s = \"x\"; s.pad(200000, 'x'); loop { process(#{ name: \"a\", cmdline: s + \"y\" }); }".into(), "too much text"),
        ("jobs", "let t = simple_task(\"t\", \"true\"); for i in 0..20000 { job(#{ cluster: \"c\", role: \"r\", environment: \"prod\", name: `n${i}`, task: t }); }".into(), "error"),
        ("task size", "let s = \"x\"; s.pad(70000, 'x'); job(#{ cluster: \"c\", role: \"r\", environment: \"prod\", name: \"n\", task: simple_task(\"t\", s) });".into(), "when encoded"),
        ("catch", "loop { try { loop {} } catch { } }".into(), "too many operations"),
        ("throw", "throw \"x\";".into(), "x"),
        ("range", "let a = []; for i in 0..9223372036854775807 { a.push(i); }".into(), "too large"),
        ("errors", "loop { process(#{ nmae: 1 }); }".into(), "has no field `nmae`"),
        ("print", "loop { print(\"x\"); }".into(), "too many operations"),
        ("fn pointers", "let f = |x, g| g.call(x, g); f.call(1, f);".into(), "too deeply"),
        ("empty import", "import \"\" as a;".into(), "no path"),
    ]
}

#[test]
fn each_bomb_ends_in_a_diagnostic() {
    for (name, text, expected) in bombs() {
        let started = elapsed();
        let found = bad(&text);
        assert!(found.contains(expected), "{name}: {found}");
        assert!(
            found.len() < 100_000,
            "{name}: {} bytes of diagnostics",
            found.len()
        );
        let took = started();
        println!("{name}: {took:?}");
        assert!(
            took < Duration::from_secs(20),
            "{name} took {took:?} even for an unoptimised build"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test itself watches real time"
)]
fn elapsed() -> impl Fn() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}

#[test]
fn caller_ends_it_when_time_is_up() {
    let looks = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&looks);
    let options = Options {
        out_of_time: Some(Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed) >= 3
        })),
        ..Options::default()
    };
    let source = Source::new("job.rhai", "let x = 0;\nloop { x += 1; }");
    let found = evaluate(source, Arc::new(MemoryLoader::new()), &options).expect_err("stopped");
    assert_eq!(
        found.entries[0].message,
        "the file takes too long to evaluate"
    );
    assert_eq!(
        found.entries[0].location.as_ref().map(|at| at.line),
        Some(2)
    );
    assert_eq!(looks.load(Ordering::Relaxed), 4);
}

#[test]
fn imports_cannot_be_used_to_escape_or_to_run_on() {
    let loader = MemoryLoader::new()
        .with("a.rhai", "import \"b\" as b;")
        .with("b.rhai", "import \"a\" as a;")
        .with("self.rhai", "import \"self\" as s;")
        .with("loop.rhai", "loop {}")
        .with("root.rhai", "import \"job\" as j;")
        .with("syntax.rhai", "\nlet x = ;");
    let chain = (0..30).fold(loader, |loader, i| {
        loader.with(format!("n{i}.rhai"), format!("import \"n{}\" as n;", i + 1))
    });
    for (text, expected) in [
        (
            "import \"../etc/passwd\" as p;",
            "lies outside of the directory",
        ),
        (
            "import \"/etc/passwd\" as p;",
            "lies outside of the directory",
        ),
        ("import \"nowhere\" as p;", "no file `nowhere.rhai`"),
        (
            "import \"a\" as a;",
            "files import each other: a.rhai -> b.rhai -> a.rhai",
        ),
        (
            "import \"self\" as a;",
            "files import each other: self.rhai -> self.rhai",
        ),
        ("import \"root\" as a;", "no file `job.rhai`"),
        ("import \"loop\" as a;", "loop.rhai:1:"),
        ("import \"n0\" as a;", "nested more than 8 deep"),
        ("import \"syntax\" as a;", "syntax.rhai:2:9: error"),
    ] {
        let found = run_with(text, &[], chain.clone())
            .expect_err(text)
            .to_string();
        assert!(found.contains(expected), "{text}: {found}");
    }
}

#[test]
fn operations_are_counted_over_all_files() {
    let busy = "for i in 0..20000 {}";
    let loader = (0..30).fold(MemoryLoader::new(), |loader, i| {
        loader.with(format!("l{i}.rhai"), busy)
    });
    let text: String = (0..30)
        .map(|i| format!("import \"l{i}\" as l{i};\n"))
        .collect();
    let found = run_with(&text, &[], loader)
        .expect_err("too much")
        .to_string();
    assert!(found.contains("too many operations"), "{found}");
}
