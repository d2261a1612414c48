//! `job diff`.

use aurora_core::settings::Settings;
use aurora_proto::{json as proto_json, v1};
use clap::Args;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::{
    api::{Api, ClientArgs, is_not_found},
    config_text,
    error::CliResult,
    evaluate::{self, BindArgs, DeclaredJob, JobFile},
    instances::InstanceSet,
    job_key::{InstanceKey, JobKey},
};

/// Compare a job file with what runs
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job diff local/www-data/prod/web web.rhai
  aurora-rs job diff local/www-data/prod/web web.rhai --from local/www-data/devel/web

Exit code 0 whether or not there are differences.")]
pub(crate) struct DiffArgs {
    /// Job or instances, as CLUSTER/ROLE/ENVIRONMENT/NAME[/0-3,5]
    #[arg(value_name = "KEY[/INSTANCES]")]
    key: InstanceKey,
    /// Job file that declares it
    file: JobFile,
    /// Compare with what this job runs instead
    #[arg(long, value_name = "KEY")]
    from: Option<JobKey>,
    #[command(flatten)]
    binds: BindArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// What an update to the file would do.
#[derive(Debug, Default)]
struct Plan {
    add: InstanceSet,
    remove: InstanceSet,
    update: InstanceSet,
    leave: InstanceSet,
    changes: Vec<Change>,
}

/// The difference to one of the configurations that run.
#[derive(Debug)]
struct Change {
    /// Empty for the job's own fields, which restart nothing.
    instances: InstanceSet,
    diff: String,
}

pub(super) async fn run(args: &DiffArgs) -> CliResult {
    let output = args.client.output();
    let InstanceKey { job, instances } = &args.key;
    let wanted = evaluate::load_job(&args.file, &args.binds, job, output).await?;
    let running_key = args.from.as_ref().unwrap_or(job);
    let api = args.client.connect(&running_key.cluster).await?;
    let running = running(&api, running_key, args.from.is_some()).await?;
    let plan = plan(&wanted, &running, instances.as_ref());
    if output.is_json() {
        return output.json("job-diff", to_json(args, running_key, &plan));
    }
    output.text(&to_text(&plan))
}

async fn running(api: &Api, key: &JobKey, must_exist: bool) -> CliResult<v1::GetJobResponse> {
    match api
        .get_job(v1::GetJobRequest {
            key: Some(key.to_proto()),
        })
        .await
    {
        // Everything the file declares would be new.
        Err(error) if !must_exist && is_not_found(&error) => Ok(v1::GetJobResponse::default()),
        result => result,
    }
}

fn plan(wanted: &DeclaredJob, running: &v1::GetJobResponse, only: Option<&InstanceSet>) -> Plan {
    let within = |set: InstanceSet| only.map_or_else(|| set.clone(), |only| set.intersection(only));
    let target = within(InstanceSet::first(wanted.config.instances));
    let (mut known, mut leave) = (Vec::new(), Vec::new());
    let mut plan = Plan::default();
    let wanted_task = wanted.config.task.clone().map(as_admitted);
    let wanted_text = text_of(wanted_task.as_ref().map(proto_json::to_value));
    for group in &running.groups {
        let instances = within(InstanceSet::from_proto(&group.instances));
        known.extend(instances.to_proto());
        let both = instances.intersection(&target);
        if both.is_empty() {
            continue;
        }
        if group.config == wanted_task {
            leave.extend(both.to_proto());
            continue;
        }
        let running_text = text_of(group.config.as_ref().map(proto_json::to_value));
        plan.changes.push(Change {
            instances: both,
            diff: unified(&running_text, &wanted_text),
        });
    }
    let known = InstanceSet::from_proto(&known);
    plan.leave = InstanceSet::from_proto(&leave);
    plan.add = target.difference(&known);
    plan.remove = known.difference(&target);
    plan.update = target.intersection(&known).difference(&plan.leave);
    if let Some(config) = &running.config {
        let diff = unified(&job_level(config), &job_level(&wanted.config));
        if !diff.is_empty() {
            plan.changes.push(Change {
                instances: InstanceSet::default(),
                diff,
            });
        }
    }
    plan
}

/// Fills in what the scheduler fills in when it takes a job, so that it is no difference.
fn as_admitted(mut task: v1::TaskConfig) -> v1::TaskConfig {
    if task.tier.is_empty() {
        task.tier = Settings::default().default_tier;
    }
    task
}

/// The job's own fields; names and instances have their own place in the plan.
fn job_level(config: &v1::JobConfiguration) -> String {
    let config = v1::JobConfiguration {
        key: None,
        cluster: String::new(),
        instances: 0,
        task: None,
        ..config.clone()
    };
    text_of(Some(proto_json::to_value(&config)))
}

fn text_of(message: Option<Value>) -> String {
    message
        .map(|message| config_text::render(&message))
        .unwrap_or_default()
}

fn unified(old: &str, new: &str) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(3)
        .header("running", "file")
        .to_string()
}

