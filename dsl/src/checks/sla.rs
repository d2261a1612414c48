//! Rules of SLA policies.

use crate::{
    recorder::{Recorder, Report},
    schema::Kind,
    value::ObjectData,
};

/// Schedulers ignore counts and shares of smaller jobs unless told otherwise.
const LEAST_INSTANCES: i64 = 20;

pub(super) fn coordinator(data: &ObjectData, recorder: &Recorder) -> bool {
    let url = data.text("coordinator_url");
    if url.starts_with("http://") || url.starts_with("https://") {
        return true;
    }
    let message = format!("`coordinator_url` must begin with http:// or https://, got {url:?}");
    recorder.report(Report::error(data.at("coordinator_url"), message));
    false
}

/// Checks a job's policy against its instances and tier.
pub(super) fn of_job(job: &ObjectData, recorder: &Recorder) -> bool {
    let Some(policy) = job.object("sla_policy") else {
        return true;
    };
    let instances = job.int("instances");
    let mut good = true;
    let mut error = |field: &str, message: String| {
        recorder.report(Report::error(policy.at(field), message));
        good = false;
    };
    if policy.kind == Kind::CountSlaPolicy && policy.int("count") >= instances {
        error(
            "count",
            format!("`sla_policy.count` must be less than the {instances} instances"),
        );
    }
    if policy.kind == Kind::PercentageSlaPolicy
        && !leaves_one(policy.number("percentage"), instances)
    {
        error(
            "percentage",
            format!(
                "`sla_policy.percentage` leaves none of the {instances} instances to take down"
            ),
        );
    }
    let production =
        job.text("tier") == "preferred" || (!job.has("tier") && job.bool("production"));
    if !production {
        let message = "`sla_policy` needs the tier \"preferred\"";
        recorder
            .report(Report::error(job.at("sla_policy"), message).hint("add `tier: \"preferred\"`"));
        return false;
    }
    if policy.kind != Kind::CoordinatorSlaPolicy && instances < LEAST_INSTANCES {
        let message = format!(
            "schedulers hold to `sla_policy` from {LEAST_INSTANCES} instances on, this job has {instances}"
        );
        recorder.report(Report::warning(job.at("sla_policy"), message));
    }
    good
}

fn leaves_one(percentage: f64, instances: i64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
    let needed = (percentage * instances as f64 / 100.0).ceil();
    #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
    let all = instances as f64;
    needed < all
}
