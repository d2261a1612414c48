use proptest::prelude::*;

use super::*;

const START: Moment = Moment::ZERO;
const GAP: Duration = Duration::from_secs(5);

fn rules(name: &str) -> ProcessRules {
    ProcessRules {
        name: name.to_owned(),
        max_failures: 1,
        daemon: false,
        ephemeral: false,
        min_duration: GAP,
    }
}

fn order(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn plan(processes: Vec<ProcessRules>, orders: &[Vec<String>], max_concurrency: u32) -> Plan {
    Plan::new(processes, orders, max_concurrency).unwrap()
}

#[test]
fn processes_start_in_the_order_of_declaration_within_the_limit() {
    let mut plan = plan(["c", "a", "b"].map(rules).into(), &[], 2);
    assert_eq!(plan.startable(START), [0, 1]);
    plan.started(0);
    assert_eq!(plan.startable(START), [1]);
    plan.started(1);
    assert!(plan.startable(START).is_empty());
    plan.ended(1, RunEnd::Succeeded, START);
    assert_eq!(plan.startable(START), [2]);
}

#[test]
fn an_order_is_kept() {
    let mut plan = plan(
        ["a", "b", "c"].map(rules).into(),
        &[order(&["c", "b", "a"])],
        0,
    );
    for index in [2, 1, 0] {
        assert_eq!(plan.startable(START), [index]);
        plan.started(index);
        assert!(plan.startable(START).is_empty());
        plan.ended(index, RunEnd::Succeeded, START);
    }
    assert!(plan.is_complete());
}

#[test]
fn a_daemon_is_restarted_after_its_gap_without_a_cap() {
    let daemon = ProcessRules {
        daemon: true,
        max_failures: 0,
        ..rules("d")
    };
    let mut plan = plan(vec![daemon], &[], 0);
    let mut now = START;
    for run in 0..1_000 {
        assert_eq!(plan.startable(now), [0]);
        assert_eq!(plan.started(0), run);
        let end = if run % 2 == 0 {
            RunEnd::Failed
        } else {
            RunEnd::Succeeded
        };
        plan.ended(0, end, now);
        assert!(plan.startable(now).is_empty());
        assert_eq!(plan.next_due(now), Some(now + GAP));
        assert!(!plan.is_deadlocked() && !plan.is_complete());
        now += GAP;
    }
    assert_eq!(plan.n_failed(), 0);
}

#[test]
fn a_process_fails_for_good_at_its_limit() {
    let mut plan = plan(
        vec![ProcessRules {
            max_failures: 3,
            ..rules("p")
        }],
        &[],
        0,
    );
    for n_failures in 1..=3 {
        assert_eq!(plan.n_failed(), 0);
        plan.started(0);
        plan.ended(0, RunEnd::Failed, START + GAP * n_failures);
    }
    assert_eq!(plan.n_failed(), 1);
    assert!(plan.is_complete());
    assert_eq!(plan.next_due(START), None);
}

#[test]
fn an_ephemeral_process_never_fails_and_is_not_waited_for() {
    let ephemeral = ProcessRules {
        ephemeral: true,
        ..rules("e")
    };
    let mut plan = plan(vec![ephemeral, rules("main")], &[], 0);
    plan.started(0);
    plan.started(1);
    plan.ended(0, RunEnd::Failed, START);
    assert_eq!(plan.n_failed(), 0);
    assert!(plan.startable(START + GAP).is_empty());
    plan.ended(1, RunEnd::Succeeded, START);
    assert!(plan.is_complete());
}

#[test]
fn only_ephemeral_processes_are_complete_at_once() {
    let plan = plan(
        vec![ProcessRules {
            ephemeral: true,
            ..rules("e")
        }],
        &[],
        0,
    );
    assert!(plan.is_complete());
}

#[test]
fn what_waits_for_a_failure_is_a_deadlock() {
    let mut plan = plan(["a", "b"].map(rules).into(), &[order(&["a", "b"])], 0);
    plan.started(0);
    assert!(!plan.is_deadlocked());
    plan.ended(0, RunEnd::Failed, START);
    assert!(plan.is_deadlocked());
    assert_eq!(plan.blocked_pair(), Some(("b", "a")));
}

#[test]
fn a_cycle_is_a_deadlock() {
    let orders = [order(&["a", "b"]), order(&["b", "a"])];
    assert!(plan(["a", "b"].map(rules).into(), &orders, 0).is_deadlocked());
}

#[test]
fn senseless_plans_are_refused() {
    let twice = Plan::new(vec![rules("a"), rules("a")], &[], 0);
    assert_eq!(twice.unwrap_err(), PlanError::Duplicate("a".to_owned()));
    let unknown = Plan::new(vec![rules("a")], &[order(&["a", "x"])], 0);
    assert_eq!(unknown.unwrap_err(), PlanError::Unknown("x".to_owned()));
}

fn any_rules() -> impl Strategy<Value = (bool, bool, u32)> {
    (any::<bool>(), any::<bool>(), 0_u32..4)
}

proptest! {
    // Whatever runs and however it ends: limits and orders hold, and the plan says at any time
    // what it waits for.
    #[test]
    fn limits_and_orders_hold(
        kinds in proptest::collection::vec(any_rules(), 1..6),
        edges in proptest::collection::vec((0_usize..6, 0_usize..6), 0..6),
        max_concurrency in 0_u32..4,
        choices in proptest::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
    ) {
        let names: Vec<String> = (0..kinds.len()).map(|index| format!("p{index}")).collect();
        let processes = kinds.iter().zip(&names).map(|(&(daemon, ephemeral, max_failures), name)| {
            ProcessRules { daemon, ephemeral, max_failures, ..rules(name) }
        });
        let edges: Vec<(usize, usize)> =
            edges.into_iter().filter(|&(a, b)| a < b && b < kinds.len()).collect();
        let orders: Vec<Vec<String>> =
            edges.iter().map(|&(a, b)| vec![names[a].clone(), names[b].clone()]).collect();
        let mut plan = plan(processes.collect(), &orders, max_concurrency);
        let mut now = START;
        let mut running: Vec<usize> = Vec::new();
        let mut succeeded = vec![false; kinds.len()];
        for (choice, succeeds) in choices {
            for index in plan.startable(now) {
                for &(before, _) in edges.iter().filter(|&&(_, after)| after == index) {
                    prop_assert!(succeeded[before] || kinds[before].1, "order broken");
                }
                plan.started(index);
                running.push(index);
            }
            prop_assert_eq!(plan.n_running(), running.len());
            if max_concurrency > 0 {
                prop_assert!(running.len() <= usize::try_from(max_concurrency).unwrap());
            }
            if running.is_empty() {
                let due = plan.next_due(now);
                prop_assert!(due.is_some() || plan.is_complete() || plan.is_deadlocked());
                let Some(due) = due else { break };
                now = due;
                continue;
            }
            let index = running.remove(choice.index(running.len()));
            let end = if succeeds { RunEnd::Succeeded } else { RunEnd::Failed };
            succeeded[index] |= succeeds && !kinds[index].0;
            plan.ended(index, end, now);
        }
        prop_assert!(!(plan.is_complete() && plan.is_deadlocked()));
    }
}
