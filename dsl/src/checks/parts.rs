//! Rules of small objects.

use std::collections::BTreeSet;

use crate::{
    recorder::{Recorder, Report},
    value::ObjectData,
};

pub(super) fn constraint(data: &ObjectData, recorder: &Recorder) -> bool {
    let mut seen = BTreeSet::new();
    let twice = data.texts("order").find(|name| !seen.insert(*name));
    if let Some(name) = twice {
        let message = format!("the order names `{name}` twice, so that it waits for itself");
        recorder.report(Report::error(data.at("order"), message));
        return false;
    }
    if data.list("order").is_empty() {
        let report = Report::error(data.at("order"), "the order names no process");
        recorder.report(report.hint("write order(first, second), or leave it out"));
        return false;
    }
    true
}

pub(super) fn logger(data: &ObjectData, recorder: &Recorder) -> bool {
    if !data.has("rotate") || data.text("mode") == "rotate" {
        return true;
    }
    let message = "`logger.rotate` has no effect without `mode: \"rotate\"`";
    recorder.report(Report::error(data.at("rotate"), message).hint("add `mode: \"rotate\"`"));
    false
}

pub(super) fn health_checker(data: &ObjectData, recorder: &Recorder) -> bool {
    if data.has("http") || data.has("shell") {
        return true;
    }
    let message = "`health_checker_config` needs `http` or `shell`";
    recorder.report(Report::error(&data.at, message));
    false
}

pub(super) fn health_check(data: &ObjectData, recorder: &Recorder) -> bool {
    let Some(checker) = data.object("health_checker") else {
        return true;
    };
    let twice = crate::schema::TIMING
        .iter()
        .filter(|name| data.has(name) && checker.has(name));
    let mut good = true;
    for name in twice {
        let message = format!("`{name}` is given here and in the checker");
        let report = Report::error(data.at(name), message);
        recorder.report(report.related(checker.at(name), "given here as well"));
        good = false;
    }
    good
}
