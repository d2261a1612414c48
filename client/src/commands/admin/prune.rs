//! `admin prune`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;

use crate::{
    api::{ClientArgs, request::MutationArgs},
    clusters::LOCAL,
    error::CliResult,
    job_key::JobPattern,
    nearest::nearest,
    task_state::name,
};

/// The states that users see, in the order of a task's life.
const STATES: [v1::TaskState; 14] = [
    v1::TaskState::Throttled,
    v1::TaskState::Pending,
    v1::TaskState::Assigned,
    v1::TaskState::Starting,
    v1::TaskState::Running,
    v1::TaskState::Finished,
    v1::TaskState::Failed,
    v1::TaskState::Killed,
    v1::TaskState::Preempting,
    v1::TaskState::Restarting,
    v1::TaskState::Draining,
    v1::TaskState::Killing,
    v1::TaskState::Lost,
    v1::TaskState::Partitioned,
];

/// Delete the records of ended tasks
#[derive(Args, Debug)]
#[command(after_help = "Example:
  aurora-rs admin prune 'local/www-data/devel' --state FAILED,LOST --limit 1000")]
pub(crate) struct PruneArgs {
    /// Jobs, as CLUSTER[/ROLE[/ENVIRONMENT[/NAME]]]; role, environment and name with * and ?
    #[arg(value_name = "GLOB", default_value = LOCAL)]
    pattern: JobPattern,
    /// Only tasks in these states [default: every state that a task can end in]
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = parse_state)]
    states: Vec<v1::TaskState>,
    /// Delete at most so many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &PruneArgs) -> CliResult {
    let output = args.client.output();
    let requester = args.mutation.requester()?;
    // One cluster at a time: a request id belongs to one scheduler.
    let api = args.client.connect(&args.pattern.cluster).await?;
    let request = v1::PruneTasksRequest {
        context: Some(requester.context()),
        filter: Some(args.pattern.filter()),
        states: state_numbers(&args.states),
        limit: args.limit.unwrap_or(0),
    };
    let response = api.prune_tasks(request).await?;
    let sentence = format!("{} records deleted", response.pruned);
    output.done("admin-prune", proto_json::to_value(&response), &sentence)
}

/// Reads the name of a state.
pub(super) fn parse_state(text: &str) -> Result<v1::TaskState, String> {
    let wanted = text.to_ascii_uppercase();
    STATES
        .into_iter()
        .find(|&state| name(state) == wanted)
        .ok_or_else(|| {
            let near = nearest(&wanted, STATES.map(name))
                .map(|near| format!("did you mean {near}? "))
                .unwrap_or_default();
            format!("{near}the states are {}", STATES.map(name).join(", "))
        })
}

/// Returns the states as requests take them.
pub(super) fn state_numbers(states: &[v1::TaskState]) -> Vec<i32> {
    states.iter().map(|&state| state.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_in_any_case() {
        assert_eq!(parse_state("running"), Ok(v1::TaskState::Running));
        assert!(
            parse_state("RUNING")
                .unwrap_err()
                .contains("did you mean RUNNING")
        );
        assert!(parse_state("TASK_STATE_UNSPECIFIED").is_err());
    }
}
