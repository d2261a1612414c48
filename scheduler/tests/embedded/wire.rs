//! What strangers and faulty executors get for an answer.

use aurora_mesos::v1;
use aurora_mesos::v1::executor::{Call, call};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fixture::{DEADLINE, StartedExecutor, Subject, config, launch, work_dir};

struct Request<'a> {
    line: &'a str,
    token: &'a str,
    content_type: &'a str,
    body: Vec<u8>,
}

impl<'a> Request<'a> {
    fn new(executor: &'a StartedExecutor, call: &Call) -> Self {
        Self {
            line: "POST /api/v1/executor",
            token: &executor.env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"],
            content_type: "application/x-protobuf",
            body: call.encode_to_vec(),
        }
    }

    async fn code(&self, executor: &StartedExecutor) -> u16 {
        let mut stream = TcpStream::connect(&executor.env["MESOS_AGENT_ENDPOINT"])
            .await
            .unwrap();
        let head = format!(
            "{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.line,
            self.token,
            self.content_type,
            self.body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&self.body).await.unwrap();
        let mut answer = [0; 12];
        let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer));
        read.await.unwrap().unwrap();
        std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
    }
}

fn call(executor: &StartedExecutor, kind: call::Type) -> Call {
    Call {
        executor_id: v1::ExecutorId {
            value: executor.env["MESOS_EXECUTOR_ID"].clone(),
        },
        framework_id: v1::FrameworkId {
            value: executor.env["MESOS_FRAMEWORK_ID"].clone(),
        },
        r#type: Some(kind.into()),
        ..Call::default()
    }
}

fn update(executor: &StartedExecutor, uuid: &'static [u8]) -> Call {
    let status = v1::TaskStatus {
        task_id: v1::TaskId {
            value: "t1".to_owned(),
        },
        state: v1::TaskState::TaskRunning.into(),
        source: Some(v1::task_status::Source::Executor.into()),
        uuid: Some(uuid.into()),
        ..v1::TaskStatus::default()
    };
    Call {
        update: Some(call::Update { status }),
        ..call(executor, call::Type::Update)
    }
}

#[tokio::test]
async fn codes_are_those_of_mesos() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let executor = subject.executor().await;
    let good = update(&executor, &[1; 16]);
    let request = || Request::new(&executor, &good);
    assert_eq!(request().code(&executor).await, 403, "not subscribed yet");

    let fake = executor.subscribe().await;
    assert_eq!(request().code(&executor).await, 202);
    let token = executor.env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"].clone();
    for wrong in [
        "",
        "x",
        &token[..token.len() - 1],
        &token.replace('.', ".0"),
    ] {
        assert_eq!(
            Request {
                token: wrong,
                ..request()
            }
            .code(&executor)
            .await,
            401,
            "{wrong}"
        );
    }
    let mut other = good.clone();
    other.executor_id.value.push('x');
    assert_eq!(Request::new(&executor, &other).code(&executor).await, 403);
    for (line, code) in [("GET /api/v1/executor", 405), ("POST /api/v1/agent", 404)] {
        assert_eq!(Request { line, ..request() }.code(&executor).await, code);
    }
    let json = Request {
        content_type: "application/json",
        ..request()
    };
    assert_eq!(json.code(&executor).await, 415);
    assert_eq!(
        Request {
            body: vec![0xff; 9],
            ..request()
        }
        .code(&executor)
        .await,
        400
    );
    let short = update(&executor, &[1; 15]);
    assert_eq!(Request::new(&executor, &short).code(&executor).await, 400);
    let empty = call(&executor, call::Type::Subscribe);
    assert_eq!(Request::new(&executor, &empty).code(&executor).await, 400);
    let unknown = call(&executor, call::Type::Unknown);
    assert_eq!(Request::new(&executor, &unknown).code(&executor).await, 501);
    let heartbeat = call(&executor, call::Type::Heartbeat);
    assert_eq!(
        Request::new(&executor, &heartbeat).code(&executor).await,
        202
    );
    drop(fake);
}

#[tokio::test]
async fn a_stranger_sends_no_body() {
    let dir = work_dir();
    let mut subject = Subject::start(config(dir.path())).await;
    subject.launch(vec![launch("t1", &[])]).await;
    let executor = subject.executor().await;
    let mut stream = TcpStream::connect(&executor.env["MESOS_AGENT_ENDPOINT"])
        .await
        .unwrap();
    let head = "POST /api/v1/executor HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer));
    read.await.unwrap().unwrap();
    assert_eq!(&answer[9..], b"401");
}
