//! The parent's side: starts the child, waits no longer than it may take, judges how it ended.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aurora_proto::v1;
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time,
};

use crate::{
    evaluate::{
        BindArgs, DeclaredJob, Evaluated, Rejected,
        wire::{Job, Request, Response},
        worker::{CPU_SECONDS, MEMORY_BYTES},
    },
    job_key::JobKey,
};

/// The child stops itself long before, unless the machine is overloaded.
const WALL_TIME: Duration = Duration::from_secs(5);
/// More than the language's own limits let a file declare, written in hex.
const MAX_ANSWER: u64 = 96 << 20;
/// Of the child's stderr, which only has words when something went badly wrong.
const MAX_WORDS: u64 = 4 << 10;

const SIGKILL: i32 = 9;
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;

pub(super) async fn evaluate(path: &Path, binds: &BindArgs) -> Result<Evaluated, Rejected> {
    let Some(path) = path.to_str() else {
        return Err(Rejected::because(
            format!("the path `{}` is not UTF-8", path.display()),
            "rename the file",
        ));
    };
    let request = Request {
        path: path.to_owned(),
        binds: binds.binds.clone(),
    };
    let mut child = spawn().map_err(|error| {
        Rejected::because(
            format!("failed to start the evaluation of `{path}`: {error}"),
            "the evaluation runs in a child process of aurora-rs; is the process limit reached?",
        )
    })?;
    let answer = time::timeout(WALL_TIME, converse(&mut child, &request)).await;
    match answer {
        Ok(Ok((status, answer, words))) => judge(path, status, &answer, &words),
        Ok(Err(error)) => Err(Rejected::because(
            format!("lost the process that evaluated `{path}`: {error}"),
            "try again",
        )),
        // Dropping the child kills it.
        Err(_elapsed) => Err(too_slow(path)),
    }
}

fn spawn() -> std::io::Result<Child> {
    // Right even after the file of this program has been replaced by another release.
    let own = Path::new("/proc/self/exe");
    let program = if own.exists() {
        own.to_owned()
    } else {
        std::env::current_exe()?
    };
    Command::new::<PathBuf>(program)
        .arg("evaluate-worker")
        // The file must come out the same whoever evaluates it.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

async fn converse(
    child: &mut Child,
    request: &Request,
) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let missing = || std::io::Error::other("no pipe to the child");
    let mut stdin = child.stdin.take().ok_or_else(missing)?;
    let stdout = child.stdout.take().ok_or_else(missing)?;
    let stderr = child.stderr.take().ok_or_else(missing)?;
    let request = serde_json::to_vec(request)?;
    let ask = async move {
        // A child that died early says so by its end, not by a broken pipe.
        drop(stdin.write_all(&request).await);
        drop(stdin);
    };
    let (mut answer, mut words) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (stdout.take(MAX_ANSWER), stderr.take(MAX_WORDS));
    let ((), read, _words) = tokio::join!(
        ask,
        stdout.read_to_end(&mut answer),
        stderr.read_to_end(&mut words),
    );
    read?;
    drop((stdout, stderr));
    Ok((child.wait().await?, answer, words))
}

fn judge(
    path: &str,
    status: ExitStatus,
    answer: &[u8],
    words: &[u8],
) -> Result<Evaluated, Rejected> {
    if status.success()
        && let Ok(response) = serde_json::from_slice::<Response>(answer)
    {
        return accept(response);
    }
    let words = String::from_utf8_lossy(words);
    Err(match status.signal() {
        Some(SIGABRT) if words.contains("memory allocation") => too_big(path),
        Some(SIGXCPU | SIGKILL) => too_slow(path),
        Some(SIGSEGV | SIGABRT) => Rejected::because(
            format!("`{path}` nests too deeply: its evaluation ran out of stack"),
            "flatten nested expressions and calls",
        ),
        Some(signal) => Rejected::because(
            format!("the evaluation of `{path}` was ended by signal {signal}"),
            "this is a fault of aurora-rs; please report it with the file",
        ),
        None => Rejected::because(
            format!("the evaluation of `{path}` broke off: {}", words.trim()),
            "this is a fault of aurora-rs; please report it with the file",
        ),
    })
}

fn too_slow(path: &str) -> Rejected {
    Rejected::because(
        format!("`{path}` takes too long to evaluate; the limit is {CPU_SECONDS} s"),
        "look for a loop that does not end",
    )
}

fn too_big(path: &str) -> Rejected {
    Rejected::because(
        format!(
            "`{path}` takes more than {} MiB of memory to evaluate",
            MEMORY_BYTES >> 20
        ),
        "look for a string, array or map that grows without bound",
    )
}

fn accept(response: Response) -> Result<Evaluated, Rejected> {
    let Response {
        jobs,
        quotas,
        problems,
        suppressed,
        printed,
    } = response;
    if suppressed > 0 || problems.iter().any(super::Problem::is_error) {
        return Err(Rejected {
            problems,
            suppressed,
            printed,
        });
    }
    let garbled = || {
        Rejected::because(
            "the evaluating process gave a garbled answer".to_owned(),
            "this is a fault of aurora-rs; please report it with the file",
        )
    };
    let jobs: Option<Vec<DeclaredJob>> = jobs.into_iter().map(decode_job).collect();
    let quotas: Option<Vec<v1::QuotaConfiguration>> =
        quotas.iter().map(|quota| decode(quota)).collect();
    Ok(Evaluated {
        jobs: jobs.ok_or_else(garbled)?,
        quotas: quotas.ok_or_else(garbled)?,
        warnings: problems,
        printed,
    })
}

fn decode_job(job: Job) -> Option<DeclaredJob> {
    let config: v1::JobConfiguration = decode(&job.config)?;
    Some(DeclaredJob {
        key: JobKey::declared_by(&config),
        config,
        place: job.place,
        unsupported: job.unsupported,
    })
}

fn decode<M: Message + Default>(text: &str) -> Option<M> {
    M::decode(hex::decode(text).ok()?.as_slice()).ok()
}
