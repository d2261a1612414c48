//! `aurora-rs dev`: everything in one foreground process, and nothing left of it.

use std::path::{Path, PathBuf};

use aurora_tests::background::Background;
use aurora_tests::files::{idle, one_process};
use aurora_tests::scheduler::{ROLE, client, project, run, work_dir};
use aurora_tests::slots::Slot;
use aurora_tests::{processes, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// A place for `dev` sessions, whose temporary files are below it too.
struct Place {
    dir: TempDir,
    _slot: Slot,
}

impl Place {
    fn new() -> Self {
        let slot = Slot::take();
        let place = Self {
            dir: work_dir(),
            _slot: slot,
        };
        std::fs::create_dir(place.temporary()).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.temporary(), open).unwrap();
        place
    }

    fn temporary(&self) -> PathBuf {
        self.dir.path().join("tmp")
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn dev(&self, args: &[&str]) -> Background {
        let mut command = client(&["dev", "--listen", "127.0.0.1:0"]);
        command.args(args).env("TMPDIR", self.temporary());
        Background::start(self.dir.path(), "dev", command).unwrap()
    }

    fn tasks(&self) -> Vec<(i32, String)> {
        processes::of_tasks(self.dir.path())
    }

    /// Asserts that neither a process nor a file of a session is left.
    fn assert_clean(&self) {
        wait::until_ok(|| {
            let left = processes::under(self.dir.path());
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("left: {left:?} {:?}", self.tasks()))
            }
        });
        let left: Vec<_> = std::fs::read_dir(self.temporary()).unwrap().collect();
        assert!(left.is_empty(), "left: {left:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        processes::end_all_under(self.dir.path());
    }
}

fn hello_world() -> String {
    let path: &Path = &project().join("dsl-examples/hello_world.rhai");
    path.to_str().unwrap().to_owned()
}

#[test]
fn hello_world_runs_and_ctrl_c_leaves_nothing() {
    let place = Place::new();
    let mut dev = place.dev(&[&hello_world()]);
    dev.wait_for_stdout("hello_world/0 greet | Hello, world! This is instance 0 of hello_world.\n");
    dev.wait_for_stdout("hello_world/1 greet | Hello, world! This is instance 1 of hello_world.\n");
    assert!(
        dev.stderr().contains("hello_world/0 RUNNING"),
        "{}",
        dev.stderr()
    );
    assert!(!place.tasks().is_empty());
    dev.signal(Signal::INT);
    assert_eq!(dev.wait(), 0, "{}", dev.stderr());
    place.assert_clean();
}

#[test]
fn second_ctrl_c_does_not_wait_and_leaves_no_task() {
    let place = Place::new();
    // It does not end when it is asked to.
    let cmdline = "trap '' TERM INT HUP; echo up; while :; do sleep 1; done";
    let file = place.write(
        "tough.rhai",
        &one_process("service", ROLE, "tough", cmdline, ""),
    );
    let mut dev = place.dev(&[&file]);
    dev.wait_for_stdout("tough/0 main | up\n");
    dev.signal(Signal::INT);
    dev.wait_for_stderr("stopping, with everything that was started");
    dev.signal(Signal::INT);
    let code = dev.wait();
    assert!(code == 130 || code == 0, "{code}: {}", dev.stderr());
    place.assert_clean();
}

#[test]
fn with_a_data_directory_tasks_go_on_and_the_next_session_finds_them() {
    let place = Place::new();
    let file = place.write("kept.rhai", &idle("kept", ""));
    let data = place.dir.path().join("data");
    let args = ["--data-dir", data.to_str().unwrap(), &file];
    let mut dev = place.dev(&args);
    dev.wait_for_stderr("kept/0 RUNNING");
    let before = wait::until("its process", || {
        Some(place.tasks()).filter(|tasks| !tasks.is_empty())
    });
    dev.signal(Signal::INT);
    assert_eq!(dev.wait(), 0, "{}", dev.stderr());
    assert_eq!(place.tasks(), before, "they go on");

    let mut dev = place.dev(&args);
    dev.wait_for_stderr("kept/0 RUNNING");
    assert_eq!(place.tasks(), before, "found, and not started again");
    let uri = dev.stderr();
    let uri = uri
        .split("AURORA_SCHEDULER_URI=")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let key = format!("local/{ROLE}/devel/kept");
    let mut killall = client(&["job", "killall", &key]);
    killall.env("AURORA_SCHEDULER_URI", uri);
    assert_eq!(run(killall).code, 0);
    wait::until("the task to end", || place.tasks().is_empty().then_some(()));
    dev.signal(Signal::INT);
    assert_eq!(dev.wait(), 0, "{}", dev.stderr());
}

#[test]
fn session_ends_with_its_jobs_where_that_is_asked_for() {
    let place = Place::new();
    for (name, cmdline, code) in [("good", "echo fine", 0), ("bad", "echo woe; exit 1", 4)] {
        let file = place.write("job.rhai", &one_process("job", ROLE, name, cmdline, ""));
        let mut dev = place.dev(&[&file, "--exit-when-done"]);
        assert_eq!(dev.wait(), code, "{} {}", dev.stdout(), dev.stderr());
        let said = cmdline.split([' ', ';']).nth(1).unwrap();
        assert!(
            dev.stdout().contains(&format!("{name}/0 main | {said}\n")),
            "{}",
            dev.stdout()
        );
        place.assert_clean();
    }
    let mut dev = place.dev(&["/no/such/file.rhai"]);
    assert_eq!(dev.wait(), 3, "{}", dev.stderr());
    place.assert_clean();
}
