//! Rules of update settings.

use crate::{
    recorder::{Recorder, Report},
    value::{ObjectData, Value},
};

pub(super) fn check(data: &ObjectData, recorder: &Recorder) -> bool {
    let mut good = true;
    if data.has("update_strategy") && data.bool("wait_for_batch_completion") {
        let message = "`wait_for_batch_completion` and `update_strategy` say different things";
        let report = Report::error(data.at("wait_for_batch_completion"), message);
        recorder.report(report.hint("keep `update_strategy`; batch_update_strategy waits"));
        good = false;
    }
    if data.has("update_strategy") && data.int("batch_size") > 1 {
        let message = "`batch_size` has no effect beside `update_strategy`";
        let report = Report::error(data.at("batch_size"), message);
        recorder.report(report.hint("give it to the strategy"));
        good = false;
    }
    good
}

pub(super) fn batch_sizes(data: &ObjectData, recorder: &Recorder) -> bool {
    if !data.list("batch_sizes").is_empty() {
        return true;
    }
    recorder.report(Report::error(
        data.at("batch_sizes"),
        "`batch_sizes` must not be empty",
    ));
    false
}

/// Checks what depends on the job.
pub(super) fn of_job(job: &ObjectData, recorder: &Recorder) -> bool {
    let Some(update) = job.object("update_config") else {
        return true;
    };
    let (instances, failures) = (job.int("instances"), update.int("max_total_failures"));
    let mut good = true;
    if failures >= instances {
        let message = format!(
            "`update_config.max_total_failures` must be less than the {instances} instances, got {failures}"
        );
        let hint = "an update that may fail everywhere never fails";
        recorder.report(Report::error(update.at("max_total_failures"), message).hint(hint));
        good = false;
    }
    // Integer division is the floor that is meant.
    let least = instances / 50;
    if is_dedicated(job) && failures < least {
        let message = format!(
            "`update_config.max_total_failures` must be at least {least}, 2 % of a dedicated job's instances"
        );
        recorder.report(Report::error(update.at("max_total_failures"), message));
        good = false;
    }
    if update.bool("sla_aware") && !job.has("sla_policy") {
        let message = "`update_config.sla_aware` needs an `sla_policy`";
        recorder.report(Report::error(update.at("sla_aware"), message));
        good = false;
    }
    good
}

/// Whether the job runs on hosts of its own.
pub(super) fn is_dedicated(job: &ObjectData) -> bool {
    job.map("constraints")
        .any(|(key, value)| key == "dedicated" && matches!(value, Value::Text(_)))
}
