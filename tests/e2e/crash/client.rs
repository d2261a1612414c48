//! Clients that change jobs and ask again until they are answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use aurora_tests::files::{config, key};
use aurora_tests::http;
use aurora_tests::random::Random;
use aurora_tests::wait::Stopwatch;
use serde_json::{Value, json};

use super::ledger::Ledger;

/// Instances that one client keeps alive at most: the machine has to carry their processes.
const MOST_INSTANCES: usize = 10;
/// A scheduler that gives no answer for so long has lost the call.
const PATIENCE: Duration = Duration::from_secs(120);
const RETRY: Duration = Duration::from_millis(5);

/// What clients, checks and kills have in common.
pub(super) struct Shared {
    address: String,
    cmdline: String,
    /// Held for reading during a call, for writing during a check.
    pub(super) gate: RwLock<()>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) problems: Mutex<Vec<String>>,
    n_acknowledged: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn new(address: &str, cmdline: String) -> Self {
        Self {
            address: address.to_owned(),
            cmdline,
            gate: RwLock::new(()),
            ledger: Mutex::default(),
            problems: Mutex::default(),
            n_acknowledged: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }
}

/// All clients. They stop when this is dropped.
pub(super) struct Clients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(super) fn start(shared: &Arc<Shared>, n_clients: u64, seed: u64) -> Self {
        let threads = (0..n_clients)
            .map(|id| {
                let client = Client {
                    id,
                    shared: Arc::clone(shared),
                    random: Random::new(seed ^ (id + 1)),
                    n_requests: 0,
                    jobs: Vec::new(),
                };
                std::thread::spawn(move || client.run())
            })
            .collect();
        Self {
            shared: Arc::clone(shared),
            threads,
        }
    }

    /// Lets the calls under way be answered; returns how many were.
    pub(super) fn stop(&mut self) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.shared.n_acknowledged.load(Ordering::Relaxed)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// One client with jobs of its own, so that it knows what to expect of each call.
struct Client {
    id: u64,
    shared: Arc<Shared>,
    random: Random,
    n_requests: u64,
    jobs: Vec<(String, BTreeSet<u64>)>,
}

