//! Lets only few large requests in at a time.
//!
//! A request of many empty messages takes some twenty times its size once it is decoded, which
//! happens before anybody has looked at it. Small requests never wait here.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use tokio::sync::Semaphore;

/// How the paths of our own calls begin.
const OURS: &str = "/aurora.v1.";
/// Requests of up to this many bytes are small.
const SMALL: usize = 64 << 10;
/// Large ones at a time.
const AT_A_TIME: usize = 4;
/// From its turn until a large request has to be answered: it may be sent very slowly.
const TURN: Duration = Duration::from_secs(60);

/// The turns of large requests.
pub(super) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(AT_A_TIME))
}

/// Has large requests wait for their turn.
pub(super) async fn take_turns(
    State(turns): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    // Reflection answers while its caller still sends; none of our own calls does.
    if !request.uri().path().starts_with(OURS) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut frames = body.into_data_stream();
    let mut first: Vec<Result<Bytes, axum::Error>> = Vec::new();
    let mut n_bytes = 0;
    while n_bytes <= SMALL {
        let Some(frame) = frames.next().await else {
            let body = Body::from_stream(stream::iter(first));
            return next.run(Request::from_parts(parts, body)).await;
        };
        n_bytes += frame.as_ref().map_or(0, Bytes::len);
        let is_broken = frame.is_err();
        first.push(frame);
        if is_broken {
            break;
        }
    }
    let Ok(_turn) = turns.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = Body::from_stream(stream::iter(first).chain(frames));
    let answer = next.run(Request::from_parts(parts, body));
    match tokio::time::timeout(TURN, answer).await {
        Ok(answer) => answer,
        Err(_elapsed) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use tower::ServiceExt as _;

    use super::*;

    const CALL: &str = "/aurora.v1.ReadService/ListJobs";

    #[tokio::test]
    async fn small_requests_pass_while_large_ones_wait() {
        let turns = turns();
        let app = Router::new()
            .route(
                CALL,
                post(|body: Bytes| async move { body.len().to_string() }),
            )
            .route("/reflection", post(|_: Body| async { "at once" }))
            .layer(axum::middleware::from_fn_with_state(
                Arc::clone(&turns),
                take_turns,
            ));
        let ask = |n_bytes: usize| {
            let frames = std::iter::repeat_n(Bytes::from(vec![7; 1024]), n_bytes / 1024);
            let frames = frames.map(Ok::<_, std::convert::Infallible>);
            let body = Body::from_stream(stream::iter(frames));
            let answer = app.clone().oneshot(Request::post(CALL).body(body).unwrap());
            async {
                let body = answer.await.unwrap().into_body();
                axum::body::to_bytes(body, 100).await.unwrap()
            }
        };
        let all = turns
            .acquire_many(u32::try_from(AT_A_TIME).unwrap())
            .await
            .unwrap();
        assert_eq!(ask(SMALL).await, SMALL.to_string().as_bytes());
        let mut large = Box::pin(ask(4 * SMALL));
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut large).await;
        assert!(waited.is_err());
        drop(all);
        assert_eq!(large.await, (4 * SMALL).to_string().as_bytes());
        let endless = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let request = Request::post("/reflection").body(endless).unwrap();
        assert_eq!(
            app.clone().oneshot(request).await.unwrap().status(),
            StatusCode::OK
        );
    }
}
