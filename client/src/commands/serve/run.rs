//! `scheduler`: the daemon.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::{
    commands::serve::{
        descendants,
        options::{OptionArgs, RunAs, ServerOptions},
        server::{AtStop, RunningServer, start_server},
        stop_signal::StopSignal,
    },
    error::{CliError, CliResult, Label},
    exit_status::ExitStatus,
    output,
};

/// Run the scheduler
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs scheduler --data-dir /var/lib/aurora-rs
  aurora-rs scheduler --config /etc/aurora/scheduler.toml --listen 0.0.0.0:8081

Ctrl-C and SIGTERM stop it; tasks go on, and the next start finds them again.
There is no authentication: let only those reach the port whom you trust.")]
pub(crate) struct SchedulerArgs {
    /// Directory of the scheduler's state; made if it does not exist
    #[arg(
        long,
        env = "AURORA_DATA_DIR",
        value_name = "DIR",
        default_value = "/var/lib/aurora-rs"
    )]
    data_dir: PathBuf,
    /// Run a task as the scheduler's own user where its role is no user that it may take on
    #[arg(
        long,
        env = "AURORA_ALLOW_RUN_AS_SELF",
        help_heading = "Embedded cluster"
    )]
    allow_run_as_self: bool,
    #[command(flatten)]
    pub(crate) options: OptionArgs,
}

pub(super) async fn run(args: &SchedulerArgs) -> CliResult {
    let run_as = if args.allow_run_as_self {
        RunAs::RoleOrSelf
    } else {
        RunAs::Role
    };
    let listen = args.options.listen_or_default();
    let options = args.options.resolve(listen, args.data_dir.clone(), run_as);
    if !listen.ip().is_loopback() {
        let warning = format!("{listen} can be reached by others, who need no password");
        output::print_line(Label::Warning, &warning);
    }
    let mut stop = StopSignal::new()?;
    let mut server = start(&options).await?;
    tokio::select! {
        ended = server.wait() => return Err(failed(ended)),
        () = stop.received() => {}
    }
    tracing::info!("stopping; tasks go on");
    finish(server, AtStop::KeepTasks, &mut stop).await
}

/// Starts the server, or says why it does not.
pub(super) async fn start(options: &ServerOptions) -> CliResult<RunningServer> {
    must_be_free(options.listen)?;
    start_server(options).await.map_err(|error| {
        let message = "failed to start the scheduler";
        let failure = CliError::new(ExitStatus::CommandFailed, message).caused_by(&*error);
        // Who names the option has said what to do.
        if format!("{error:#}").contains("--") {
            return failure;
        }
        failure.hint(format!(
            "its state is in `{}`; use another directory with --data-dir",
            options.data_dir.display()
        ))
    })
}

/// Asked before the state is opened, which would only get in the way of the other server.
fn must_be_free(address: SocketAddr) -> CliResult {
    std::net::TcpListener::bind(address)
        .map(drop)
        .map_err(|error| {
            let message = format!("failed to listen on {address}");
            CliError::new(ExitStatus::CommandFailed, message).caused_by(&error).hint(
            "name another address with --listen; `--listen 127.0.0.1:0` takes any free port",
        )
        })
}

/// Stops the server; a second signal does not wait for it.
pub(super) async fn finish(
    server: RunningServer,
    tasks: AtStop,
    stop: &mut StopSignal,
) -> CliResult {
    tokio::select! {
        stopped = server.shutdown(tasks) => stopped.map_err(|error| {
            CliError::new(ExitStatus::CommandFailed, "failed to stop in order").caused_by(&*error)
        }),
        () = stop.received() => {
            if tasks == AtStop::EndTasks {
                descendants::kill().await;
            }
            Err(CliError::new(ExitStatus::Interrupted, "stopped by force"))
        }
    }
}

/// Words the end of a server that should have gone on.
pub(super) fn failed(ended: anyhow::Result<()>) -> CliError {
    let error = CliError::new(ExitStatus::CommandFailed, "the scheduler ended");
    match ended {
        Ok(()) => error,
        Err(cause) => error.caused_by(&*cause),
    }
}
