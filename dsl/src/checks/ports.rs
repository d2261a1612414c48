//! Which named ports a task needs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    recorder::{Recorder, Report},
    references::{self, Piece, Reference},
    schema::Kind,
    value::{ObjectData, Value},
};

/// A name that stands for another name or for a number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Name(String),
    Number,
}

/// Returns the references in a command, in order.
pub(crate) fn references_in(command: &str) -> Vec<Reference> {
    let pieces = references::parse(command).unwrap_or_default();
    let names = pieces.into_iter().filter_map(|piece| match piece {
        Piece::Reference { name, .. } => Reference::from_name(name),
        Piece::Text(_) | Piece::Braces(_) => None,
    });
    names.collect()
}

fn portmap(announcer: &ObjectData) -> BTreeMap<String, Target> {
    if !announcer.has("portmap") {
        let primary = Target::Name(announcer.text("primary_port").to_owned());
        return BTreeMap::from([("aurora".to_owned(), primary)]);
    }
    let targets = announcer.map("portmap").map(|(name, value)| {
        let name_of = value
            .as_text()
            .filter(|text| !text.bytes().all(|b| b.is_ascii_digit()));
        let target = name_of.map_or(Target::Number, |text| Target::Name(text.to_owned()));
        (name.to_owned(), target)
    });
    targets.collect()
}

/// Follows aliases to the name that is allocated, if it is a name; `None` for a number.
fn resolve<'a>(
    name: &'a str,
    map: &'a BTreeMap<String, Target>,
) -> Result<Option<&'a str>, Vec<&'a str>> {
    let mut at = name;
    let mut path = vec![name];
    loop {
        match map.get(at) {
            None => return Ok(Some(at)),
            Some(Target::Number) => return Ok(None),
            // A name for itself is how Aurora's own default looks when the port is `aurora`.
            Some(Target::Name(next)) if next == at => return Ok(Some(at)),
            Some(Target::Name(next)) => {
                at = next;
                let again = path.contains(&at);
                path.push(at);
                if again {
                    return Err(path);
                }
            }
        }
    }
}

/// Checks an announcer's portmap.
pub(super) fn announcer(data: &ObjectData, recorder: &Recorder) -> bool {
    let map = portmap(data);
    for name in map.keys() {
        let Err(path) = resolve(name, &map) else {
            continue;
        };
        let message = format!(
            "the names of `portmap` stand for each other: {}",
            path.join(" -> ")
        );
        recorder.report(Report::error(data.at("portmap"), message));
        return false;
    }
    let mut good = true;
    for (name, value) in data.map("portmap") {
        let at = data.at("portmap").key(name);
        let Value::Text(text) = value else { continue };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let port = text.parse::<u16>().is_ok_and(|port| port > 0);
        if digits && !port {
            let message = format!("`portmap.{name}` must be 1 to 65535, got {text}");
            recorder.report(Report::error(&at, message));
            good = false;
        }
    }
    good
}

/// Returns the first entry of a job's portmap that is a fixed number.
pub(super) fn fixed_port(job: &ObjectData) -> Option<String> {
    let announcer = job.object("announce")?;
    let map = portmap(announcer);
    map.into_iter()
        .find(|(_, target)| *target == Target::Number)
        .map(|(name, _)| name)
}

/// Returns the ports to allocate, in order of first mention.
pub(crate) fn allocated(job: &ObjectData, task: &ObjectData) -> Vec<String> {
    let map = job
        .object("announce")
        .map(|announcer| portmap(announcer))
        .unwrap_or_default();
    let commands = task
        .objects("processes")
        .map(|process| process.text("cmdline"));
    let mut mentioned: Vec<String> = Vec::new();
    for command in commands.chain(shell_check(job)) {
        for reference in references_in(command) {
            if let Reference::Port(name) = reference {
                mentioned.push(name);
            }
        }
    }
    let announced = map.values().filter_map(|target| match target {
        Target::Name(name) => Some(name.clone()),
        Target::Number => None,
    });
    mentioned.extend(announced);
    let mut seen = BTreeSet::new();
    let resolved = mentioned
        .iter()
        .filter_map(|name| resolve(name, &map).ok().flatten());
    resolved
        .filter(|name| seen.insert(*name))
        .map(str::to_owned)
        .collect()
}

/// Returns the command of a job's shell health check.
pub(crate) fn shell_check(job: &ObjectData) -> Option<&str> {
    let mut check = job.object("health_check_config")?;
    if check.kind == Kind::HealthCheckConfig {
        check = check.object("health_checker")?;
    }
    if check.kind == Kind::HealthCheckerConfig {
        check = check.object("shell")?;
    }
    (check.kind == Kind::ShellHealthCheck).then(|| check.text("shell_command"))
}

/// Whether a name is among the ports, directly or by an alias.
pub(super) fn is_reachable(job: &ObjectData, ports: &[String], name: &str) -> bool {
    let map = job
        .object("announce")
        .map(|announcer| portmap(announcer))
        .unwrap_or_default();
    ports.iter().any(|port| port == name) || map.contains_key(name)
}
