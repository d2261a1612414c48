//! `dev`: everything on this machine, for the time of one command.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use crate::{
    api::Api,
    commands::serve::{
        dev_jobs::{DevJobs, Outcome},
        options::{OptionArgs, RunAs},
        run::{failed, finish, start},
        server::{AtStop, RunningServer},
        stop_signal::StopSignal,
    },
    error::{CliError, CliResult, Label},
    evaluate::{self, BindArgs, DeclaredJob, JobFile},
    exit_status::ExitStatus,
    output::{self, Output, OutputArgs},
    user_name::{is_root, user_name},
};

/// The server is on this machine.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Run a scheduler on this machine for a while, and jobs on it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  aurora-rs dev dsl-examples/hello_world.rhai
  aurora-rs dev load.rhai --bind day=2024-05-01 --exit-when-done
  aurora-rs dev --data-dir ./state

Ctrl-C stops it. Without --data-dir its state is temporary and everything that it started is ended;
with one, the state is kept and tasks go on. A second Ctrl-C does not wait.")]
pub(crate) struct DevArgs {
    /// Job files to run
    files: Vec<JobFile>,
    #[command(flatten)]
    binds: BindArgs,
    /// End when all jobs of the files have ended: with exit code 0 if all of them finished, else 4
    #[arg(long, env = "AURORA_EXIT_WHEN_DONE", requires = "files")]
    exit_when_done: bool,
    /// Directory of the scheduler's state [default: temporary]
    #[arg(long, env = "AURORA_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print only results and errors
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    pub(crate) options: OptionArgs,
}

pub(super) async fn run(args: &DevArgs) -> CliResult {
    let output = Output::new(OutputArgs {
        json: false,
        quiet: args.quiet,
    });
    // Before anything starts: a wrong file should not leave a scheduler behind.
    let jobs = read_files(args, output).await?;
    let temporary = match args.data_dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("aurora-rs-")
                .tempdir()
                .map_err(|error| {
                    CliError::new(
                        ExitStatus::CommandFailed,
                        "failed to make a temporary directory",
                    )
                    .caused_by(&error)
                })?,
        ),
    };
    let data_dir = match (&args.data_dir, &temporary) {
        (Some(given), _) => given.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::new(),
    };
    let listen = choose_address(args.options.listen, output);
    let options = args.options.resolve(listen, data_dir, RunAs::RoleOrSelf);
    let mut stop = StopSignal::new()?;
    let mut server = start(&options).await?;
    let uri = format!("http://{}", server.local_addr);
    banner(&uri, &options.data_dir, temporary.is_some(), output);
    let cluster = &options.settings.cluster_name;
    let at_stop = if temporary.is_some() {
        AtStop::EndTasks
    } else {
        AtStop::KeepTasks
    };
    let result = Session {
        args,
        cluster,
        uri: &uri,
        output,
    }
    .run_until_stopped(jobs, &mut server, &mut stop)
    .await;
    // A server that has failed still has tasks, which must not outlive a temporary state.
    output.note(match at_stop {
        AtStop::EndTasks => "stopping, with everything that was started; Ctrl-C to force",
        AtStop::KeepTasks => "stopping; tasks go on; Ctrl-C to force",
    });
    finish(server, at_stop, &mut stop).await?;
    match result {
        Ok(()) | Err(SessionEnd::Stopped) => Ok(()),
        Err(SessionEnd::Failed(error) | SessionEnd::ServerFailed(error)) => Err(error),
    }
}

/// Why a session ended before its jobs.
enum SessionEnd {
    Stopped,
    Failed(CliError),
    ServerFailed(CliError),
}

struct Session<'a> {
    args: &'a DevArgs,
    cluster: &'a str,
    uri: &'a str,
    output: Output,
}

impl Session<'_> {
    async fn run_until_stopped(
        &self,
        jobs: Vec<DeclaredJob>,
        server: &mut RunningServer,
        stop: &mut StopSignal,
    ) -> Result<(), SessionEnd> {
        tokio::select! {
            ended = server.wait() => Err(SessionEnd::ServerFailed(failed(ended))),
            () = stop.received() => {
                // A session that was to end by itself has been cut short.
                Err(if self.args.exit_when_done {
                    SessionEnd::Failed(CliError::new(ExitStatus::Interrupted, "interrupted"))
                } else {
                    SessionEnd::Stopped
                })
            }
            result = Box::pin(self.run(jobs)) => result.map_err(SessionEnd::Failed),
        }
    }

    /// Runs the jobs; returns only with `--exit-when-done` or with an error.
    async fn run(&self, jobs: Vec<DeclaredJob>) -> CliResult {
        let api = Api::connect(self.cluster, self.uri, CALL_TIMEOUT).await?;
        let mut dev_jobs = DevJobs::new(api, self.output);
        Box::pin(dev_jobs.submit_all(jobs)).await?;
        if self.args.exit_when_done {
            return match dev_jobs.follow_until_done().await? {
                Outcome::AllFinished => Ok(()),
                Outcome::SomeFailed(why) => Err(CliError::new(ExitStatus::CommandFailed, why)),
            };
        }
        dev_jobs.follow_for_ever().await
    }
}

async fn read_files(args: &DevArgs, output: Output) -> CliResult<Vec<DeclaredJob>> {
    let mut jobs: Vec<DeclaredJob> = Vec::new();
    let mut wrong = None;
    for file in &args.files {
        match evaluate::load(file, &args.binds, output).await {
            Ok(evaluated) => {
                for quota in &evaluated.quotas {
                    output.warning(&format!(
                        "the quota of {}/{} is not enforced by this release",
                        quota.cluster, quota.role
                    ));
                }
                jobs.extend(evaluated.jobs);
            }
            // What is wrong with the other files is worth knowing as well.
            Err(error) => {
                if let Some(earlier) = wrong.replace(error) {
                    output::print_line(Label::Error, &earlier.to_string());
                }
            }
        }
    }
    match wrong {
        Some(error) => Err(error),
        None => declared_once(jobs),
    }
}

/// Refuses files of which two declare the same job: only one of them could run.
fn declared_once(jobs: Vec<DeclaredJob>) -> CliResult<Vec<DeclaredJob>> {
    for (index, job) in jobs.iter().enumerate() {
        if let Some(first) = jobs[..index].iter().find(|other| other.key == job.key) {
            let message = format!(
                "{}: the job {} is declared twice, first at {}",
                job.place, job.key, first.place
            );
            return Err(CliError::new(ExitStatus::InvalidConfig, message));
        }
    }
    Ok(jobs)
}

/// Returns the address to listen on: a free port where the user names none and ours is taken.
fn choose_address(given: Option<SocketAddr>, output: Output) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 8081));
    if let Some(given) = given {
        return given;
    }
    match TcpListener::bind(default) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            output.note(&format!("{default} is taken; using a free port instead"));
            SocketAddr::from(([127, 0, 0, 1], 0))
        }
        Ok(_) | Err(_) => default,
    }
}

fn banner(uri: &str, data_dir: &std::path::Path, temporary: bool, output: Output) {
    let kind = if temporary { " (temporary)" } else { "" };
    output.note(&format!("scheduler is up at {uri}"));
    output.note(&format!("  state       {}{kind}", data_dir.display()));
    output.note(&format!("  to ask it   export AURORA_SCHEDULER_URI={uri}"));
    output.note("              aurora-rs job status '*'");
    if is_root() {
        output.warning("tasks whose role is not a user of this machine run as root");
    } else {
        output.warning(&format!(
            "tasks run as {}, whatever their role",
            user_name()
        ));
    }
}
