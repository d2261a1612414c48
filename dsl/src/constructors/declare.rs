//! `job`, `service`, `cron_job` and `quota`: the calls that declare.

use std::sync::Arc;

use rhai::{Dynamic, Engine, Map, NativeCallContext};

use super::{not_a_map, site};
use crate::{
    build, checks,
    evaluation::Declaration,
    extract::Extractor,
    recorder::{Recorder, Report},
    schema::Kind,
    value::{At, Object},
};

/// What a declaring function is called, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Job,
    Service,
    Cron,
    Quota,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Service => "service",
            Self::Cron => "cron_job",
            Self::Quota => "quota",
        }
    }
}

pub(super) fn register(engine: &mut Engine, recorder: &Arc<Recorder>) {
    for flavour in [
        Flavour::Job,
        Flavour::Service,
        Flavour::Cron,
        Flavour::Quota,
    ] {
        let recorder = Arc::clone(recorder);
        engine.register_fn(
            flavour.name(),
            move |ctx: NativeCallContext, argument: Dynamic| {
                declare(&ctx, &recorder, flavour, &argument);
            },
        );
    }
}

fn declare(ctx: &NativeCallContext, recorder: &Recorder, flavour: Flavour, argument: &Dynamic) {
    let at = At::call(site(ctx, recorder));
    let library = recorder.state().importing.last().cloned();
    if let Some(library) = library {
        let message = format!(
            "`{}` is called while `{library}` is imported: only the job file itself declares",
            flavour.name()
        );
        let report = Report::error(&at, message);
        recorder.report(report.hint("put the call into a function that the job file calls"));
        return;
    }
    let Some(map) = argument.read_lock::<Map>() else {
        not_a_map(recorder, flavour.name(), argument, &at);
        return;
    };
    let declaration = match flavour {
        Flavour::Quota => quota(recorder, &map, &at),
        Flavour::Job | Flavour::Service | Flavour::Cron => job(recorder, flavour, &map, &at),
    };
    let Some(declaration) = declaration else {
        return;
    };
    if let Err(limit) = recorder.declare(declaration) {
        recorder.report(Report::error(&at, format!("too much is declared: {limit}")));
    }
}

fn job(recorder: &Recorder, flavour: Flavour, map: &Map, at: &At) -> Option<Declaration> {
    let mut map = map.clone();
    let extractor = Extractor { recorder };
    if flavour == Flavour::Service {
        if map
            .get("service")
            .is_some_and(|given| given.as_bool() == Ok(false))
        {
            let report = Report::error(
                &at.key("service"),
                "`service` is called with `service: false`",
            );
            recorder.report(report.hint("call job(#{…}) instead"));
            return None;
        }
        map.insert("service".into(), true.into());
    }
    let mut complete = true;
    if flavour == Flavour::Cron && map.get("cron_schedule").is_none_or(Dynamic::is_unit) {
        let report = Report::error(at, "`cron_job` needs the field `cron_schedule`");
        recorder.report(report.hint("for example `cron_schedule: \"30 2 * * 1-5\"`"));
        complete = false;
    }
    let job = extractor.object(Kind::Job, flavour.name(), &map, at);
    // A name that was given and is wrong is not the task's name instead.
    let named = map.get("name").is_some_and(|name| !name.is_unit());
    let unique = (named && !job.has("name")) || claim_job(recorder, &job, at);
    if job.poisoned {
        // Rules of the whole job would only repeat what is known to be wrong.
        recorder.mark_poisoned();
        checks::job::check_poisoned(&job, recorder);
        return None;
    }
    let good = checks::job::check(&job, recorder);
    if !(good && unique && complete) {
        return None;
    }
    let config = Box::new(build::job(&job, recorder)?);
    Some(Declaration::Job {
        config,
        at: recorder.location(at)?,
    })
}

/// Notes the job's key as soon as it is known, even if other fields are wrong.
fn claim_job(recorder: &Recorder, job: &Object, at: &At) -> bool {
    let task_name = job.object("task").map(|task| checks::job::task_name(task));
    let name = if job.has("name") {
        job.text("name")
    } else {
        task_name.unwrap_or_default()
    };
    let parts = [
        job.text("cluster"),
        job.text("role"),
        job.text("environment"),
        name,
    ];
    if parts.iter().any(|part| part.is_empty()) {
        return true;
    }
    let key = parts.join("/");
    recorder.claim(&format!("job {key}"), &format!("the job {key}"), at)
}

fn quota(recorder: &Recorder, map: &Map, at: &At) -> Option<Declaration> {
    let quota = Extractor { recorder }.object(Kind::Quota, "quota", map, at);
    if quota.poisoned {
        recorder.mark_poisoned();
        return None;
    }
    let key = format!("{}/{}", quota.text("cluster"), quota.text("role"));
    if !recorder.claim(&format!("quota {key}"), &format!("the quota of {key}"), at) {
        return None;
    }
    Some(Declaration::Quota {
        config: build::quota(&quota),
        at: recorder.location(at)?,
    })
}
