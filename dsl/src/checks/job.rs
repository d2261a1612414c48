//! Rules of a whole job.

use super::{placement, ports, sla, update};
use crate::{
    recorder::{Recorder, Report},
    references::Reference,
    schema::{Kind, TextRule},
    value::{Object, ObjectData, Value},
};

/// Checks a job that is about to be declared; reports what is wrong.
pub(crate) fn check(job: &Object, recorder: &Recorder) -> bool {
    let Some(task) = job.object("task") else {
        return false;
    };
    // Each rule reports on its own, so none may be skipped.
    let results = [
        cron(job, recorder),
        name(job, task, recorder),
        constraints(job, recorder),
        run_references(job, task, recorder),
        fixed_ports(job, recorder),
        update::of_job(job, recorder),
        sla::of_job(job, recorder),
    ];
    warnings(job, task, recorder);
    results.iter().all(|good| *good)
}

/// Checks what can be checked of a job about which something else is wrong.
pub(crate) fn check_poisoned(job: &Object, recorder: &Recorder) {
    constraints(job, recorder);
}

/// Returns the job's name: its own, or that of the task, or that of the first process.
pub(crate) fn job_name<'a>(job: &'a ObjectData, task: &'a ObjectData) -> &'a str {
    if job.has("name") {
        job.text("name")
    } else {
        task_name(task)
    }
}

/// Returns the task's name: its own, or that of the first process.
pub(crate) fn task_name(task: &ObjectData) -> &str {
    if task.has("name") {
        return task.text("name");
    }
    let first = task.list("processes").first();
    match first {
        Some(Value::Object(process)) => process_name(process),
        _ => "",
    }
}

fn process_name(process: &Object) -> &str {
    process.text("name")
}

fn name(job: &ObjectData, task: &ObjectData, recorder: &Recorder) -> bool {
    if job.has("name") {
        return true;
    }
    let Err(problem) = TextRule::Identifier.check(task_name(task)) else {
        return true;
    };
    let message = format!("the job's name, taken from its task, {}", problem.message);
    recorder.report(Report::error(&job.at, message).hint("give the job a `name`"));
    false
}

fn cron(job: &ObjectData, recorder: &Recorder) -> bool {
    let mut good = true;
    if job.has("cron_schedule") && job.bool("service") {
        let message = "a job cannot be a service and have a `cron_schedule`";
        let report = Report::error(job.at("cron_schedule"), message);
        recorder.report(report.hint("a cron job runs to its end; use cron_job(#{…})"));
        good = false;
    }
    for field in ["cron_timezone", "cron_collision_policy"] {
        if job.has(field) && !job.has("cron_schedule") {
            let message = format!("`{field}` has no effect without `cron_schedule`");
            recorder.report(Report::error(job.at(field), message));
            good = false;
        }
    }
    good
}

fn constraints(job: &ObjectData, recorder: &Recorder) -> bool {
    let mut good = true;
    for (attribute, value) in job.map("constraints") {
        let Value::Text(text) = value else { continue };
        let result = placement::parse(attribute, text).and_then(|constraint| {
            if attribute == "dedicated" && job.has("role") {
                return placement::dedicated(&constraint, job.text("role"));
            }
            Ok(())
        });
        if let Err(problem) = result {
            let at = job.at("constraints").key(attribute);
            let message = format!("`constraints.{attribute}` {}", problem.message);
            let mut report = Report::error(&at, message);
            report.hint = problem.hint;
            recorder.report(report);
            good = false;
        }
    }
    good
}

fn run_references(job: &ObjectData, task: &ObjectData, recorder: &Recorder) -> bool {
    if job.has("cron_schedule") {
        return true;
    }
    let mut good = true;
    for process in task.objects("processes") {
        let used = ports::references_in(process.text("cmdline"));
        if used
            .iter()
            .any(|used| matches!(used, Reference::RunScheduledTime | Reference::RunId))
        {
            let message = format!(
                "`{}` uses `{{{{run.…}}}}`, which only cron jobs have",
                process.text("name")
            );
            let report = Report::error(process.at("cmdline"), message);
            recorder.report(report.related(&job.at, "the job is no cron job"));
            good = false;
        }
    }
    good
}

fn fixed_ports(job: &ObjectData, recorder: &Recorder) -> bool {
    let Some(name) = ports::fixed_port(job) else {
        return true;
    };
    if update::is_dedicated(job) {
        return true;
    }
    let announcer = job.object("announce");
    let at = announcer.map_or_else(|| job.at.clone(), |found| found.at("portmap").key(&name));
    let message = format!("`portmap.{name}` is a fixed port, which needs dedicated hosts");
    let report = Report::error(&at, message);
    recorder.report(report.hint("add the constraint `dedicated`, or name a port"));
    false
}

fn warnings(job: &ObjectData, task: &ObjectData, recorder: &Recorder) {
    if job.bool("production") {
        let message = if job.has("tier") {
            "`production` has no effect beside `tier`"
        } else {
            "`production` is deprecated"
        };
        let report = Report::warning(job.at("production"), message);
        recorder.report(report.hint("write `tier: \"preferred\"` instead"));
    }
    if job.bool("service") && job.has("max_task_failures") {
        let message = "`max_task_failures` has no effect: a service is restarted for ever";
        recorder.report(Report::warning(job.at("max_task_failures"), message));
    }
    let ports = ports::allocated(job, task);
    unheard_health_check(job, &ports, recorder);
    if let Some(announcer) = job.object("announce") {
        let primary = announcer.text("primary_port");
        let mentioned = task.objects("processes").any(|process| {
            ports::references_in(process.text("cmdline")).contains(&Reference::Port(primary.into()))
        });
        let mapped = announcer.map("portmap").any(|(name, _)| name == primary);
        if !mentioned && !mapped {
            let message =
                format!("no process mentions `{{{{ports.{primary}}}}}`, the primary port");
            recorder.report(Report::warning(announcer.at("primary_port"), message));
        }
    }
}

fn unheard_health_check(job: &ObjectData, ports: &[String], recorder: &Recorder) {
    let Some(check) = job.object("health_check_config") else {
        return;
    };
    if ports::shell_check(job).is_some() || ports::is_reachable(job, ports, "health") {
        return;
    }
    let at = if check.kind == Kind::HealthCheckConfig {
        &check.at
    } else {
        job.at("health_check_config")
    };
    let message = "the HTTP health check is skipped: no process mentions `{{ports.health}}`";
    let report = Report::warning(at, message);
    recorder.report(report.hint("let the server listen on `{{ports.health}}` as well"));
}
