//! The calls for operators.

use std::pin::Pin;

use aurora_core::call::{Call, Reply};
use aurora_proto::v1;
use aurora_proto::v1::admin_service_server::AdminService;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::api::Api;
use crate::api::status::engine_status;
use crate::api::write::answer;
use crate::store::Encoder;

type BackupStream = Pin<Box<dyn Stream<Item = Result<v1::BackupResponse, Status>> + Send>>;

/// Bytes of one piece of a backup.
const PIECE: usize = 256 << 10;

/// Pieces that may wait for a slow reader.
const PIECES_AHEAD: usize = 4;

#[tonic::async_trait]
impl AdminService for Api {
    type BackupStream = BackupStream;

    async fn snapshot(
        &self,
        _request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<v1::SnapshotResponse>, Status> {
        let file = self
            .0
            .snapshots
            .take(&self.0.engine)
            .await
            .map_err(|error| {
                Status::internal(format!("the snapshot cannot be written: {error:#}"))
            })?;
        Ok(Response::new(v1::SnapshotResponse {
            path: file.path.display().to_string(),
            records: file.info.records,
            bytes: file.info.bytes,
        }))
    }

    async fn backup(
        &self,
        _request: Request<v1::BackupRequest>,
    ) -> Result<Response<BackupStream>, Status> {
        let listing = self.0.engine.listing().await.map_err(engine_status)?;
        let created_ms = self.0.clock.now().0;
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || {
            for piece in Encoder::new(listing, created_ms, PIECE) {
                let piece = piece
                    .map(|data| v1::BackupResponse { data })
                    .map_err(|error| Status::data_loss(error.to_string()));
                // A reader that is gone wants no more.
                if pieces.blocking_send(piece).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn query_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let request = request.into_inner();
        self.query(move |core| core.list_tasks(&request)).await
    }

    async fn prune_tasks(
        &self,
        request: Request<v1::PruneTasksRequest>,
    ) -> Result<Response<v1::PruneTasksResponse>, Status> {
        answer!(
            self.call(Call::PruneTasks(request.into_inner())).await?,
            PruneTasks
        )
    }

    async fn reconcile(
        &self,
        request: Request<v1::ReconcileRequest>,
    ) -> Result<Response<v1::ReconcileResponse>, Status> {
        answer!(
            self.call(Call::Reconcile(request.into_inner())).await?,
            Reconcile
        )
    }
}
