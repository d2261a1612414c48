use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

fn append(sandbox: &Path, process: &str, run: u32, file: &str, text: &[u8]) {
    let dir = sandbox.join(".logs").join(process).join(run.to_string());
    fs::create_dir_all(&dir).unwrap();
    let mut log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(file))
        .unwrap();
    log.write_all(text).unwrap();
}

fn request(process: &str) -> ReadTaskLogRequest {
    ReadTaskLogRequest {
        process: process.to_owned(),
        ..ReadTaskLogRequest::default()
    }
}

async fn read_all(sandbox: &Path, request: ReadTaskLogRequest) -> Result<String, TaskLogError> {
    let stream = read(sandbox.to_owned(), request, || async { true }).await?;
    let pieces: Vec<_> = stream.collect().await;
    let mut text = String::new();
    for piece in pieces {
        let piece = piece?;
        assert!(piece.data.len() <= 64 * 1024);
        let data = String::from_utf8(piece.data).unwrap();
        let stream = if piece.stream == i32::from(LogStream::Stderr) {
            "err"
        } else {
            "out"
        };
        let (process, run, offset) = (piece.process, piece.run, piece.offset);
        write!(text, "{process}/{run}/{stream}@{offset}:{data};").unwrap();
    }
    Ok(text)
}

#[tokio::test]
async fn the_latest_run_of_every_process_is_read() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "a", 0, "stdout", b"old");
    append(dir.path(), "a", 10, "stdout", b"new");
    append(dir.path(), "a", 9, "stdout", b"older");
    append(dir.path(), "b", 0, "stderr", b"error");
    let all = read_all(dir.path(), request("")).await.unwrap();
    assert_eq!(all, "a/10/out@0:new;b/0/err@0:error;");
    let one = ReadTaskLogRequest {
        run: Some(9),
        tail_bytes: 3,
        ..request("a")
    };
    assert_eq!(read_all(dir.path(), one).await.unwrap(), "a/9/out@2:der;");
    let only = ReadTaskLogRequest {
        stream: LogStream::Stdout.into(),
        ..request("b")
    };
    assert_eq!(read_all(dir.path(), only).await.unwrap(), "");
}

#[tokio::test]
async fn long_logs_come_in_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    append(dir.path(), "a", 0, "stdout", &bytes);
    let stream = read(dir.path().to_owned(), request("a"), || async { true })
        .await
        .unwrap();
    let pieces: Vec<_> = stream.map(Result::unwrap).collect().await;
    assert!(pieces.iter().all(|piece| piece.data.len() <= 64 * 1024));
    assert_eq!(pieces.concat_data(), bytes);
}

trait ConcatData {
    fn concat_data(&self) -> Vec<u8>;
}

impl ConcatData for Vec<ReadTaskLogResponse> {
    fn concat_data(&self) -> Vec<u8> {
        self.iter().flat_map(|piece| piece.data.clone()).collect()
    }
}

#[tokio::test]
async fn errors_name_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    append(dir.path(), "web", 3, "stdout", b"");
    let error = read_all(dir.path(), request("wbe")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the task has no process `wbe`; it has web"
    );
    let run = ReadTaskLogRequest {
        run: Some(1),
        ..request("web")
    };
    let error = read_all(dir.path(), run).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "process `web` has no logs of run 1; it has those of 3"
    );
    let stream = ReadTaskLogRequest {
        stream: 9,
        ..request("web")
    };
    assert!(matches!(
        read_all(dir.path(), stream).await,
        Err(TaskLogError::BadStream(9))
    ));
}

#[tokio::test]
async fn nothing_outside_the_sandbox_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    append(&secret, "p", 0, "stdout", b"secret");
    let secret_file = secret.join(".logs/p/0/stdout");
    for name in ["..", "../x", "a/b", "."] {
        let refused = read_all(&secret, request(name)).await;
        assert!(
            matches!(refused, Err(TaskLogError::BadProcessName(_))),
            "{name}"
        );
    }

    let sandbox = dir.path().join("sandbox");
    fs::create_dir_all(sandbox.join(".logs/file/0")).unwrap();
    fs::create_dir_all(sandbox.join(".logs/run")).unwrap();
    symlink(&secret_file, sandbox.join(".logs/file/0/stdout")).unwrap();
    fs::hard_link(&secret_file, sandbox.join(".logs/file/0/stderr")).unwrap();
    symlink(secret.join(".logs/p/0"), sandbox.join(".logs/run/0")).unwrap();
    symlink(secret.join(".logs/p"), sandbox.join(".logs/process")).unwrap();
    assert_eq!(read_all(&sandbox, request("")).await.unwrap(), "");
    assert!(read_all(&sandbox, request("process")).await.is_err());
    let run = ReadTaskLogRequest {
        run: Some(0),
        ..request("run")
    };
    assert!(read_all(&sandbox, run).await.is_err());

    let pipe = sandbox.join(".logs/pipe/0");
    fs::create_dir_all(&pipe).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        pipe.join("stdout"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let read = tokio::time::timeout(DEADLINE, read_all(&sandbox, request("pipe")));
    assert_eq!(read.await.unwrap().unwrap(), "");

    let link = dir.path().join("link");
    symlink(&secret, &link).unwrap();
    assert!(read_all(&link, request("p")).await.is_err());
}

#[tokio::test]
async fn following_takes_in_what_comes_until_the_task_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = {
        let ended = Arc::clone(&ended);
        move || {
            let ended = Arc::clone(&ended);
            async move { ended.load(Ordering::SeqCst) }
        }
    };
    let following = ReadTaskLogRequest {
        follow: true,
        ..request("")
    };
    let stream = read(dir.path().to_owned(), following, has_ended)
        .await
        .unwrap();
    let mut stream = Box::pin(stream);
    let mut next = async || {
        let piece = tokio::time::timeout(DEADLINE, stream.next())
            .await
            .unwrap()?
            .unwrap();
        Some((
            piece.process,
            piece.run,
            piece.offset,
            String::from_utf8(piece.data).unwrap(),
        ))
    };
    let piece = |process: &str, run, offset, text: &str| {
        Some((process.to_owned(), run, offset, text.to_owned()))
    };
    append(dir.path(), "a", 0, "stdout", b"one");
    assert_eq!(next().await, piece("a", 0, 0, "one"));
    append(dir.path(), "a", 0, "stdout", b"two");
    assert_eq!(next().await, piece("a", 0, 3, "two"));
    append(dir.path(), "a", 1, "stderr", b"again");
    assert_eq!(next().await, piece("a", 1, 0, "again"));
    append(dir.path(), "b", 0, "stdout", b"other");
    assert_eq!(next().await, piece("b", 0, 0, "other"));
    let log = dir.path().join(".logs/b/0/stdout");
    fs::rename(&log, log.with_extension("1")).unwrap();
    append(dir.path(), "b", 0, "stdout", b"rotated");
    assert_eq!(next().await, piece("b", 0, 0, "rotated"));
    append(dir.path(), "b", 0, "stdout", b"last");
    ended.store(true, Ordering::SeqCst);
    assert_eq!(next().await, piece("b", 0, 7, "last"));
    assert_eq!(next().await, None);
}
