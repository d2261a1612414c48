//! What users are told, and where it points.

use crate::support::{bad, faults, job_with};

#[test]
fn probe() {
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
    constraints: [order(good, other), order(other, good), order("gud")],
    resources: resources(#{ cpu: -1, ram: 512, disk: "1XB" }),
});
let base = #{ cluster: "c", role: "r r", tier: "prefered" };
service(base + #{ environment: "production", name: "x", task: t, instances: "3", constraints: #{ host: "limit:x" } });
job(#{ cluster: "c", role: "r", environment: "prod", name: "n", task: simple_task("a", "b") });
job(#{ cluster: "c", role: "r", environment: "prod", name: "n", task: simple_task("a", "b") });
let x = good + #{ cmdline: "{{x" };
porcess(#{});
"#;
    println!("{}", bad(text));
    println!(
        "{:#?}",
        faults(&job_with(
            "instances: 0, cron_schedule: \"* * *\", update_config: update_config(#{ max_total_failures: 1 })"
        ))
    );
    for text in [
        "let x = ;",
        "service(#{ cluster: \"a\" ",
        "fn f() { X } const X = 1; f();",
        "let with = 1;",
        "foo.bar",
        "let x = #{a: 1}; x.b",
        "process()",
        "process(1)",
        "job(#{a: 1}, 2)",
        "let a = 1; a.x = 2;",
        "throw \"own\";",
        "fn f(x) { g(x) } fn g(x) { x + [] * 2 } f(1);",
        "process(#{ name: mb })",
        "let m = 4 * Mb;",
        "",
        "service(#{\n    cluster: \"local\",\n    task: task(#{ processes: [#{ name: \"a\", cmdlin: \"b\" }] }),\n    update_config: #{ batch_size: 0 },\n    role: 1 });",
    ] {
        match crate::support::run(text) {
            Ok(e) => println!("OK {text} {:?}", e.empty_message()),
            Err(d) => println!("-- {text}\n{d}"),
        }
    }
}
