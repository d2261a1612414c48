//! The order of a task's processes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    nearest::nearest,
    recorder::{Recorder, Report},
    value::{Object, ObjectData},
};

/// A task's processes by name, and who waits for whom.
struct Plan<'a> {
    task: &'a ObjectData,
    recorder: &'a Recorder,
    processes: BTreeMap<&'a str, &'a Object>,
    /// Name to the names that wait for it, and the order that says so.
    followers: BTreeMap<&'a str, BTreeMap<&'a str, &'a Object>>,
    good: bool,
}

/// Checks names, orders and cycles of a task.
pub(super) fn check(task: &ObjectData, recorder: &Recorder) -> bool {
    let mut plan = Plan {
        task,
        recorder,
        processes: BTreeMap::new(),
        followers: BTreeMap::new(),
        good: true,
    };
    plan.collect_processes();
    for order in task.objects("constraints") {
        plan.order(order);
    }
    // A plan with unknown names has more than one fault; a cycle among the rest would confuse.
    if plan.good {
        plan.cycle();
    }
    plan.good
}

impl<'a> Plan<'a> {
    fn error(&mut self, report: Report) {
        self.recorder.report(report);
        self.good = false;
    }

    fn collect_processes(&mut self) {
        let task = self.task;
        if task.list("processes").is_empty() {
            let report = Report::error(task.at("processes"), "a task needs at least one process");
            self.error(report.hint("`processes: [process(#{ name: …, cmdline: … })]`"));
            return;
        }
        for process in task.objects("processes") {
            let name = process.text("name");
            if let Some(earlier) = self.processes.insert(name, process) {
                let message = format!("two processes of the task are called `{name}`");
                let report = Report::error(process.at("name"), message);
                self.error(report.related(earlier.at("name"), "the first is here"));
            }
        }
        let mut all = task.objects("processes");
        if all.all(|process| process.bool("ephemeral") || process.bool("final")) {
            let message = "the task ends at once: all its processes are ephemeral or final";
            self.recorder
                .report(Report::warning(task.at("processes"), message));
        }
    }

    fn order(&mut self, order: &'a Object) {
        let names: Vec<&str> = order.texts("order").collect();
        let mut known = true;
        for name in &names {
            known &= self.is_known(name, order);
        }
        if !known || self.mixes_stages(&names, order) {
            return;
        }
        for pair in names.windows(2) {
            let [first, second] = *pair else { continue };
            if self.may_follow(first, second, order) {
                self.followers
                    .entry(first)
                    .or_default()
                    .insert(second, order);
            }
        }
    }

    fn is_known(&mut self, name: &str, order: &Object) -> bool {
        if self.processes.contains_key(name) {
            return true;
        }
        let report = Report::error(
            &order.at,
            format!("the order names `{name}`, which is no process of the task"),
        )
        .related(&self.task.at, "the task");
        let names = self.processes.keys().copied();
        let hint = match nearest(name, names.clone()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!(
                "its processes are {}",
                names.take(20).collect::<Vec<_>>().join(", ")
            ),
        };
        self.error(report.hint(hint));
        false
    }

    fn is(&self, name: &str, flag: &str) -> bool {
        self.processes
            .get(name)
            .is_some_and(|process| process.bool(flag))
    }

    fn mixes_stages(&mut self, names: &[&str], order: &Object) -> bool {
        let last = names.iter().find(|name| self.is(name, "final"));
        let ordinary = names.iter().find(|name| !self.is(name, "final"));
        let (Some(last), Some(ordinary)) = (last, ordinary) else {
            return false;
        };
        let message = format!("the order mixes `{ordinary}` with `{last}`, which is final");
        let report = Report::error(&order.at, message);
        self.error(report.hint("final processes run after all others anyway: leave them out"));
        true
    }

    fn may_follow(&mut self, first: &str, second: &str, order: &Object) -> bool {
        if self.is(first, "daemon") {
            let message = format!("`{second}` waits for `{first}`, a daemon, which never ends");
            self.error(Report::error(&order.at, message));
            return false;
        }
        if self.is(first, "ephemeral") && !self.is(second, "ephemeral") {
            let message = format!("`{second}` waits for `{first}`, which is ephemeral");
            let report = Report::error(&order.at, message);
            self.error(report.hint("only ephemeral processes may wait for ephemeral ones"));
            return false;
        }
        true
    }

    /// Removes processes that wait for nobody until none is left, or only a cycle.
    fn cycle(&mut self) {
        let mut waits: BTreeMap<&str, usize> = BTreeMap::new();
        for second in self.followers.values().flat_map(BTreeMap::keys) {
            *waits.entry(second).or_default() += 1;
        }
        let free = self
            .processes
            .keys()
            .filter(|name| !waits.contains_key(*name));
        let mut ready: VecDeque<&str> = free.copied().collect();
        while let Some(name) = ready.pop_front() {
            for second in self
                .followers
                .get(name)
                .into_iter()
                .flat_map(BTreeMap::keys)
            {
                let Some(count) = waits.get_mut(second) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 {
                    waits.remove(second);
                    ready.push_back(second);
                }
            }
        }
        if waits.is_empty() {
            return;
        }
        let (names, order) = self.walk_cycle(&waits);
        let at = order
            .map_or_else(|| self.task.at("constraints"), |order| &order.at)
            .clone();
        let message = format!("the processes wait for each other: {}", names.join(" -> "));
        self.error(Report::error(&at, message).related(&self.task.at, "the task"));
    }

    /// Goes back from a process that is never ready until one comes up again.
    fn walk_cycle(&self, waiting: &BTreeMap<&'a str, usize>) -> (Vec<&'a str>, Option<&'a Object>) {
        let mut before: BTreeMap<&str, (&'a str, &'a Object)> = BTreeMap::new();
        for (first, seconds) in &self.followers {
            for (second, order) in seconds {
                if waiting.contains_key(first) {
                    before.insert(second, (first, order));
                }
            }
        }
        let mut path: Vec<&'a str> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut order = None;
        let mut at = waiting.keys().next().copied().unwrap_or_default();
        while seen.insert(at) {
            path.push(at);
            let Some((previous, by)) = before.get(at) else {
                break;
            };
            order = Some(*by);
            at = previous;
        }
        path.push(at);
        let start = path.iter().position(|name| *name == at).unwrap_or_default();
        let mut names = path.split_off(start);
        names.reverse();
        names.truncate(20);
        (names, order)
    }
}
