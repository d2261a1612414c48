//! What the scheduler has acknowledged, and whether it still says so.

use std::collections::{BTreeMap, BTreeSet};

use aurora_tests::scheduler::Scheduler;
use serde_json::{Value, json};

/// Every state that a task can change from.
const UNENDED: [&str; 10] = [
    "INIT",
    "THROTTLED",
    "PENDING",
    "ASSIGNED",
    "STARTING",
    "RUNNING",
    "PREEMPTING",
    "RESTARTING",
    "KILLING",
    "PARTITIONED",
];

/// The jobs that clients made, as they should be.
#[derive(Default)]
pub(super) struct Ledger {
    /// The instances that are wanted, by job; none for a job that was killed.
    pub(super) wanted: BTreeMap<String, BTreeSet<u64>>,
    /// Tasks that were killed or restarted: they may end, and nothing else.
    pub(super) doomed: BTreeSet<String>,
}

/// What a comparison found where all is well.
pub(super) struct Compared {
    /// Tasks that run, all jobs together, in order.
    pub(super) running: Vec<String>,
}

impl Ledger {
    /// Returns the jobs that have instances.
    pub(super) fn live_jobs(&self) -> Vec<String> {
        let live = self
            .wanted
            .iter()
            .filter(|(_, instances)| !instances.is_empty());
        live.map(|(name, _)| name.clone()).collect()
    }

    /// Returns how many instances are wanted.
    pub(super) fn n_wanted(&self) -> usize {
        self.wanted.values().map(BTreeSet::len).sum()
    }

    /// Compares with what the scheduler says.
    pub(super) fn compare(&self, scheduler: &Scheduler) -> Result<Compared, String> {
        let request = json!({ "states": UNENDED, "page_size": 10_000, "without_configs": true });
        let tasks = scheduler.tasks(&request);
        let mut active: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        let mut running = Vec::new();
        for task in &tasks {
            let (task_id, name) = (text(&task["task_id"]), text(&task["job"]["name"]));
            let state = text(&task["state"]);
            if state == "RUNNING" {
                running.push(task_id.to_owned());
            }
            if self.doomed.contains(task_id) && state != "KILLING" && state != "RESTARTING" {
                return Err(format!(
                    "{task_id} was killed or restarted and is {state}: {task}"
                ));
            }
            let instance = task["instance"].as_u64().ok_or("no instance")?;
            // A task that is being killed is nobody's instance any more.
            if state != "KILLING" && !active.entry(name).or_default().insert(instance) {
                return Err(format!("{name}/{instance} has two active tasks: {tasks:?}"));
            }
        }
        self.compare_jobs(scheduler, &active)?;
        running.sort();
        Ok(Compared { running })
    }

    fn compare_jobs(
        &self,
        scheduler: &Scheduler,
        active: &BTreeMap<&str, BTreeSet<u64>>,
    ) -> Result<(), String> {
        let answer = scheduler.call_ok("ReadService/ListJobs", &json!({ "page_size": 10_000 }));
        let listed: BTreeSet<&str> = answer["jobs"]
            .as_array()
            .ok_or("no jobs")?
            .iter()
            .map(|job| text(&job["key"]["name"]))
            .collect();
        let nothing = BTreeSet::new();
        for (name, wanted) in &self.wanted {
            let is = active.get(name.as_str()).unwrap_or(&nothing);
            if is != wanted {
                return Err(format!("{name}: wanted are {wanted:?}, active are {is:?}"));
            }
            if !listed.contains(name.as_str()) {
                return Err(format!("{name} was acknowledged and is not listed"));
            }
        }
        let unknown = listed
            .iter()
            .find(|name| **name != "steady" && !self.wanted.contains_key(**name));
        unknown.map_or(Ok(()), |name| {
            Err(format!("{name} is listed and nobody made it"))
        })
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
