//! kill -9 of the scheduler at random points, under load: what was acknowledged is never lost,
//! nothing runs twice, and what nobody touched goes on as if nothing had happened.
//!
//! `AURORA_KILL_ROUNDS` sets the number of kills, `AURORA_KILL_SEED` repeats a run.

mod client;
mod ledger;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aurora_tests::files::{config, key};
use aurora_tests::processes;
use aurora_tests::random::Random;
use aurora_tests::scheduler::{Scheduler, ids};
use aurora_tests::wait::{self, Stopwatch};
use serde_json::json;

use self::client::{Clients, Shared};
use self::ledger::Ledger;

const DEFAULT_ROUNDS: u64 = 200;
const N_CLIENTS: u64 = 2;
const N_STEADY: usize = 6;
/// Rounds from one comparison with the ledger to the next.
const CHECK_EVERY: u64 = 10;
/// Rounds from one look at the processes to the next: it waits until all has calmed down.
const SETTLE_EVERY: u64 = 50;
const MEAN_DELAY_MS: u64 = 100;
const SHORTEST_DELAY_MS: u64 = 20;
const LONGEST_DELAY_MS: u64 = 300;

const FLAGS: [&str; 16] = [
    "--agents",
    "2",
    "--agent-cpus",
    "1000",
    "--agent-ram",
    "1TB",
    "--agent-disk",
    "1TB",
    "--initial-flapping-delay",
    "100ms",
    "--max-flapping-delay",
    "200ms",
    "--initial-kill-retry",
    "1s",
    "--history-max-per-job",
    "1000",
];

fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Returns an address that stays ours while nobody listens: its port is none that the system
/// gives to others.
fn lasting_address(random: &mut Random) -> String {
    wait::until("a free port", || {
        let address = format!("127.0.0.1:{}", 20_000 + random.below(1_000));
        TcpListener::bind(&address).is_ok().then_some(address)
    })
}

/// What every instance runs: it fails, and says so, where another process of the same instance
/// is still there.
fn guarded(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "exec 9>>{dir}/{{{{name}}}}-{{{{instance}}}}.lock\n\
         if ! flock -n 9; then echo {{{{task_id}}}} >> {dir}/doubled; exit 1; fi\n\
         echo {{{{task_id}}}} >> {dir}/started\n\
         exec sleep 100000"
    )
}

/// A task's one process, by the task's id: its pid and when it started.
type Living = BTreeMap<String, (i32, Option<u64>)>;

fn living(scheduler: &Scheduler) -> Living {
    processes::of_tasks(&scheduler.data_dir())
        .into_iter()
        .map(|(pid, task_id)| (task_id, (pid, processes::start_time(pid))))
        .collect()
}

/// Kills the scheduler again and again; compares with the ledger every few rounds.
struct Torment {
    scheduler: Scheduler,
    shared: Arc<Shared>,
    random: Random,
    steady: Living,
}

impl Torment {
    fn start(random: Random, address: &str) -> Self {
        let mut scheduler = Scheduler::prepare(&FLAGS).listening_on(address);
        scheduler.launch();
        let cmdline = guarded(&scheduler.scratch());
        let config = config("steady", u64::try_from(N_STEADY).unwrap(), &cmdline);
        scheduler.call_ok("SchedulerService/CreateJob", &json!({ "config": config }));
        let tasks = scheduler.wait_running("steady", N_STEADY);
        let steady = wait::until("a process for each task", || {
            let living = living(&scheduler);
            ids(&tasks)
                .iter()
                .all(|task_id| living.contains_key(task_id))
                .then_some(living)
        });
        let shared = Arc::new(Shared::new(address, cmdline));
        Self {
            scheduler,
            shared,
            random,
            steady,
        }
    }

    /// Lets the scheduler run for a while and kills it; sometimes before it is up.
    fn round(&mut self) {
        self.scheduler.spawn();
        if self.random.below(10) >= 3 {
            self.wait_until_up();
        }
        let delay = self.random.exponential_ms(MEAN_DELAY_MS, LONGEST_DELAY_MS);
        std::thread::sleep(Duration::from_millis(delay.max(SHORTEST_DELAY_MS)));
        assert!(
            self.scheduler.is_alive(),
            "ended by itself: {}",
            self.scheduler.log()
        );
        self.scheduler.kill();
    }

    fn wait_until_up(&mut self) {
        self.scheduler.wait_until_up();
    }

