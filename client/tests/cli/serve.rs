//! Options of the server, as far as they are read before anything starts.

use std::{
    io::BufRead,
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::command::Place;

#[test]
fn file_of_options_is_checked_by_name_and_value() {
    let place = Place::new();
    place.write("a.toml", "agnets = 3\n");
    place
        .run(&["scheduler", "--config", "a.toml"])
        .exits(3)
        .says("`a.toml`: `agnets`: no such option")
        .says("did you mean `agents`?");
    place.write("a.toml", "offer_hold = 'soon'\n");
    place
        .run(&["scheduler", "--config", "a.toml"])
        .exits(3)
        .says("`offer_hold`: invalid value");
    place.write("a.toml", "offer_hold = \n");
    place
        .run(&["dev", "--config", "a.toml"])
        .exits(3)
        .says("`a.toml` is no TOML");
    place
        .run(&["dev", "--config", "none.toml"])
        .exits(3)
        .says("failed to read `none.toml`");
}

#[test]
fn address_that_is_taken_is_told() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = place.path("data").display().to_string();
    place
        .run(&["scheduler", "--listen", &address, "--data-dir", &data])
        .exits(4)
        .says(&format!("failed to listen on {address}"))
        .says("--listen");
}

#[test]
fn address_comes_from_flag_then_environment_then_file() {
    let place = Place::new();
    let taken: Vec<_> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let address = |index: usize| taken[index].local_addr().unwrap().to_string();
    let data = place.path("data").display().to_string();
    place.write(
        "a.toml",
        format!("listen = '{}'\ndata_dir = '{data}'", address(0)),
    );
    let tried = |arguments: &[&str], environment: Option<String>| {
        let mut command = place.command(&["scheduler", "--config", "a.toml"]);
        command
            .args(arguments)
            .envs(environment.map(|value| ("AURORA_LISTEN", value)));
        crate::command::Run::from(command.output().unwrap()).exits(4)
    };
    tried(&[], None).says(&address(0));
    tried(&[], Some(address(1))).says(&address(1));
    tried(&["--listen", &address(2)], Some(address(1))).says(&address(2));
}

#[test]
fn wrong_job_file_stops_dev_before_it_starts() {
    let place = Place::new();
    place.write("bad.rhai", "job(#{});");
    place
        .run(&["dev", "bad.rhai"])
        .exits(3)
        .says("bad.rhai:1:1");
}

const SMALL: &str = "resources: resources(#{ cpu: 0.1, ram: 32 * MB, disk: 16 * MB })";

fn job(name: &str, cmdline: &str) -> String {
    format!(
        "job(#{{ cluster: \"local\", role: \"www-data\", environment: \"devel\", name: \"{name}\", \
         task: task(#{{ processes: [process(#{{ name: \"main\", cmdline: \"{cmdline}\" }})], \
         {SMALL} }}) }});\n"
    )
}

#[test]
fn dev_runs_jobs_and_shows_their_output() {
    let place = Place::new();
    place.write("jobs.rhai", job("hello", "echo hello"));
    let dev = [
        "dev",
        "jobs.rhai",
        "--exit-when-done",
        "--listen",
        "127.0.0.1:0",
    ];
    place
        .run(&dev)
        .exits(0)
        .says("local/www-data/devel/hello/0 FINISHED")
        .prints("local/www-data/devel/hello/0 main | hello\n");
    place.write("jobs.rhai", job("hello", "exit 3") + &job("other", "true"));
    place
        .run(&dev)
        .exits(4)
        .says("error: not finished: local/www-data/devel/hello/0 FAILED");
}