fn to_json(args: &DiffArgs, from: &JobKey, plan: &Plan) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| {
            let level = if change.instances.is_empty() {
                "job"
            } else {
                "instances"
            };
            json!({
                "level": level,
                "instances": change.instances.to_string(),
                "diff": change.diff,
            })
        })
        .collect();
    json!({
        "job": args.key.job.to_string(),
        "from": from.to_string(),
        "add": plan.add.to_string(),
        "remove": plan.remove.to_string(),
        "update": plan.update.to_string(),
        "leave": plan.leave.to_string(),
        "changes": changes,
    })
}

fn to_text(plan: &Plan) -> String {
    let sets = [
        ("add", &plan.add),
        ("remove", &plan.remove),
        ("update", &plan.update),
        ("leave unchanged", &plan.leave),
    ];
    let mut parts: Vec<String> = sets
        .iter()
        .filter(|(_, set)| !set.is_empty())
        .map(|(what, set)| format!("{what}: instances {set}\n"))
        .collect();
    for change in &plan.changes {
        let head = if change.instances.is_empty() {
            "fields of the job, which restart nothing".to_owned()
        } else {
            format!("instances {}", change.instances)
        };
        parts.push(format!("\n{head}:\n{}", colored(&change.diff)));
    }
    if parts.is_empty() {
        parts.push("no instances on either side\n".to_owned());
    }
    parts.concat()
}

/// Colours are taken out again where stdout is no terminal.
fn colored(diff: &str) -> String {
    let paint = |line: &str| {
        let color = match line.as_bytes().first() {
            Some(b'+') => anstyle::AnsiColor::Green,
            Some(b'-') => anstyle::AnsiColor::Red,
            Some(b'@') => anstyle::AnsiColor::Cyan,
            _ => return format!("{line}\n"),
        };
        let style = anstyle::Style::new().fg_color(Some(color.into()));
        format!("{style}{line}{style:#}\n")
    };
    diff.lines().map(paint).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> v1::TaskConfig {
        v1::TaskConfig {
            name: name.to_owned(),
            tier: "preemptible".to_owned(),
            ..v1::TaskConfig::default()
        }
    }

    fn group(instances: &str, name: &str) -> v1::InstanceGroup {
        v1::InstanceGroup {
            instances: instances.parse::<InstanceSet>().unwrap().to_proto(),
            config: Some(task(name)),
            ..v1::InstanceGroup::default()
        }
    }

    fn wanted(instances: u32) -> DeclaredJob {
        DeclaredJob {
            key: "local/a/b/c".parse().unwrap(),
            config: v1::JobConfiguration {
                instances,
                task: Some(task("new")),
                contact: "team".to_owned(),
                ..v1::JobConfiguration::default()
            },
            place: String::new(),
            unsupported: Vec::new(),
        }
    }

    #[test]
    fn plan_sorts_instances() {
        let running = v1::GetJobResponse {
            groups: vec![group("0-1,5", "old"), group("2", "new")],
            ..v1::GetJobResponse::default()
        };
        let plan = plan(&wanted(4), &running, None);
        assert_eq!(plan.add.to_string(), "3");
        assert_eq!(plan.remove.to_string(), "5");
        assert_eq!(plan.update.to_string(), "0-1");
        assert_eq!(plan.leave.to_string(), "2");
        assert_eq!(plan.changes.len(), 1);
        assert!(
            plan.changes[0].diff.contains("-name: old\n+name: new"),
            "{}",
            plan.changes[0].diff
        );
    }

    #[test]
    fn default_tier_is_no_difference() {
        let running = v1::GetJobResponse {
            groups: vec![group("0-1", "new")],
            ..v1::GetJobResponse::default()
        };
        let mut wanted = wanted(2);
        wanted.config.task.as_mut().unwrap().tier.clear();
        let plan = plan(&wanted, &running, None);
        assert_eq!(plan.leave.to_string(), "0-1");
        assert!(plan.changes.is_empty());
    }

    #[test]
    fn instances_limit_the_plan() {
        let running = v1::GetJobResponse {
            groups: vec![group("0-5", "old")],
            ..v1::GetJobResponse::default()
        };
        let plan = plan(&wanted(4), &running, Some(&"1,5-6".parse().unwrap()));
        assert_eq!(plan.update.to_string(), "1");
        assert_eq!(plan.remove.to_string(), "5");
        assert!(plan.add.is_empty());
    }

    #[test]
    fn new_job_is_all_added_and_job_fields_differ_apart() {
        let plan_new = plan(&wanted(2), &v1::GetJobResponse::default(), None);
        assert_eq!(plan_new.add.to_string(), "0-1");
        let running = v1::GetJobResponse {
            config: Some(v1::JobConfiguration::default()),
            groups: vec![group("0-1", "new")],
            ..v1::GetJobResponse::default()
        };
        let plan = plan(&wanted(2), &running, None);
        assert_eq!(plan.leave.to_string(), "0-1");
        assert!(plan.changes[0].diff.contains("+contact: team"));
    }
}
