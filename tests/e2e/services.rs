//! Services live on.

use aurora_tests::files::one_process;
use aurora_tests::scheduler::{ROLE, Scheduler};
use aurora_tests::wait;
use serde_json::Value;

fn running(tasks: &[Value]) -> Vec<&Value> {
    tasks
        .iter()
        .filter(|task| task["state"] == "RUNNING")
        .collect()
}

#[test]
fn service_whose_process_is_killed_comes_back() {
    let scheduler = Scheduler::start(&[]);
    let pid_file = scheduler.scratch().join("pid");
    let cmdline = format!("echo $$ > {}; exec sleep 1000", pid_file.display());
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(scheduler.scratch(), open).unwrap();
    let file = one_process("service", ROLE, "phoenix", &cmdline, "");
    scheduler
        .create(ROLE, "phoenix", &file, &["--wait-until", "RUNNING"])
        .expect_code(0);
    let first = running(&scheduler.tasks_of("phoenix"))[0]["task_id"].clone();

    let pid = wait::until("the process to run", || {
        std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
    });
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    wait::until("another attempt to run", || {
        let tasks = scheduler.tasks_of("phoenix");
        running(&tasks)
            .iter()
            .any(|task| task["task_id"] != first)
            .then_some(())
    });
    let tasks = scheduler.tasks_of("phoenix");
    let ended = tasks.iter().find(|task| task["task_id"] == first).unwrap();
    assert_eq!(ended["state"], "FAILED", "{ended}");
}
