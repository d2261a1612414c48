//! Tasks run as the user that their role names.

use std::process::Command;

use aurora_tests::files::one_process;
use aurora_tests::scheduler::{ROLE, Scheduler, is_root, job_key};

/// What a command on this machine prints, without the line's end.
fn output_of(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// Runs a job of a role; returns the exit code of the client and what the job printed.
fn run_as(scheduler: &Scheduler, role: &str, cmdline: &str) -> (i32, String) {
    let file = one_process("job", role, "who", cmdline, "");
    let ran = scheduler.create(role, "who", &file, &["--wait-until", "FINISHED"]);
    let key = format!("local/{role}/devel/who/0");
    (
        ran.code,
        scheduler.run(&["task", "logs", &key, "--stdout"]).stdout + &ran.stderr,
    )
}

const WHO: &str = "id -un; id -Gn; echo $USER; echo $LOGNAME; stat -c %U . ; umask; \
                   grep ^CapEff /proc/self/status | tr -d '\\t'";

#[test]
fn root_runs_tasks_as_the_user_of_their_role() {
    if !is_root() {
        // An ordinary user can take on nobody: the next test is about that.
        return;
    }
    let mut scheduler = Scheduler::prepare(&[]).strict_about_users();
    scheduler.launch();
    let (code, printed) = run_as(&scheduler, ROLE, WHO);
    assert_eq!(code, 0, "{printed}");
    let groups = output_of("id", &["-Gn", ROLE]);
    let lines: Vec<&str> = printed.lines().collect();
    let expected = [ROLE, &groups, ROLE, ROLE, ROLE];
    assert_eq!(lines.get(..5), Some(expected.as_slice()), "{printed}");
    assert!(
        printed.contains("CapEff:0000000000000000"),
        "no capability is left: {printed}"
    );
}

#[test]
fn role_that_is_no_user_is_refused_unless_the_operator_allows_it() {
    let mut scheduler = Scheduler::prepare(&[]).strict_about_users();
    scheduler.launch();
    let (code, printed) = run_as(&scheduler, "no-such-team", "id -un");
    assert_eq!(code, 4, "{printed}");
    let history = scheduler
        .run(&["job", "history", "local/no-such-team/devel/who"])
        .stdout;
    assert!(
        history.contains("FAILED: no such user: `no-such-team`"),
        "{history}"
    );
    drop(scheduler);

    let scheduler = Scheduler::start(&[]);
    let (code, printed) = run_as(&scheduler, "no-such-team", "id -un");
    assert_eq!(
        (code, printed.lines().next()),
        (0, Some(output_of("id", &["-un"]).as_str()))
    );
}

#[test]
fn ordinary_user_runs_tasks_as_itself_where_that_is_allowed() {
    if is_root() {
        return;
    }
    let scheduler = Scheduler::start(&[]);
    let (code, printed) = run_as(&scheduler, ROLE, "id -u");
    assert_eq!(
        (code, printed.lines().next()),
        (0, Some(output_of("id", &["-u"]).as_str()))
    );
    drop(scheduler);
    let mut scheduler = Scheduler::prepare(&[]).strict_about_users();
    scheduler.launch();
    let (code, _) = run_as(&scheduler, ROLE, "id -u");
    assert_eq!(code, 4);
    let key = job_key("who");
    let history = scheduler.run(&["job", "history", &key]).stdout;
    assert!(
        history.contains("FAILED: cannot run as `www-data`"),
        "{history}"
    );
}
