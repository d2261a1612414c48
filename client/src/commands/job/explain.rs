//! `job explain`.

use aurora_proto::{json as proto_json, v1};
use clap::Args;

use crate::{
    api::ClientArgs, error::CliResult, instances::InstanceSet, job_key::InstanceKey, output::Table,
    task_state::name, timestamp::format_ms,
};

/// Say why instances of a job wait
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs job explain local/www-data/prod/web
  aurora-rs job explain local/www-data/prod/web/3")]
pub(crate) struct ExplainArgs {
    /// Job or instances, as CLUSTER/ROLE/ENVIRONMENT/NAME[/0-3,5]
    #[arg(value_name = "KEY[/INSTANCES]")]
    key: InstanceKey,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(args: &ExplainArgs) -> CliResult {
    let output = args.client.output();
    let InstanceKey { job, instances } = &args.key;
    let api = args.client.connect(&job.cluster).await?;
    let request = v1::ExplainPendingRequest {
        key: Some(job.to_proto()),
        instances: instances
            .as_ref()
            .map(InstanceSet::to_proto)
            .unwrap_or_default(),
    };
    let response = api.explain_pending(request).await?;
    if output.is_json() {
        let mut document = proto_json::to_value(&response);
        document["job"] = job.to_string().into();
        return output.json("job-explain", document);
    }
    if response.reasons.is_empty() {
        return output.text(&format!("{job}: no instance waits"));
    }
    let texts: Vec<String> = response
        .reasons
        .iter()
        .map(|reason| explain(reason, response.hosts_total, &job.to_string()))
        .collect();
    output.text(&texts.join("\n"))
}

fn explain(reason: &v1::PendingReason, hosts_total: u32, job: &str) -> String {
    let instances = InstanceSet::from_proto(&reason.instances);
    let mut lines = vec![format!(
        "{job}/{instances} {} since {}\n",
        name(reason.state()),
        format_ms(reason.pending_since_ms)
    )];
    if !reason.summary.is_empty() {
        lines.push(format!("  {}\n", reason.summary));
    }
    let fit = reason.hosts_fit;
    lines.push(format!(
        "  hosts: {fit} of {hosts_total} would take it now\n"
    ));
    if reason.next_attempt_ms != 0 {
        let next = format_ms(reason.next_attempt_ms);
        lines.push(format!("  next attempt: {next}\n"));
    }
    let mut table = Table::new(&["HOSTS", "VETO", "SUBJECT", "DETAIL"]).indented(2);
    for veto in &reason.vetoes {
        table.row([
            veto.hosts.to_string(),
            veto.kind().as_str_name().to_owned(),
            veto.subject.clone(),
            veto.detail.clone(),
        ]);
    }
    if !table.is_empty() {
        lines.push(table.render());
    }
    lines.concat()
}
