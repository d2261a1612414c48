//! Pages of tasks and jobs.

use std::collections::BTreeSet;

use aurora_proto::v1;

use super::harness::{Rig, key, ranges, service};
use crate::cluster::ReportedState;

fn all_pages(rig: &Rig, mut request: v1::ListTasksRequest) -> Vec<v1::Task> {
    let mut tasks = Vec::new();
    loop {
        let page = rig.scheduler.list_tasks(&request).unwrap();
        tasks.extend(page.tasks);
        if page.next_page_token.is_empty() {
            return tasks;
        }
        request.page_token = page.next_page_token;
    }
}

#[test]
fn pages_of_any_size_hold_everything_once_and_in_order() {
    let mut rig = Rig::new();
    for name in ["web", "api", "api.v2"] {
        rig.create(service(name, 4));
    }
    rig.offer("a", 10_000);
    for _ in 0..2 {
        let id = rig.id("api", 2);
        rig.status(&id, ReportedState::Failed);
        rig.offer("a", 10_000);
    }
    let whole = all_pages(&rig, v1::ListTasksRequest::default());
    assert_eq!(whole.len(), 14);
    let place = |t: &v1::Task| {
        let (_, number) = crate::ids::parse_task_id(&t.task_id).unwrap();
        let path = crate::ids::job_path(t.job.as_ref().unwrap());
        (path, t.instance, std::cmp::Reverse(number))
    };
    assert!(whole.is_sorted_by_key(place));
    for page_size in [1, 2, 3, 13, 14, 15] {
        let request = v1::ListTasksRequest {
            page_size,
            ..Default::default()
        };
        assert_eq!(all_pages(&rig, request), whole, "pages of {page_size}");
        let ids = whole
            .iter()
            .rev()
            .map(|task| task.task_id.clone())
            .collect();
        let request = v1::ListTasksRequest {
            page_size,
            task_ids: ids,
            ..Default::default()
        };
        assert_eq!(
            all_pages(&rig, request),
            whole,
            "by id, pages of {page_size}"
        );
    }
}

#[test]
fn filters_are_all_met() {
    let mut rig = Rig::new();
    rig.create(service("web", 4));
    rig.create(service("api", 4));
    rig.offer("a", 250);
    let by = |request| all_pages(&rig, request).len();
    let web = v1::JobFilter {
        name: "w*".to_owned(),
        ..Default::default()
    };
    let filtered = |change: &dyn Fn(&mut v1::ListTasksRequest)| {
        let mut request = v1::ListTasksRequest {
            filter: Some(web.clone()),
            ..Default::default()
        };
        change(&mut request);
        request
    };
    assert_eq!(by(filtered(&|_| ())), 4);
    assert_eq!(
        by(filtered(&|r| r.instances = ranges(&[(1, 2), (9, 9)]))),
        2
    );
    assert_eq!(
        by(filtered(&|r| r.states = vec![v1::TaskState::Pending.into()])),
        2
    );
    assert_eq!(by(filtered(&|r| r.hosts = vec!["a".to_owned()])), 2);
    assert_eq!(by(filtered(&|r| r.task_ids = vec![rig.id("api", 0)])), 0);
    assert_eq!(
        by(filtered(&|r| r.task_ids = vec!["nonsense".to_owned()])),
        0
    );
}

#[test]
fn jobs_come_in_pages_with_what_their_tasks_do() {
    let mut rig = Rig::new();
    for n in 0..7 {
        rig.create(service(&format!("job{n}"), 2));
    }
    rig.kill("job3", &[(0, 0)]);
    let mut request = v1::ListJobsRequest {
        page_size: 3,
        ..Default::default()
    };
    let mut seen = BTreeSet::new();
    loop {
        let page = rig.scheduler.list_jobs(&request).unwrap();
        for job in page.jobs {
            let stats = job.stats.unwrap();
            let finished = u32::from(job.key == key("job3"));
            assert_eq!((stats.pending, stats.finished), (2 - finished, finished));
            assert!(seen.insert(crate::ids::job_path(&job.key.unwrap())));
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen.len(), 7);
}
