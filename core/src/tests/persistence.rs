//! What is written is all that a new scheduler needs.

use aurora_proto::storage::v1 as stored;
use aurora_proto::v1;
use proptest::prelude::*;
use prost::Message as _;

use super::harness::{Rig, key, limit, service, with_task};
use crate::Scheduler;
use crate::cluster::ReportedState;
use crate::settings::Settings;
use crate::store::{FORMAT, Table};

/// Everything that can be asked, but what stands in offers.
fn answers(rig: &Rig) -> String {
    let scheduler = &rig.scheduler;
    let jobs = scheduler
        .list_jobs(&v1::ListJobsRequest::default())
        .unwrap();
    let tasks = scheduler
        .list_tasks(&v1::ListTasksRequest::default())
        .unwrap();
    let mut all = format!("{jobs:?}{tasks:?}{:?}", scheduler.tasks_by_state());
    for job in jobs.jobs {
        let request = v1::GetJobRequest {
            key: job.key.clone(),
        };
        all.push_str(&format!("{:?}", scheduler.get_job(&request)));
        let request = v1::GetJobHistoryRequest { key: job.key };
        all.push_str(&format!("{:?}", scheduler.get_job_history(&request)));
    }
    all
}

fn act(rig: &mut Rig, action: u8, n: u32) {
    let name = format!("job{}", n % 3);
    let exists = rig
        .scheduler
        .get_job(&v1::GetJobRequest { key: key(&name) })
        .is_ok();
    let ended = exists
        && rig
            .tasks(&name)
            .iter()
            .all(|t| crate::task::is_terminal(t.state()));
    let id = rig.task(&name, n % 4).map(|task| task.task_id);
    match action {
        0 | 1 if !exists || ended => rig.create(with_task(service(&name, 1 + n % 4), |task| {
            task.service = n.is_multiple_of(2);
            task.ports = vec!["http".to_owned(); (n % 2) as usize];
            task.max_task_failures = 3;
            if n.is_multiple_of(5) {
                task.constraints = vec![limit("host", 2)];
            }
        })),
        2 if exists => rig.kill(&name, &[(n % 4, n % 4)]),
        3 if exists => drop(rig.restart_tasks(&name, &[(n % 4, n % 4)])),
        4 | 5 => drop(rig.offer(&format!("agent{}", n % 3), 400)),
        6..=10 => {
            let states = [
                ReportedState::Starting,
                ReportedState::Running,
                ReportedState::Finished,
                ReportedState::Failed,
                ReportedState::Killed,
                ReportedState::Lost,
                ReportedState::Unreachable,
            ];
            if let Some(id) = id {
                rig.status(&id, states[n as usize % states.len()]);
            }
        }
        11 => rig.pass(i64::from(n)),
        12 => rig.run(i64::from(n) * 60),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn new_scheduler_answers_like_the_old(
        actions in prop::collection::vec((0_u8..13, 0_u32..120), 1..60),
    ) {
        let mut rig = Rig::new();
        for (action, n) in actions {
            act(&mut rig, action, n);
            let before = answers(&rig);
            let rows = rig.rows.clone();
            let mut again = Scheduler::new(Settings::default(), 1).unwrap();
            for table in Table::ALL {
                for ((_, key), value) in rows.iter().filter(|((of, _), _)| *of == table) {
                    again.load(table, key, value).unwrap();
                }
            }
            let step = again.start(rig.now, 3);
            prop_assert_eq!(again.violations(), Vec::<String>::new());
            // Nothing is written but deletions of what nothing uses.
            prop_assert!(step.writes.iter().all(|write| write.value.is_none()), "{:?}", step.writes);
            let old = std::mem::replace(&mut rig.scheduler, again);
            prop_assert_eq!(answers(&rig), before);
            rig.scheduler = old;
        }
    }
}

fn load(table: Table, key: &[u8], value: &[u8], rows: &Rig) -> Result<(), String> {
    let mut scheduler = Scheduler::new(Settings::default(), 1).unwrap();
    for before in Table::ALL.into_iter().take_while(|other| *other != table) {
        for ((_, key), value) in rows.rows.iter().filter(|((of, _), _)| *of == before) {
            scheduler.load(before, key, value).unwrap();
        }
    }
    scheduler
        .load(table, key, value)
        .map_err(|error| error.to_string())
}

#[test]
fn records_that_make_no_sense_are_refused_by_name() {
    let mut rig = Rig::new();
    rig.running(service("web", 1));
    let find = |table| rig.rows.iter().find(|((of, _), _)| *of == table).unwrap();
    let ((_, meta_key), meta) = find(Table::Meta);
    let mut meta = stored::Meta::decode(meta.as_slice()).unwrap();
    meta.format = FORMAT + 1;
    let newer = load(Table::Meta, meta_key, &meta.encode_to_vec(), &rig).unwrap_err();
    assert!(newer.contains("format"), "{newer}");

    let ((_, task_key), good) = find(Table::Tasks);
    assert_eq!(load(Table::Tasks, task_key, good, &rig), Ok(()));
    let good = stored::TaskRecord::decode(good.as_slice()).unwrap();
    let bad: [fn(&mut stored::TaskRecord); 7] = [
        |task| task.number = 1 << 60,
        |task| task.state = 99,
        |task| task.agent_id.clear(),
        |task| task.job = "a/b/c".to_owned(),
        |task| task.config_digest.truncate(3),
        |task| task.events.clear(),
        |task| task.state = v1::TaskState::Init.into(),
    ];
    for (i, spoil) in bad.into_iter().enumerate() {
        let mut task = good.clone();
        spoil(&mut task);
        assert!(
            load(Table::Tasks, task_key, &task.encode_to_vec(), &rig).is_err(),
            "{i}"
        );
    }
    assert!(load(Table::Tasks, task_key, &[0xff], &rig).is_err());
    let mut empty = Scheduler::new(Settings::default(), 1).unwrap();
    assert!(
        empty.load(Table::Frameworks, b"x", &[]).is_err(),
        "no meta record"
    );
}

#[test]
fn configuration_keeps_the_name_that_an_older_release_gave_it() {
    let mut rig = Rig::new();
    rig.running(service("web", 1));
    // The older release has encoded it otherwise, and so named it otherwise.
    let old = [7_u8; 32];
    let rename = |digest: &mut Vec<u8>| *digest = old.to_vec();
    let rows = std::mem::take(&mut rig.rows);
    for ((table, mut key), mut value) in rows {
        match table {
            Table::Configs => key = old.to_vec(),
            Table::Jobs => {
                let mut job = stored::JobRecord::decode(value.as_slice()).unwrap();
                rename(&mut job.config_digest);
                value = job.encode_to_vec();
            }
            Table::Tasks => {
                let mut task = stored::TaskRecord::decode(value.as_slice()).unwrap();
                rename(&mut task.config_digest);
                value = task.encode_to_vec();
            }
            _ => {}
        }
        rig.rows.insert((table, key), value);
    }
    rig.restart();
    let id = rig.id("web", 0);
    rig.status(&id, ReportedState::Failed);
    rig.restart();
    assert_ne!(rig.id("web", 0), id);
}