impl Client {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let shared = Arc::clone(&self.shared);
            {
                // Poisoned by a check that failed.
                let Ok(_open) = shared.gate.read() else {
                    return;
                };
                if let Err(why) = self.act() {
                    shared.problems.lock().unwrap().push(why);
                    return;
                }
            }
            // A waiting check comes first.
            std::thread::sleep(RETRY);
        }
    }

    /// Does one thing at random and enters into the ledger what was acknowledged.
    fn act(&mut self) -> Result<(), String> {
        let n_instances: usize = self.jobs.iter().map(|(_, wanted)| wanted.len()).sum();
        let full = n_instances >= MOST_INSTANCES;
        let n_jobs = u64::try_from(self.jobs.len()).unwrap();
        if n_jobs == 0 {
            return self.create();
        }
        let job = usize::try_from(self.random.below(n_jobs)).unwrap();
        match self.random.below(10) {
            0..=2 if !full => self.create(),
            3..=4 if !full => self.add(job),
            5..=7 => self.restart(job),
            8 => self.kill_all(job),
            _ => self.kill_one(job),
        }
    }

    fn create(&mut self) -> Result<(), String> {
        let name = format!("c{}-{}", self.id, self.n_requests);
        let n_instances = 1 + self.random.below(3);
        let config = config(&name, n_instances, &self.shared.cmdline);
        self.call("CreateJob", json!({ "config": config }))?;
        self.jobs.push((name, (0..n_instances).collect()));
        self.enter(self.jobs.len() - 1, &Value::Null);
        Ok(())
    }

    fn add(&mut self, job: usize) -> Result<(), String> {
        let (name, wanted) = self.jobs[job].clone();
        let template = wanted.first().copied().unwrap_or(0);
        let request = json!({ "key": key(&name), "template_instance": template, "count": 1 });
        let answer = self.call("AddInstances", request)?;
        // The least number that is free; those of instances that are being killed are not yet.
        let added = answer["instances"][0]["first"].as_u64();
        let added = added.filter(|added| {
            answer["instances"] == json!([{ "first": added, "last": added }])
                && !wanted.contains(added)
        });
        let added = added.ok_or_else(|| format!("{name} had {wanted:?}; its add said {answer}"))?;
        self.jobs[job].1.insert(added);
        self.enter(job, &answer);
        Ok(())
    }

    fn restart(&mut self, job: usize) -> Result<(), String> {
        let (name, wanted) = self.jobs[job].clone();
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let instance = *self
            .random
            .choose(&wanted)
            .ok_or("a job without instances")?;
        let range = json!([{ "first": instance, "last": instance }]);
        self.call(
            "RestartTasks",
            json!({ "key": key(&name), "instances": range }),
        )?;
        // A task that waits is not replaced: it runs afresh anyway.
        Ok(())
    }

    fn kill_one(&mut self, job: usize) -> Result<(), String> {
        let (name, wanted) = self.jobs[job].clone();
        let wanted: Vec<u64> = wanted.into_iter().collect();
        let instance = *self
            .random
            .choose(&wanted)
            .ok_or("a job without instances")?;
        let range = json!([{ "first": instance, "last": instance }]);
        let answer = self.call(
            "KillTasks",
            json!({ "key": key(&name), "instances": range }),
        )?;
        if answer["instances"] != range {
            return Err(format!(
                "{name}/{instance} is wanted; its kill said {answer}"
            ));
        }
        self.jobs[job].1.remove(&instance);
        self.enter(job, &answer);
        self.jobs.retain(|(_, wanted)| !wanted.is_empty());
        Ok(())
    }

    fn kill_all(&mut self, job: usize) -> Result<(), String> {
        let name = self.jobs[job].0.clone();
        let answer = self.call("KillTasks", json!({ "key": key(&name) }))?;
        self.jobs[job].1.clear();
        self.enter(job, &answer);
        self.jobs.remove(job);
        Ok(())
    }

    /// Enters a job as it is to be, and the tasks that are to end.
    fn enter(&self, job: usize, answer: &Value) {
        let mut ledger = self.shared.ledger.lock().unwrap();
        let (name, wanted) = self.jobs[job].clone();
        ledger.wanted.insert(name, wanted);
        let doomed = answer["task_ids"].as_array().into_iter().flatten();
        ledger
            .doomed
            .extend(doomed.filter_map(|id| id.as_str().map(str::to_owned)));
    }

    /// Asks until there is an answer; sometimes once more, to be told the same.
    fn call(&mut self, method: &str, mut request: Value) -> Result<Value, String> {
        self.n_requests += 1;
        let request_id = format!("client-{}-{}", self.id, self.n_requests);
        request["context"] = json!({ "request_id": request_id, "user": "chaos" });
        let answer = self.until_answered(method, &request)?;
        self.shared.n_acknowledged.fetch_add(1, Ordering::Relaxed);
        if self.random.below(4) == 0 {
            let again = self.until_answered(method, &request)?;
            if again != answer {
                return Err(format!("{method} {request} said {answer} and then {again}"));
            }
        }
        Ok(answer)
    }

    fn until_answered(&self, method: &str, request: &Value) -> Result<Value, String> {
        let url = format!("/aurora.v1.SchedulerService/{method}");
        let body = request.to_string();
        let watch = Stopwatch::start();
        loop {
            let (status, text) = http::post(&self.shared.address, &url, &body);
            let answer = serde_json::from_str(&text).unwrap_or(Value::Null);
            match status {
                // An answer that was cut off is none.
                200 if answer.is_object() => return Ok(answer),
                0 | 200 | 503 => {}
                _ => return Err(format!("{method} {body} was refused: {status} {text}")),
            }
            if watch.elapsed() > PATIENCE || self.shared.problems.lock().unwrap().len() > 1 {
                return Err(format!(
                    "{method} {body} was never answered; last: {status} {text}"
                ));
            }
            std::thread::sleep(RETRY);
        }
    }
}
