//! The API: gRPC, the same calls as JSON, metrics and health, all on one port.
//!
//! Knows the engine and nothing of how it decides.

mod admin;
mod json;
mod large;
mod pages;
mod read;
mod status;
mod write;

use std::sync::Arc;

use aurora_core::time::Timestamp;
use aurora_proto::v1::admin_service_server::AdminServiceServer;
use aurora_proto::v1::read_service_server::ReadServiceServer;
use aurora_proto::v1::scheduler_service_server::SchedulerServiceServer;
use axum::Router;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::server::Snapshots;

/// The largest request, in bytes; larger ones are refused before they are read.
pub(crate) const MAX_REQUEST: usize = 4 << 20;

/// What every call needs.
pub(crate) struct Context {
    pub(crate) engine: Engine,
    pub(crate) cluster: Arc<dyn Cluster>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) snapshots: Snapshots,
    pub(crate) metrics: Metrics,
    pub(crate) started: Timestamp,
    /// Cancelled when the server stops: ends open streams.
    pub(crate) stopping: CancellationToken,
}

/// A service of the API; cheap to clone.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Arc<Context>);

/// Returns everything that the port serves.
pub(crate) fn router(context: Arc<Context>) -> Router {
    let api = Api(Arc::clone(&context));
    let (health, health_service) = tonic_health::server::health_reporter();
    drop(health);
    let mut routes = tonic::service::Routes::builder();
    routes
        .add_service(ReadServiceServer::new(api.clone()).max_decoding_message_size(MAX_REQUEST))
        .add_service(
            SchedulerServiceServer::new(api.clone()).max_decoding_message_size(MAX_REQUEST),
        )
        .add_service(AdminServiceServer::new(api).max_decoding_message_size(MAX_REQUEST))
        .add_service(health_service);
    match tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(aurora_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
    {
        Ok(reflection) => {
            routes.add_service(reflection);
        }
        Err(error) => tracing::warn!("no server reflection: {error}"),
    }
    routes
        .routes()
        .into_axum_router()
        .layer(axum::middleware::from_fn(json::transcode))
        .layer(axum::middleware::from_fn_with_state(
            large::turns(),
            large::take_turns,
        ))
        .route("/", get(pages::index))
        .route("/health", get(pages::health))
        .route("/leaderhealth", get(pages::health))
        .route("/metrics", get(pages::metrics))
        .with_state(())
        .layer(axum::Extension(context))
}
