//! What no client of ours would send: it is refused, changes nothing and breaks nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use aurora_tests::files::idle;
use aurora_tests::scheduler::Scheduler;
use aurora_tests::wait::Stopwatch;
use aurora_tests::{http, processes};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

const LIST: &str = "/aurora.v1.ReadService/ListJobs";

/// Sends a request whose head and body are exactly these.
fn send(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\
         Connection: close\r\n{headers}\r\n",
        body.len()
    );
    http::exchange(address, &[head.as_bytes(), body])
}

#[test]
fn what_is_no_request_is_refused() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("there", &idle("there", ""));
    let before = scheduler.state();
    let address = scheduler.address();
    let deep = "[".repeat(100_000);
    let deep_object = "{\"config\":".repeat(10_000);
    for (body, said) in [
        ("{\"key\":", "EOF"),
        ("[]", "map"),
        ("{\"nosuch\":1}", "nosuch"),
        ("{\"page_size\":\"many\"}", "page_size"),
        ("{\"page_size\":-1}", "range"),
        ("{\"page_size\":1e99}", ""),
        ("{\"filter\":5}", "map"),
        ("{} {}", ""),
        ("\u{0}\u{1}", ""),
        (deep.as_str(), ""),
        (deep_object.as_str(), ""),
    ] {
        let (status, answer) = http::post(address, LIST, body);
        let shown: String = body.chars().take(40).collect();
        // A wrong value may be named by its place instead of its field.
        let named = answer.contains(said) || answer.contains("line 1 column");
        assert!(status == 400 && named, "{shown}: {status} {answer}");
    }
    let json = "Content-Type: application/json\r\n";
    for (method, path, headers, body, expected) in [
        ("GET", LIST, json, "", 405),
        ("GET", LIST, "", "", 405),
        ("DELETE", LIST, json, "", 405),
        ("POST", LIST, "Content-Type: text/xml\r\n", "<x/>", 415),
        ("POST", LIST, "", "{}", 415),
        ("POST", "/aurora.v1.ReadService/NoSuchCall", json, "{}", 404),
        ("POST", "/aurora.v1.NoService/ListJobs", json, "{}", 404),
        ("GET", "/no/such/page", "", "", 404),
        ("GET", "/../../etc/passwd", "", "", 404),
    ] {
        let (status, answer) = send(address, method, path, headers, body.as_bytes());
        assert_eq!(status, expected, "{method} {path} {headers}: {answer}");
        assert!(
            !answer.trim().is_empty(),
            "{method} {path} {headers}: it says why"
        );
    }
    assert_eq!(scheduler.state(), before);
}

#[test]
fn huge_requests_are_refused_before_they_are_read() {
    let scheduler = Scheduler::start(&[]);
    let pid = scheduler.pid().unwrap();
    let before = processes::peak_memory_kib(pid).unwrap();
    let body = vec![b' '; 100 << 20];
    let watch = Stopwatch::start();
    let json = "Content-Type: application/json\r\n";
    let (status, answer) = send(scheduler.address(), "POST", LIST, json, &body);
    // The server may close the connection under a client that does not stop to send.
    assert!(status == 413 || status == 0, "{status} {answer}");
    assert!(
        watch.elapsed() < Duration::from_secs(20),
        "{:?}",
        watch.elapsed()
    );
    let grown = processes::peak_memory_kib(pid).unwrap() - before;
    assert!(grown < 48 << 10, "grew by {grown} KiB");
    // Just what is allowed passes the limit, and one byte more does not.
    let padded = |length: usize| " ".repeat(length - 2) + "{}";
    assert_eq!(
        http::post(scheduler.address(), LIST, &padded(4 << 20)).0,
        200
    );
    assert_eq!(
        http::post(scheduler.address(), LIST, &padded((4 << 20) + 1)).0,
        413
    );
    assert_eq!(http::get(scheduler.address(), "/health").0, 200);
}

#[test]
fn broken_frames_and_protocols_do_no_harm() {
    let scheduler = Scheduler::start(&[]);
    scheduler.create_running("there", &idle("there", ""));
    let before = scheduler.state();
    let grpc = "Content-Type: application/grpc\r\nTE: trailers\r\n";
    let address = scheduler.address();
    for body in [
        b"".as_slice(),
        b"\0",
        b"\0\0\0\0\x05abc",
        b"\0\xff\xff\xff\xff",
        b"\x01\0\0\0\x01x",
        b"\x07\0\0\0\0",
        b"\0\0\0\0\x03\x0a\xff\xff",
    ] {
        let path = "/aurora.v1.SchedulerService/KillTasks";
        let (status, answer) = send(address, "POST", path, grpc, body);
        assert!(
            status == 200 || status >= 400,
            "{body:?}: {status} {answer}"
        );
    }
    for raw in [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x01\x25\0\0\0\x01garb",
        b"GARBAGE\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(raw).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
    }
    assert_eq!(http::get(address, "/health").0, 200);
    assert_eq!(scheduler.state(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn health_and_reflection_answer() {
    let scheduler = tokio::task::spawn_blocking(|| Scheduler::start(&[]))
        .await
        .unwrap();
    let channel = tonic::transport::Endpoint::new(scheduler.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = HealthClient::new(channel.clone());
    let request = HealthCheckRequest {
        service: String::new(),
    };
    let answer = health.check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);

    let mut reflection = ServerReflectionClient::new(channel);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let stream = tokio_stream_once(request);
    let mut answers = reflection
        .server_reflection_info(stream)
        .await
        .unwrap()
        .into_inner();
    let answer: ServerReflectionResponse = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in ["ReadService", "SchedulerService", "AdminService"] {
        assert!(names.contains(&format!("aurora.v1.{name}")), "{names:?}");
    }
    tokio::task::spawn_blocking(move || drop(scheduler))
        .await
        .unwrap();
}

/// A stream of one message.
fn tokio_stream_once<T: Send + 'static>(
    message: T,
) -> impl futures_util::Stream<Item = T> + Send + 'static {
    futures_util::stream::once(std::future::ready(message))
}