#[test]
fn interrupt_ends_dev_and_everything_it_started() {
    let place = Place::new();
    let mark = place.path("pid").display().to_string();
    place.write(
        "jobs.rhai",
        job("long", &format!("echo $$ > {mark}; exec sleep 1000")),
    );
    let listen = ["dev", "jobs.rhai", "--listen", "127.0.0.1:0"];
    // The role may be another user than the one who runs the tests.
    let directory = place.path("");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&directory, open).unwrap();
    let mut command = place.command(&listen);
    let mut dev = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid: i32 = wait_for(|| std::fs::read_to_string(&mark).ok()?.trim().parse().ok());
    rustix::process::kill_process(rustix::process::Pid::from_child(&dev), Signal::INT).unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(0));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn second_interrupt_leaves_no_process_and_no_directory() {
    let place = Place::new();
    let mark = place.path("pids").display().to_string();
    // Deaf to SIGTERM, and one of them in a session of its own.
    place.write(
        "jobs.rhai",
        job(
            "deaf",
            &format!(
                "trap '' TERM; setsid sleep 1000 & echo $$ $! > {mark}; while true; do sleep 1; done"
            ),
        ),
    );
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(place.path(""), open).unwrap();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = place.command(&["dev", "jobs.rhai", "--listen", "127.0.0.1:0"]);
    let mut dev = command
        .env("TMPDIR", place.path("tmp"))
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pids: Vec<i32> = wait_for(|| {
        let text = std::fs::read_to_string(&mark).ok()?;
        let pids = text.split_whitespace().map(|pid| pid.parse().ok());
        pids.collect::<Option<Vec<i32>>>()
            .filter(|pids| pids.len() == 2)
    });
    let pid = rustix::process::Pid::from_child(&dev);
    let interrupt = || rustix::process::kill_process(pid, Signal::INT);
    interrupt().unwrap();
    // Two signals that come at once are one.
    let mut said = std::io::BufReader::new(dev.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("Ctrl-C to force")));
    interrupt().unwrap();
    assert_eq!(dev.wait().unwrap().code(), Some(130));
    let alive = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    // Who was killed needs a moment to be gone.
    wait_for(|| (!pids.iter().any(alive)).then_some(()));
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);
}

#[test]
fn dev_tells_what_is_wrong_with_every_file() {
    let place = Place::new();
    place.write("a.rhai", "job(#{});");
    place.write("b.rhai", "service(#{});");
    place
        .run(&["dev", "a.rhai", "b.rhai"])
        .exits(3)
        .says("a.rhai:1:1")
        .says("b.rhai:1:1")
        .says("error: `a.rhai` is no valid job file")
        .says("error: `b.rhai` is no valid job file");
    place.write("c.rhai", job("one", "true"));
    place.write("d.rhai", job("one", "false"));
    place.run(&["dev", "c.rhai", "d.rhai"]).exits(3).says(
        "d.rhai:1:1: the job local/www-data/devel/one is declared twice, first at c.rhai:1:1",
    );
}

#[test]
fn quotas_that_nobody_enforces_are_told() {
    let place = Place::new();
    let quota =
        "quota(#{ cluster: \"local\", role: \"etl\", cpu: 1.0, ram: 1 * GB, disk: 1 * GB });";
    place.write("q.rhai", quota.to_owned() + &job("one", "true"));
    let told = "the quota of local/etl is not enforced by this release";
    place
        .run(&["config", "check", "q.rhai"])
        .exits(0)
        .says(told);
    let dev = [
        "dev",
        "q.rhai",
        "--exit-when-done",
        "--listen",
        "127.0.0.1:0",
    ];
    place.run(&dev).exits(0).says(told);
}

#[test]
fn failed_start_hints_at_what_failed() {
    let place = Place::new();
    let run = place.run(&[
        "dev",
        "--allowed-environments",
        "(",
        "--listen",
        "127.0.0.1:0",
    ]);
    let run = run
        .exits(4)
        .says("`--allowed-environments` is no regular expression");
    assert!(!run.stderr.contains("--data-dir"), "{}", run.stderr);
}

#[test]
fn tail_of_nothing_is_refused() {
    // The scheduler would take it for all.
    Place::new()
        .run(&["task", "logs", "local/a/prod/b/0", "--tail", "0"])
        .exits(2)
        .says("at least 1 byte");
}

/// Asks until there is an answer.
fn wait_for<T>(mut question: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < deadline, "nothing happened for 30 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