    /// Compares what the scheduler says with what it acknowledged.
    fn check(&mut self, settle: bool) {
        self.scheduler.spawn();
        self.wait_until_up();
        let shared = Arc::clone(&self.shared);
        // Calls under way are answered first, and no new ones are made.
        let _closed = shared.gate.write().unwrap();
        let ledger = shared.ledger.lock().unwrap();
        self.assert_untouched();
        let compared = ledger.compare(&self.scheduler).map(drop);
        assert_eq!(compared, Ok(()));
        if settle {
            self.assert_settles(&ledger);
        }
        self.scheduler.kill();
    }

    fn assert_untouched(&self) {
        assert!(
            shared_problems(&self.shared).is_empty(),
            "{:?}",
            shared_problems(&self.shared)
        );
        let doubled = fs::read_to_string(self.scheduler.scratch().join("doubled"));
        assert!(
            doubled.is_err(),
            "these started while another lived: {doubled:?}"
        );
        for (task_id, (pid, start)) in &self.steady {
            assert_eq!(
                processes::start_time(*pid),
                *start,
                "{task_id} was to be left alone"
            );
        }
    }

    /// Waits until exactly what is wanted runs, as the scheduler says and as `/proc` shows.
    fn assert_settles(&self, ledger: &Ledger) {
        wait::until_ok(|| {
            let running = ledger.compare(&self.scheduler)?.running;
            let living = living(&self.scheduler);
            let n_wanted = ledger.n_wanted() + N_STEADY;
            if running.len() != n_wanted {
                return Err(format!("{n_wanted} wanted, {} run", running.len()));
            }
            let with_process: Vec<_> = living.keys().cloned().collect();
            if with_process == running {
                Ok(())
            } else {
                Err(format!(
                    "running: {running:?}\nwith a process: {with_process:?}"
                ))
            }
        });
    }

    /// Nobody but us ended anything. A task may be lost whose launch went down with the
    /// scheduler, but none that had come as far as its executor.
    fn assert_nothing_ended_by_itself(&self) {
        let states = json!({ "states": ["FAILED", "FINISHED", "LOST"], "page_size": 10_000 });
        for task in self.scheduler.tasks(&states) {
            let events = task["events"].as_array().unwrap();
            let started = |state: &str| events.iter().any(|event| event["state"] == state);
            let on_its_way = !started("STARTING") && !started("RUNNING");
            assert!(
                task["state"] == "LOST" && on_its_way,
                "ended by itself: {task}"
            );
        }
    }

    /// Kills every job; nothing of them is left.
    fn end(&mut self) {
        self.scheduler.launch();
        let ledger = self.shared.ledger.lock().unwrap();
        for name in ledger.live_jobs().into_iter().chain(["steady".to_owned()]) {
            let kill = json!({ "key": key(&name) });
            self.scheduler.call_ok("SchedulerService/KillTasks", &kill);
        }
        wait::until_ok(|| {
            let left = living(&self.scheduler);
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("left over: {left:?}"))
            }
        });
        self.assert_nothing_ended_by_itself();
    }
}

fn shared_problems(shared: &Shared) -> Vec<String> {
    shared.problems.lock().unwrap().clone()
}

#[test]
fn nothing_acknowledged_is_lost_by_kills_at_random_points() {
    let rounds = number_from_environment("AURORA_KILL_ROUNDS").unwrap_or(DEFAULT_ROUNDS);
    let seed = number_from_environment("AURORA_KILL_SEED")
        .unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(0x9e37_79b9));
    println!("AURORA_KILL_SEED={seed} AURORA_KILL_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let address = lasting_address(&mut random);
    let watch = Stopwatch::start();
    let mut torment = Torment::start(random, &address);
    let mut clients = Clients::start(&torment.shared, N_CLIENTS, seed);
    torment.scheduler.kill();
    for round in 1..=rounds {
        torment.round();
        if round % CHECK_EVERY == 0 {
            torment.check(round % SETTLE_EVERY == 0);
        }
    }
    torment.scheduler.launch();
    let n_acknowledged = clients.stop();
    torment.scheduler.kill();
    torment.check(true);
    torment.end();
    println!(
        "{rounds} kills, {n_acknowledged} calls acknowledged, in {:?}",
        watch.elapsed()
    );
    assert!(
        n_acknowledged >= rounds / 2,
        "too little load: {n_acknowledged} calls"
    );
}
