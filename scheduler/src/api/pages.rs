//! What is read without gRPC: health, metrics, and a page that says what is here.

use std::sync::Arc;

use axum::Extension;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::api::Context;

/// `/health` and `/leaderhealth`: OK while the state can be written; there is one scheduler, and
/// so it leads.
pub(super) async fn health(Extension(context): Extension<Arc<Context>>) -> impl IntoResponse {
    match context.engine.fatal().borrow().as_deref() {
        None => (StatusCode::OK, "OK\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// `/metrics` in the OpenMetrics text format.
pub(super) async fn metrics(Extension(context): Extension<Arc<Context>>) -> impl IntoResponse {
    match context.metrics.render(&context).await {
        Ok(text) => {
            const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, TYPE)], text).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

/// `/`: what this is and where to look.
pub(super) async fn index(Extension(context): Extension<Arc<Context>>) -> impl IntoResponse {
    let cluster = context
        .engine
        .read(|core| core.cluster_name().to_owned())
        .await;
    format!(
        "aurora-rs {version}, cluster {cluster}\n\n\
         /health     is it well\n\
         /metrics    figures for Prometheus\n\n\
         gRPC services: aurora.v1.ReadService, aurora.v1.SchedulerService, \
         aurora.v1.AdminService (server reflection is on).\n\
         The same calls as JSON, for example:\n\n\
         curl -s -H 'Content-Type: application/json' -d '{{}}' \
         http://HOST:PORT/aurora.v1.ReadService/ListJobs\n",
        version = env!("CARGO_PKG_VERSION"),
        cluster = cluster.unwrap_or_default(),
    )
}
