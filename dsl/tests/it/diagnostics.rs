//! What users are told, and where it points.

use aurora_dsl::{MemoryLoader, Severity};

use crate::support::{bad, faults, good, job_with, run, run_with};

#[test]
fn text_form_shows_the_field() {
    let text = "let fetch = process(#{\n    nmae: \"fetch\",\n    name: \"a\",\n    cmdline: \"curl\",\n});";
    assert_eq!(
        bad(text),
        "job.rhai:2:5: error: `process` has no field `nmae`\n\
         \x20  |\n\
         \x202 |     nmae: \"fetch\",\n\
         \x20  |     ^^^^^^^^^^^^^\n\
         \x20 help: did you mean `name`?\n"
    );
}

#[test]
fn all_errors_come_at_once_in_order() {
    let text = r#"let fetch = process(#{ nmae: "fetch", cmdline: "curl {{instnce}}" });
let serve = process(#{
    name: "se/rve",
    cmdline: 3,
    max_failures: -1,
    daemon: "true",
    min_duration: 1.5,
});
let good = process(#{ name: "good", cmdline: "true" });
let other = process(#{ name: "other", cmdline: "true" });
let t = task(#{
    processes: [good, other],
    constraints: [order(good, other), order("gud", good)],
    resources: resources(#{ cpu: -1, ram: 512, disk: "1XB" }),
});
let base = #{ cluster: "c", role: "r r", tier: "prefered" };
service(base + #{ environment: "production", name: "x", task: t, instances: "3",
    constraints: #{ host: "limit:x" } });
job(#{ cluster: "c", role: "r", environment: "prod", name: "n", task: simple_task("a", "b") });
job(#{ cluster: "c", role: "r", environment: "prod", name: "n", task: simple_task("a", "b") });
let x = good + #{ cmdline: "{{x" };
porcess(#{});
"#;
    assert_eq!(
        faults(text),
        [
            "1:13: `process` needs the field `name`",
            "1:24: `process` has no field `nmae`",
            "1:39: `process.cmdline` holds an unknown reference `{{instnce}}`",
            "3:5: `process.name` must hold no `/` and not begin with `.`, got \"se/rve\"",
            "4:5: `process.cmdline` must be a string, got the integer 3",
            "5:5: `process.max_failures` must be at least 0, got -1",
            "6:5: `process.daemon` must be true or false, got the string \"true\"",
            "7:5: `process.min_duration` must be an integer, got the number 1.5",
            "13:39: the order names `gud`, which is no process of the task",
            "14:29: `resources.cpu` must be greater than 0, got -1",
            "14:38: `resources.ram` must be at least 1 MB, got 512 bytes",
            "14:48: `resources.disk` must be a size such as 256 * MB or \"256MB\", got the string \"1XB\"",
            "16:29: `service.role` must not contain ' ', got \"r r\"",
            "16:42: `service.tier` does not know the tier \"prefered\"",
            "17:19: `service.environment` does not know the environment \"production\"",
            "17:66: `service.instances` must be an integer, got the string \"3\"",
            "18:21: `constraints.host` must be `limit:` and a number from 1 on, got \"x\"",
            "20:1: the job c/r/prod/n is declared twice",
            "21:19: `process.cmdline` holds a bad reference: `{{x` has no closing `}}`",
            "22:1: no function `porcess (map)`",
        ]
    );
}

#[test]
fn a_mistake_in_a_loop_is_told_once() {
    assert_eq!(
        faults("for i in 0..50 { process(#{ name: \"a\", cmdline: \"b\", x: i }); }").len(),
        1
    );
}

#[test]
fn duplicates_name_both_places() {
    let quota = "quota(#{ cluster: \"c\", role: \"r\", cpu: 1, ram: 1, disk: 1 });\n";
    let found = bad(&quota.repeat(2));
    assert!(
        found.contains("job.rhai:2:1: error: the quota of c/r is declared twice"),
        "{found}"
    );
    assert!(
        found.contains("note: job.rhai:1:1: first declared here"),
        "{found}"
    );
}

#[test]
fn fields_of_plain_maps_are_found_too() {
    let text = "service(#{\n    cluster: \"local\", environment: \"prod\", name: \"x\",\n    task: task(#{ processes: [#{ name: \"a\", cmdlin: \"b\" }] }),\n    update_config: #{ batch_size: 0 },\n    role: 1 });";
    assert_eq!(
        faults(text),
        [
            "3:11: `task` needs the field `resources`",
            "3:31: `process` needs the field `cmdline`",
            "3:45: `process` has no field `cmdlin`",
            "4:23: `update_config.batch_size` must be at least 1, got 0",
            "5:5: `service.role` must be a string, got the integer 1",
        ]
    );
}

#[test]
fn syntax_and_run_time_errors_have_places_and_hints() {
    for (text, place, hint) in [
        ("let x = ;", "job.rhai:1:9: error", ""),
        ("service(#{ cluster: \"a\" ", "job.rhai:1:", ""),
        (
            "fn f() { X } const X = 1; f();",
            "job.rhai:1:10: error: Undefined variable: X",
            "`global::X`",
        ),
        (
            "let with = 1;",
            "job.rhai:1:5: error",
            "word of the language",
        ),
        (
            "let m = 4 * Mb;",
            "job.rhai:1:13: error",
            "did you mean `MB`?",
        ),
        (
            "process()",
            "job.rhai:1:1: error",
            "`process` takes one map",
        ),
        (
            "process(1)",
            "`process` takes one map, got the integer 1",
            "field: value",
        ),
        (
            "servce(#{})",
            "job.rhai:1:1: error: no function `servce (map)`",
            "did you mean `service`?",
        ),
        ("let a = #{};\n\n  a.b", "job.rhai:3:", ""),
        (
            "fn f(x) { g(x) }\nfn g(x) { x + [] * 2 }\nf(1);",
            "job.rhai:2:18: error",
            "",
        ),
        (
            "fn f(x) { g(x) }\nfn g(x) { x + [] * 2 }\nf(1);",
            "note: job.rhai:3:1: in this call of `f`",
            "",
        ),
        ("throw \"own\";", "job.rhai:1:1: error: own", ""),
    ] {
        let found = bad(text);
        assert!(
            found.contains(place) && found.contains(hint),
            "{text}: {found}"
        );
    }
}

#[test]
fn errors_in_libraries_show_both_files() {
    let loader = MemoryLoader::new().with(
        "lib.rhai",
        "fn make(n) {\n    process(#{ name: n, cmdline: \"\" })\n}\nfn broken() { [] * 2 }",
    );
    let text = "import \"lib\" as lib;\nlib::make(\"a/b\");\nlib::broken();";
    let found = run_with(text, &[], loader).expect_err("wrong").to_string();
    for expected in [
        "lib.rhai:2:16: error: `process.name`",
        "lib.rhai:2:25: error: `process.cmdline` must not be empty",
        "lib.rhai:4:18: error: no function `* (array, integer)`",
        "note: job.rhai:3:6: in this call of `broken`",
    ] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
}

#[test]
fn libraries_declare_nothing() {
    let loader = MemoryLoader::new().with("lib.rhai", "quota(#{});");
    let found = run_with("import \"lib\" as lib;", &[], loader)
        .expect_err("wrong")
        .to_string();
    assert!(
        found.contains("lib.rhai:1:1: error: `quota` is called while `lib.rhai` is imported"),
        "{found}"
    );
    let loader = MemoryLoader::new().with(
        "lib.rhai",
        "fn declare() { quota(#{ cluster: \"c\", role: \"r\", cpu: 1, ram: 1, disk: 1 }); }",
    );
    let text = "import \"lib\" as lib; lib::declare();";
    assert_eq!(
        run_with(text, &[], loader).expect("right").quotas().count(),
        1
    );
}

#[test]
fn orders_are_checked() {
    let task = |orders: &str| {
        format!(
            "let p = |name, more| process(#{{ name: name, cmdline: \"x\" }} + more);\n\
             let a = p.call(\"a\", #{{}}); let b = p.call(\"b\", #{{}});\n\
             let d = p.call(\"d\", #{{ daemon: true }}); let e = p.call(\"e\", #{{ ephemeral: true }});\n\
             let f = p.call(\"f\", #{{ final: true }});\n\
             task(#{{ processes: [a, b, d, e, f], resources: #{{ cpu: 1, ram: 1 * MB, disk: 1 * MB }},\n\
             constraints: {orders} }});"
        )
    };
    good(&task(
        "order(a, b) + order(a, d) + order(a, e) + [[\"b\", \"d\"]]",
    ));
    for (orders, message) in [
        (
            "order(a, b) + order(b, a)",
            "wait for each other: a -> b -> a",
        ),
        ("order(a, b, a)", "names `a` twice"),
        ("order(a, \"c\")", "names `c`, which is no process"),
        ("order(\"x\", \"y\")", "names `x`, which is no process"),
        ("order(a, f)", "mixes `a` with `f`, which is final"),
        ("order(d, a)", "`a` waits for `d`, a daemon"),
        ("order(e, a)", "`a` waits for `e`, which is ephemeral"),
        ("order([])", "names no process"),
        ("order(1)", "`order.order` must be a string"),
        ("3", "`task.constraints` must be a list of order(…)"),
    ] {
        let found = bad(&task(orders));
        assert!(found.contains(message), "{orders}: {found}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn rules_of_whole_jobs_are_checked() {
    for (fields, message) in [
        (
            "instances: 0",
            "3:1: `job.instances` must be at least 1, got 0",
        ),
        ("instances: 10001", "`job.instances` must be at most 10000"),
        ("instances: 1.9", "must be an integer, got the number 1.9"),
        ("priority: 2000000", "`job.priority` must be at most"),
        (
            "max_task_failures: -2",
            "`job.max_task_failures` must be at least -1",
        ),
        ("cron_schedule: \"* * *\"", "must have five fields"),
        ("cron_schedule: \"0 0 1 1 7\"", "bad day of week"),
        (
            "service: true, cron_schedule: \"0 0 * * *\"",
            "cannot be a service",
        ),
        (
            "cron_timezone: \"UTC\"",
            "has no effect without `cron_schedule`",
        ),
        (
            "cron_schedule: \"0 0 * * *\", cron_timezone: \"Europe/Berln\"",
            "is not a time zone",
        ),
        (
            "cron_schedule: \"0 0 * * *\", cron_collision_policy: \"RUN_OVERLAP\"",
            "must be one of",
        ),
        (
            "update_config: update_config(#{ max_total_failures: 1 })",
            "must be less than the 1 instances",
        ),
        (
            "update_config: update_config(#{ pulse_interval_secs: 59 })",
            "must be at least 60",
        ),
        (
            "update_config: update_config(#{ batch_size: 2, update_strategy: queue_update_strategy(#{}) })",
            "has no effect beside",
        ),
        (
            "update_config: update_config(#{ wait_for_batch_completion: true, update_strategy: batch_update_strategy(#{}) })",
            "different things",
        ),
        (
            "update_config: update_config(#{ update_strategy: variable_batch_update_strategy(#{ batch_sizes: [] }) })",
            "must not be empty",
        ),
        (
            "update_config: update_config(#{ update_strategy: #{ batch_size: 1 } })",
            "must be queue_update_strategy",
        ),
        (
            "update_config: update_config(#{ sla_aware: true })",
            "needs an `sla_policy`",
        ),
        (
            "sla_policy: count_sla_policy(#{ count: 1, duration_secs: 1 }), tier: \"preferred\"",
            "must be less than",
        ),
        (
            "sla_policy: percentage_sla_policy(#{ percentage: 99.0, duration_secs: 1 }), tier: \"preferred\"",
            "leaves none",
        ),
        (
            "sla_policy: coordinator_sla_policy(#{ coordinator_url: \"http://x\" })",
            "needs the tier",
        ),
        (
            "constraints: #{ dedicated: \"other/x\" }",
            "`constraints.dedicated` must be \"r/…\"",
        ),
        (
            "constraints: #{ host: 1 }",
            "`job.constraints.host` must be a string",
        ),
        (
            "announce: announcer(#{ portmap: #{ http: 80 } })",
            "needs dedicated hosts",
        ),
        (
            "announce: announcer(#{ portmap: #{ a: \"b\", b: \"a\" } })",
            "stand for each other",
        ),
        (
            "announce: announcer(#{ portmap: #{ a: 70000 } })",
            "at most 65535",
        ),
        (
            "health_check_config: http_health_check(#{ timeout_secs: 0 })",
            "must be greater than 0",
        ),
        (
            "health_check_config: http_health_check(#{ endpoint: \"health\" })",
            "begins with `/`",
        ),
        (
            "health_check_config: health_check_config(#{ interval_secs: 1, health_checker: shell_health_check(#{ shell_command: \"x\", interval_secs: 2 }) })",
            "given here and in the checker",
        ),
        (
            "lifecycle: http_lifecycle(#{ shutdown_wait_secs: -1 })",
            "must be at least 0",
        ),
        (
            "container: #{ image: \"x\" }",
            "must be docker(#{…}) or mesos",
        ),
        (
            "container: mesos(#{ volumes: [volume(#{ container_path: \"/a\", host_path: \"/b\", mode: \"rx\" })] })",
            "must be one of",
        ),
        ("task_links: #{ a: 1 }", "must be a string"),
        ("metadata: #{ a: 1 }", "must be a string"),
        ("production: \"yes\"", "must be true or false"),
    ] {
        let found = faults(&job_with(fields)).join("\n");
        assert!(found.contains(message), "{fields}: {found}");
    }
}

#[test]
fn names_follow_their_rules() {
    let job = |role: &str, name: &str, process: &str| {
        format!(
            "job(#{{ cluster: \"c\", role: {role:?}, environment: \"prod\", name: {name:?}, \
             task: simple_task({process:?}, \"x\") }});"
        )
    };
    let long = "a".repeat(256);
    good(&job("deV.prod", ".devprod..", "any name"));
    for text in [
        job("a b", "n", "p"),
        job("", "n", "p"),
        job("r", "a/b", "p"),
        job("r", &long, "p"),
        job("r", "{{instance}}", "p"),
        job("r", "n\n", "p"),
        job("r", "n", ".p"),
        job("r", "n", "a/b"),
        job("r", "n", ""),
        job("r", "n", &long),
    ] {
        assert_eq!(faults(&text).len(), 1, "{text}: {:?}", faults(&text));
    }
}

#[test]
fn run_references_need_a_cron_job() {
    let text = "job(#{ cluster: \"c\", role: \"r\", environment: \"prod\", name: \"n\",\n\
                task: simple_task(\"t\", \"x {{run.id}}\") });";
    assert_eq!(
        faults(text),
        ["2:7: `t` uses `{{run.…}}`, which only cron jobs have"]
    );
}

#[test]
fn warnings_do_not_fail_a_file() {
    let evaluation = good(&job_with("production: true"));
    assert_eq!(evaluation.warnings.len(), 1);
    assert_eq!(evaluation.warnings[0].severity, Severity::Warning);
    assert!(good("").is_empty() && good("").empty_message().is_some());
    assert_eq!(
        run("print(\"hello\"); print(1);").expect("right").output,
        ["hello", "1"]
    );
}

#[test]
fn parameters_are_checked() {
    let text = "let a = param(\"a\", 1); let b = param(\"b\"); let c = param(\"c\");";
    let none = MemoryLoader::new;
    let found = run_with(text, &[("a", "x"), ("d", "1")], none())
        .expect_err("wrong")
        .to_string();
    for expected in [
        "the parameter `a` must be integer, got \"x\"",
        "the parameter `b` is required",
        "the parameter `c` is required",
        "the file has no parameter `d`",
    ] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
    // A missing parameter is told once, not again wherever its value is used.
    let text = "job(#{ cluster: \"c\", role: param(\"role\"), environment: \"prod\", \
                task: simple_task(\"t\", `x ${param(\"cmd\")}`), instances: param(\"n\") });";
    assert_eq!(faults(text).len(), 3, "{:?}", faults(text));
    let twice = "param(\"a\", 1); param(\"a\", 2);";
    assert!(
        bad(twice).contains("with another default"),
        "{}",
        bad(twice)
    );
    assert!(bad("param(\"a b\", 1);").contains("no name for a parameter"));
    assert!(bad("param(\"a\", [1]);").contains("has a wrong type"));
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let text = format!("\u{feff}{}", job_with(""));
    assert_eq!(good(&text).declarations.len(), 1);
    let place = &faults("\u{feff}let a = b;")[0];
    assert!(place.starts_with("1:9: "), "{place}");
    let loader = MemoryLoader::new().with("lib.rhai", "\u{feff}fn f() { 1 }");
    let text = format!("import \"lib\" as lib; lib::f(); {}", job_with(""));
    assert!(run_with(&text, &[], loader).is_ok());
}

#[test]
fn a_wrong_name_is_no_duplicate() {
    let job = "job(#{ cluster: \"c\", role: \"r\", environment: \"prod\",\n\
               task: simple_task(\"t\", \"true\"), name: ";
    let found = faults(&format!("{job}\"a b\" }});\n{job}\"x/y\" }});"));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|text| text.contains("must not contain")));
}

#[test]
fn functions_that_hide_ours_are_told() {
    let text = format!(
        "fn order(a, b) {{ [] }}\nfn job(fields) {{ 1 }}\n{}",
        job_with("")
    );
    let warnings = good(&text).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    let text = warnings[1].to_string();
    assert!(
        text.starts_with("job.rhai:2:4: warning: `fn job` hides"),
        "{text}"
    );
    // Another number of parameters is another function.
    let other = format!("fn job(name, command) {{ 1 }}\n{}", job_with(""));
    assert!(good(&other).warnings.is_empty());
}

#[test]
fn units_stay_what_they_are() {
    for text in ["const MB = 3;", "fn f() { let GB = 1; GB }"] {
        let found = faults(text);
        assert!(found[0].contains("is a unit of sizes"), "{found:?}");
    }
}

#[test]
fn types_are_named_as_people_know_them() {
    assert_eq!(
        faults("nonesuch(1, \"a\", 2.5, #{}, ());"),
        ["1:1: no function `nonesuch (integer, string, number, map, ())`"]
    );
}

#[test]
fn fields_of_objects_are_not_set() {
    let make = "let p = process(#{ name: \"a\", cmdline: \"true\" });\n";
    for use_of in ["p.cmdline = \"false\";", "p.cmdline += \"x\";"] {
        let text = bad(&format!("{make}{use_of}"));
        assert!(text.contains("cannot be set"), "{text}");
        assert!(text.contains("make a copy"), "{text}");
    }
}
