//! Which task goes where, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aurora_proto::v1::TaskState;

use super::harness::{Rig, limit, service, value, with_task};
use crate::cluster::{ClusterEvent, Effect, ReportedState};
use crate::resources::Resources;
use crate::settings::Settings;
use crate::{Input, call::Call};

#[test]
fn many_tasks_share_one_offer_and_ports_are_distinct() {
    let mut rig = Rig::new();
    rig.create(with_task(service("web", 12), |task| {
        task.ports = vec!["http".to_owned(), "admin".to_owned()];
    }));
    rig.offer("a", 4_000);
    // Ten ports are enough for five tasks.
    assert_eq!(rig.launches().len(), 5);
    let launches = rig.launches();
    let ports: BTreeSet<u16> = launches
        .iter()
        .flat_map(|l| l.ports.iter().map(|p| p.1))
        .collect();
    assert_eq!(ports.len(), 10);
    assert_eq!(rig.scheduler.outstanding_offers(), 0);
}

#[test]
fn offers_of_one_agent_are_used_as_one() {
    let mut rig = Rig::new();
    let one = rig.offer_from("a", 60);
    let mut other = rig.offer_from("a", 60);
    // An agent that offers a port twice has it once.
    other.ports = vec![31_005..=31_012];
    rig.event(ClusterEvent::Offers(vec![one, other]));
    rig.create(with_task(service("web", 1), |task| {
        task.ports = (0..13).map(|n| format!("p{n}")).collect();
    }));
    let Some(Effect::Accept {
        offers, launches, ..
    }) = rig.effects.first()
    else {
        panic!("{:?}", rig.effects);
    };
    assert_eq!((offers.len(), launches.len()), (2, 1));
    let ports: BTreeSet<u16> = launches[0].ports.iter().map(|(_, port)| *port).collect();
    assert_eq!(ports.len(), 13);
}

#[test]
fn fullest_host_that_fits_comes_first() {
    let mut rig = Rig::new();
    for (agent, cpu) in [("big", 8_000), ("small", 150), ("tiny", 50)] {
        rig.offer(agent, cpu);
    }
    rig.create(service("one", 1));
    assert_eq!(rig.task("one", 0).unwrap().agent_id, "small");
}

#[test]
fn offer_that_is_rescinded_is_not_used_even_if_the_rescind_overtakes_it() {
    let mut rig = Rig::new();
    let offer = rig.offer("a", 1_000);
    rig.event(ClusterEvent::Rescinded(Arc::clone(&offer.id)));
    let late = rig.offer_from("a", 1_000);
    rig.event(ClusterEvent::Rescinded(Arc::clone(&late.id)));
    rig.event(ClusterEvent::Offers(vec![late]));
    rig.create(service("web", 1));
    assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
    rig.offer("a", 1_000);
    assert_eq!(rig.state("web", 0), Some(TaskState::Assigned));
}

#[test]
fn offers_from_before_a_disconnect_are_void() {
    let mut rig = Rig::new();
    rig.offer("a", 1_000);
    rig.event(ClusterEvent::Disconnected);
    let late = rig.offer_from("b", 1_000);
    rig.event(ClusterEvent::Offers(vec![late]));
    rig.create(service("web", 1));
    rig.event(ClusterEvent::Connected);
    assert_eq!(rig.state("web", 0), Some(TaskState::Pending));
}

#[test]
fn every_offer_goes_back_in_time_whatever_becomes_of_its_siblings() {
    let mut rig = Rig::new();
    let first = rig.offer("a", 100);
    let second = rig.offer("a", 100);
    rig.event(ClusterEvent::Rescinded(second.id));
    // Later offers of the same agent do not put it off.
    for _ in 0..5 {
        rig.run(60);
        rig.offer("a", 10);
    }
    rig.run(60);
    assert_eq!(rig.scheduler.outstanding_offers(), 0, "{first:?}");
    assert_eq!(rig.scheduler.counters().offers_declined, 6);
}

#[test]
fn small_job_waits_one_turn_of_a_large_one() {
    let mut rig = Rig::with(Settings {
        max_placements_per_step: 200,
        ..Settings::default()
    });
    rig.create(service("large", 10_000));
    rig.create(service("small", 1));
    rig.offer("a", 1_000_000);
    assert_eq!(rig.state("small", 0), Some(TaskState::Assigned));
}

#[test]
fn freed_resources_wake_what_waits_for_them() {
    let mut rig = Rig::new();
    // 1,500 groups that nothing will ever take stand before the one that fits.
    for n in 0..1_500 {
        rig.create(with_task(service(&format!("vast{n}"), 1), |task| {
            task.resources.as_mut().unwrap().cpu = 50_000.0 + f64::from(n);
        }));
    }
    rig.create(with_task(service("fits", 1), |task| {
        task.resources.as_mut().unwrap().cpu = 2.0;
    }));
    rig.offer("a", 1_000);
    rig.run(600);
    rig.offer("b", 2_000);
    assert_eq!(rig.state("fits", 0), Some(TaskState::Assigned));
}

