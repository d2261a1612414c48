//! The worked examples of Thermos' behaviour, with its faults mended.

use aurora_proto::v1::{Order, Process};
use proptest::prelude::*;

use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn process(name: &str) -> Process {
    Process {
        name: name.to_owned(),
        max_failures: 1,
        min_duration_secs: 5,
        ..Process::default()
    }
}

fn final_process(name: &str) -> Process {
    Process {
        r#final: true,
        ..process(name)
    }
}

fn ephemeral(name: &str) -> Process {
    Process {
        ephemeral: true,
        ..process(name)
    }
}

fn config(processes: Vec<Process>) -> TaskConfig {
    TaskConfig {
        processes,
        max_failures: 1,
        finalization_wait_secs: 30,
        ..TaskConfig::default()
    }
}

fn order(names: &[&str]) -> Order {
    Order {
        processes: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

// A task and its clock, with everything done at once that the plan asks for.
struct Run {
    plan: TaskPlan,
    names: Vec<String>,
    now: Moment,
    running: Vec<usize>,
    n_strays: usize,
    log: Vec<String>,
    outcome: Option<Outcome>,
}

impl Run {
    fn new(config: &TaskConfig) -> Self {
        let names = config
            .processes
            .iter()
            .map(|process| process.name.clone())
            .collect();
        let plan = TaskPlan::new(config).unwrap();
        let now = Moment::ZERO;
        let mut run = Self {
            plan,
            names,
            now,
            running: Vec::new(),
            n_strays: 0,
            log: Vec::new(),
            outcome: None,
        };
        run.proceed();
        run
    }

    fn proceed(&mut self) {
        loop {
            match self.plan.next_step(self.now) {
                Step::Wait => return,
                Step::Start { process, .. } => {
                    self.running.push(process);
                    self.log.push(format!("start {}", self.names[process]));
                }
                Step::Terminate => {
                    self.log.push("terminate".to_owned());
                    self.plan.strays(self.n_strays);
                }
                Step::Kill => {
                    self.log.push("kill".to_owned());
                    self.n_strays = 0;
                    self.plan.strays(0);
                    for process in std::mem::take(&mut self.running) {
                        self.plan.ended(process, RunEnd::Failed, "killed", self.now);
                    }
                }
                Step::End(outcome) => {
                    self.outcome = Some(outcome);
                    return;
                }
            }
        }
    }

    fn end(&mut self, name: &str, end: RunEnd) {
        let process = self.names.iter().position(|other| other == name).unwrap();
        let at = self
            .running
            .iter()
            .position(|other| *other == process)
            .unwrap();
        self.running.remove(at);
        self.plan.ended(
            process,
            end,
            &format!("process `{name}` exited with 1"),
            self.now,
        );
        self.proceed();
    }

    fn succeed(&mut self, name: &str) {
        self.end(name, RunEnd::Succeeded);
    }

    fn fail(&mut self, name: &str) {
        self.end(name, RunEnd::Failed);
    }

    fn kill(&mut self, grace: Duration) {
        self.plan.kill("kill requested", grace, self.now);
        self.proceed();
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        self.proceed();
    }

    fn n_started(&self, name: &str) -> usize {
        self.log
            .iter()
            .filter(|line| **line == format!("start {name}"))
            .count()
    }
}

fn failed(text: &str) -> Option<Outcome> {
    Some(Outcome::Failed(text.to_owned()))
}

fn killed() -> Option<Outcome> {
    Some(Outcome::Killed("kill requested".to_owned()))
}

#[test]
fn example_1_a_failing_daemon_fails_the_task_and_finals_run() {
    let daemon = Process {
        daemon: true,
        ..process("d")
    };
    let mut run = Run::new(&config(vec![daemon, process("other"), final_process("f")]));
    run.fail("d");
    assert_eq!(run.log, ["start d", "start other", "terminate"]);
    run.fail("other");
    run.succeed("f");
    assert_eq!(run.outcome, failed("process `d` exited with 1"));
}

#[test]
fn example_2_a_daemon_without_a_limit_runs_for_ever() {
    let mut run = Run::new(&config(vec![Process {
        daemon: true,
        max_failures: 0,
        ..process("d")
    }]));
    for _ in 0..300 {
        run.fail("d");
        run.advance(secs(5));
    }
    assert_eq!((run.n_started("d"), &run.outcome), (301, &None));
}

#[test]
fn example_3_a_sidecar_goes_with_the_main_process() {
    let mut run = Run::new(&config(vec![
        ephemeral("side"),
        process("main"),
        final_process("f"),
    ]));
    run.succeed("main");
    run.fail("side");
    run.succeed("f");
    assert_eq!(run.outcome, Some(Outcome::Finished));
    assert_eq!(
        run.log,
        ["start side", "start main", "terminate", "start f", "kill"]
    );
}

#[test]
fn example_4_a_sidecar_that_ignores_sigterm_does_not_cost_the_finals() {
    let mut run = Run::new(&config(vec![
        ephemeral("side"),
        process("main"),
        final_process("f"),
    ]));
    run.succeed("main");
    assert_eq!(run.plan.wake_at(run.now), Some(secs(15)));
    run.advance(secs(15));
    assert_eq!(
        run.log,
        ["start side", "start main", "terminate", "kill", "start f"]
    );
    run.succeed("f");
    assert_eq!(run.outcome, Some(Outcome::Finished));
}

#[test]
fn example_5_a_sidecar_out_of_failures_is_given_up() {
    let mut run = Run::new(&config(vec![ephemeral("side"), process("main")]));
    run.fail("side");
    run.advance(secs(60));
    assert_eq!((run.n_started("side"), &run.outcome), (1, &None));
    run.succeed("main");
    assert_eq!(run.outcome, Some(Outcome::Finished));
}

#[test]
fn example_6_a_daemon_that_is_not_ephemeral_keeps_the_task() {
    let daemon = Process {
        daemon: true,
        ..process("d")
    };
    let mut run = Run::new(&config(vec![daemon, process("main")]));
    run.succeed("main");
    run.advance(secs(3_600));
    assert_eq!(run.outcome, None);
}

#[test]
fn example_7_a_dependent_of_a_failure_deadlocks_the_task() {
    for max_failures in [0, 2] {
        let mut config = config(vec![process("a"), process("b")]);
        config.max_failures = max_failures;
        config.order = vec![order(&["a", "b"])];
        let mut run = Run::new(&config);
        run.fail("a");
        let text = "process `a` exited with 1; process `b` waits in vain for process `a`";
        assert_eq!(run.outcome, failed(text));
    }
}

#[test]
fn example_8_failures_within_the_limit_are_forgiven() {
    for max_failures in [0, 2] {
        let mut config = config(vec![process("a"), process("b")]);
        config.max_failures = max_failures;
        let mut run = Run::new(&config);
        run.fail("a");
        run.succeed("b");
        assert_eq!(run.outcome, Some(Outcome::Finished));
    }
}

#[test]
fn example_9_a_failed_final_stops_its_dependents_and_nothing_else() {
    let mut config = config(vec![
        process("main"),
        final_process("f1"),
        final_process("f2"),
    ]);
    config.order = vec![order(&["f1", "f2"])];
    let mut run = Run::new(&config);
    run.succeed("main");
    run.fail("f1");
    assert_eq!(
        (run.n_started("f2"), &run.outcome),
        (0, &Some(Outcome::Finished))
    );
}

#[test]
fn example_10_finals_run_after_a_kill() {
    let mut run = Run::new(&config(vec![process("main"), final_process("f")]));
    run.kill(secs(60));
    run.fail("main");
    run.succeed("f");
    assert_eq!(run.outcome, killed());
    assert_eq!(run.log, ["start main", "terminate", "start f", "kill"]);
}

#[test]
fn example_11_a_kill_while_cleaning_shortens_and_decides() {
    let mut run = Run::new(&config(vec![ephemeral("side"), process("main")]));
    run.succeed("main");
    run.kill(secs(60));
    assert_eq!(run.plan.wake_at(run.now), Some(secs(30)), "never longer");
    run.kill(secs(3));
    run.advance(secs(3));
    assert_eq!(run.outcome, killed());
}

#[test]
fn example_12_a_kill_while_finalizing_does_not_run_finals_again() {
    let mut run = Run::new(&config(vec![process("main"), final_process("f")]));
    run.succeed("main");
    run.kill(secs(60));
    run.advance(secs(10));
    assert_eq!((run.n_started("f"), &run.outcome), (1, &None));
    run.kill(secs(2));
    run.advance(secs(2));
    assert_eq!((run.n_started("f"), &run.outcome), (1, &killed()));
}

#[test]
fn example_14_and_15_strays_have_the_same_time_as_others() {
    let mut run = Run::new(&config(vec![process("main")]));
    run.n_strays = 2;
    run.kill(secs(10));
    assert!(!run.plan.kills_group_at_run_end() && run.plan.counts_strays());
    run.fail("main");
    assert_eq!(run.outcome, None);
    run.plan.strays(0);
    run.proceed();
    assert_eq!(
        (run.outcome, run.log.last().unwrap().as_str()),
        (killed(), "terminate")
    );
}

#[test]
fn example_16_nothing_starts_once_the_task_is_complete() {
    let run = Run::new(&config(vec![ephemeral("a"), ephemeral("b")]));
    assert_eq!(
        (run.log, run.outcome),
        (vec!["terminate".to_owned()], Some(Outcome::Finished))
    );
}

#[test]
fn example_17_deaths_by_signals_count() {
    let mut run = Run::new(&config(vec![Process {
        max_failures: 3,
        ..process("p")
    }]));
    for _ in 0..3 {
        assert_eq!(run.outcome, None);
        run.fail("p");
        run.advance(secs(5));
    }
    assert_eq!(
        run.outcome,
        failed("process `p` exited with 1 (failed 3 times)")
    );
}

#[test]
fn example_18_without_time_to_end_everything_is_killed_at_once() {
    let mut config = config(vec![ephemeral("side"), process("main"), final_process("f")]);
    config.finalization_wait_secs = 0;
    let mut run = Run::new(&config);
    run.succeed("main");
    assert_eq!(run.log, ["start side", "start main", "terminate", "kill"]);
    assert_eq!(run.outcome, Some(Outcome::Finished));
}

#[test]
fn example_21_a_failure_stops_what_runs_and_what_waits() {
    let names = ["bad", "a", "b", "c"];
    let mut config = config(names.map(process).into());
    config.max_concurrency = 2;
    let mut run = Run::new(&config);
    run.fail("bad");
    run.fail("a");
    assert_eq!(run.log, ["start bad", "start a", "terminate"]);
    assert_eq!(run.outcome, failed("process `bad` exited with 1"));
}

#[test]
fn finals_that_do_not_end_are_killed_at_the_end_of_the_budget() {
    let mut run = Run::new(&config(vec![process("main"), final_process("f")]));
    run.succeed("main");
    run.advance(secs(30));
    assert_eq!(run.log, ["start main", "terminate", "start f", "kill"]);
    assert_eq!(run.outcome, Some(Outcome::Finished));
}

#[test]
fn an_unkillable_stray_does_not_hold_the_task_for_ever() {
    let mut run = Run::new(&config(vec![process("main")]));
    run.plan.kill("kill requested", Duration::ZERO, run.now);
    assert_eq!(run.plan.next_step(run.now), Step::Terminate);
    run.plan.strays(1);
    assert_eq!(run.plan.next_step(run.now), Step::Kill);
    assert_eq!(run.plan.next_step(run.now), Step::Wait);
    run.now += UNKILLABLE_AFTER;
    assert!(matches!(
        run.plan.next_step(run.now),
        Step::End(Outcome::Killed(_))
    ));
}

#[test]
fn an_order_must_not_mix_final_and_ordinary_processes() {
    let mut config = config(vec![process("main"), final_process("f")]);
    config.order = vec![order(&["main", "f"])];
    assert_eq!(
        TaskPlan::new(&config).unwrap_err(),
        PlanError::Unknown("f".to_owned())
    );
}

proptest! {
    // Whatever happens, a killed task is over when its grace is, and its finals have run at most
    // once, after everything else had gone.
    #[test]
    fn a_killed_task_ends_in_time(
        n_processes in 1_usize..4,
        n_finals in 0_usize..3,
        events in proptest::collection::vec((0_usize..8, any::<bool>(), 0_u64..8), 0..20),
        grace in 0_u64..40,
        kill_after in 0_usize..20,
    ) {
        let mut processes: Vec<Process> =
            (0..n_processes).map(|index| process(&format!("p{index}"))).collect();
        processes.extend((0..n_finals).map(|index| final_process(&format!("f{index}"))));
        let mut run = Run::new(&config(processes));
        for (index, (choice, succeeds, wait)) in events.into_iter().enumerate() {
            if index == kill_after {
                run.kill(secs(grace));
            }
            if let Some(&process) = run.running.get(choice) {
                let name = run.names[process].clone();
                run.end(&name, if succeeds { RunEnd::Succeeded } else { RunEnd::Failed });
            }
            run.advance(secs(wait));
        }
        run.kill(secs(grace));
        run.advance(secs(grace));
        run.advance(secs(grace));
        prop_assert!(run.outcome.is_some(), "{:?}", run.log);
        prop_assert!(run.running.is_empty());
        for index in 0..n_finals {
            let name = format!("f{index}");
            prop_assert!(run.n_started(&name) <= 1);
        }
        let first_final = run.log.iter().position(|line| line.starts_with("start f"));
        let last_ordinary = run.log.iter().rposition(|line| line.starts_with("start p"));
        prop_assert!(first_final.is_none_or(|first| last_ordinary < Some(first)));
    }
}