#[test]
fn end_of_one_instance_wakes_another_that_its_limit_kept_waiting() {
    let mut rig = Rig::new();
    let one_a_host = with_task(service("web", 2), |task| {
        task.constraints = vec![limit("host", 1)];
    });
    rig.create(one_a_host);
    rig.offer("a", 1_000);
    rig.offer("a", 500);
    assert_eq!(rig.state("web", 1), Some(TaskState::Pending));
    rig.run(200);
    let id = rig.id("web", 0);
    rig.kill("web", &[(0, 0)]);
    rig.offer("a", 500);
    assert_eq!(rig.state("web", 1), Some(TaskState::Pending));
    rig.status(&id, ReportedState::Killed);
    assert_eq!(rig.state("web", 1), Some(TaskState::Assigned));
}

#[test]
fn constraints_choose_hosts() {
    let racks: BTreeMap<&str, &[(&str, &str)]> = BTreeMap::from([
        ("plain", &[][..]),
        ("r1", &[("rack", "1")][..]),
        ("r2", &[("rack", "2")][..]),
        ("db", &[("rack", "1"), ("dedicated", "www/db")][..]),
    ]);
    let cases = [
        (vec![], vec!["plain", "r1", "r2"]),
        (vec![value("rack", false, "1")], vec!["r1"]),
        (vec![value("rack", true, "1")], vec!["plain", "r2"]),
        (vec![limit("rack", 1)], vec!["r1", "r2"]),
        (vec![value("dedicated", false, "www/db")], vec!["db"]),
        (vec![limit("rack", 2), value("rack", true, "2")], vec!["r1"]),
    ];
    for (constraints, hosts) in cases {
        let mut allowed = Vec::new();
        for (host, attributes) in &racks {
            let mut rig = Rig::new();
            let mut offer = rig.offer_from(host, 1_000);
            let mut all = (*offer.attributes).clone();
            for (name, value) in *attributes {
                all.insert((*name).to_owned(), BTreeSet::from([(*value).to_owned()]));
            }
            offer.attributes = Arc::new(all);
            rig.event(ClusterEvent::Offers(vec![offer]));
            rig.create(with_task(service("web", 1), |t| {
                t.constraints.clone_from(&constraints);
            }));
            if rig.state("web", 0) == Some(TaskState::Assigned) {
                allowed.push(*host);
            }
        }
        assert_eq!(allowed, hosts, "{constraints:?}");
    }
}

#[test]
fn limit_counts_all_of_the_job_and_nothing_else() {
    let mut rig = Rig::new();
    let spread = |name: &str| {
        with_task(service(name, 3), |task| {
            task.constraints = vec![limit("host", 1)];
        })
    };
    rig.create(spread("web"));
    rig.create(spread("api"));
    for agent in ["a", "b"] {
        rig.offer(agent, 10_000);
    }
    for name in ["web", "api"] {
        let placed = rig
            .tasks(name)
            .iter()
            .filter(|t| !t.agent_id.is_empty())
            .count();
        assert_eq!(placed, 2, "{name}");
    }
}

#[test]
fn executor_takes_its_share() {
    let mut rig = Rig::with(Settings {
        executor_overhead: Resources {
            cpu_millis: 100,
            ..Resources::default()
        },
        ..Settings::default()
    });
    rig.create(service("web", 10));
    rig.offer("a", 1_000);
    assert_eq!(rig.launches().len(), 5);
}

#[test]
fn flood_that_fits_nowhere_neither_spins_nor_holds_up_others() {
    let mut rig = Rig::new();
    for n in 0..300 {
        rig.offer(&format!("agent{n}"), 1_000);
    }
    let mut inputs = Vec::new();
    for n in 0..2_000 {
        let context = rig.context();
        let config = with_task(service(&format!("job{n}"), 1), |task| {
            task.resources.as_mut().unwrap().ram_bytes = (100 << 30) + i64::from(n % 7);
        });
        let request = aurora_proto::v1::CreateJobRequest {
            context,
            config: Some(config),
        };
        let call = Call::CreateJob(Box::new(request));
        inputs.push(Input::Call { reply_to: 0, call });
    }
    rig.step(inputs);
    rig.create(service("fits", 1));
    assert_eq!(rig.state("fits", 0), Some(TaskState::Assigned));
    let before = rig.scheduler.counters().schedule_attempts;
    rig.run(3);
    let attempts = rig.scheduler.counters().schedule_attempts - before;
    assert!(attempts < 10_000, "{attempts} turns in three seconds");
    assert!(rig.scheduler.next_wakeup(rig.now).unwrap() > rig.now);
}

#[test]
fn waits_of_nothing_are_made_long_enough() {
    let mut rig = Rig::with(Settings {
        initial_kill_retry: Duration::ZERO,
        max_kill_retry: Duration::ZERO,
        initial_schedule_delay: Duration::ZERO,
        max_schedule_delay: Duration::ZERO,
        reconcile_interval: Duration::ZERO,
        max_placements_per_step: 0,
        ..Settings::default()
    });
    let id = rig.running(service("web", 1));
    rig.kill("web", &[]);
    rig.pass(1);
    rig.status(&id, ReportedState::Killed);
}

#[test]
fn groups_do_not_outlive_their_job() {
    let mut rig = Rig::new();
    rig.create(service("web", 2));
    rig.kill("web", &[]);
    assert_eq!(rig.scheduler.pending_groups(), 0);
    rig.call(Call::PruneTasks(
        aurora_proto::v1::PruneTasksRequest::default(),
    ))
    .unwrap();
    // The old configuration is gone now; its group must be, too.
    rig.create(with_task(service("web", 1), |task| {
        task.name = "other".to_owned();
    }));
    rig.offer("a", 1_000);
    assert_eq!(rig.state("web", 0), Some(TaskState::Assigned));
}
