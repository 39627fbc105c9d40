//! The query service: what the store and the windows in memory know, in bounded pages.

mod collect;
pub mod dossier;
mod find;
mod glance;
mod lists;
mod outliers;
mod status;
mod traffic;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status};

pub use self::collect::Collected;
use self::dossier::Dossiers;
use crate::dispatch::Live;
use crate::rows;
use crate::shared::Shared;
use crate::store::{Store, StoreError, Table};

/// Answers questions about what the collector knows. Cheap to clone.
#[derive(Clone)]
pub struct QueryService {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    live: Live,
    dossiers: Arc<Dossiers>,
}

/// Items of a page when the reader does not say, and at most.
const PAGE: (u32, u32) = (200, 1000);
/// Bytes of an answer after which a page ends early: well below the bound of a message.
const PAGE_BYTES: usize = 3 << 20;

impl QueryService {
    pub(crate) const fn new(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        live: Live,
        dossiers: Arc<Dossiers>,
    ) -> Self {
        Self {
            store,
            shared,
            live,
            dossiers,
        }
    }

    /// Runs a question where it may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let service = self.clone();
        let answer = tokio::task::spawn_blocking(move || question(&service)).await;
        answer
            .map_err(|_| Status::internal("the question was not answered"))?
            .map(Response::new)
    }

    /// One window with its tables. Blocks.
    ///
    /// # Errors
    /// There is no such window, or the store cannot be read.
    pub fn window(&self, request: &v1::GetWindowRequest) -> Result<v1::GetWindowResponse, Status> {
        let id = WindowId {
            profile: address("profile", &request.profile)?,
            start: Timestamp(request.start),
        };
        if let Some((profile, summary)) = self.live.window(id) {
            return Ok(v1::GetWindowResponse {
                summary: Some(summary),
                profile: Some((&profile).into()),
            });
        }
        let key = rows::window_key(id);
        let summary = self
            .store
            .get(Table::Summaries, &key)
            .map_err(|error| failed(&error))?;
        let Some(summary) = summary else {
            return Err(Status::not_found("no such window"));
        };
        let window = self
            .store
            .get(Table::Windows, &key)
            .map_err(|error| failed(&error))?;
        let window = window
            .map(|value| rows::read_window(&value))
            .transpose()
            .map_err(|error| failed(&error))?;
        Ok(v1::GetWindowResponse {
            summary: Some(rows::read_summary(&summary).map_err(|error| failed(&error))?),
            profile: window.map(|row| (&*row.profile).into()),
        })
    }
}

#[tonic::async_trait]
impl v1::query_server::Query for QueryService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn list_profiles(
        &self,
        request: Request<v1::ListProfilesRequest>,
    ) -> Result<Response<v1::ListProfilesResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.profiles(&request)).await
    }

    async fn list_windows(
        &self,
        request: Request<v1::ListWindowsRequest>,
    ) -> Result<Response<v1::ListWindowsResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.windows(&request)).await
    }

    async fn get_window(
        &self,
        request: Request<v1::GetWindowRequest>,
    ) -> Result<Response<v1::GetWindowResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.window(&request)).await
    }

    async fn list_traffic(
        &self,
        request: Request<v1::ListTrafficRequest>,
    ) -> Result<Response<v1::ListTrafficResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.traffic(&request)).await
    }

    async fn list_evidence(
        &self,
        request: Request<v1::ListEvidenceRequest>,
    ) -> Result<Response<v1::ListEvidenceResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.evidence(&request)).await
    }

    async fn list_alerts(
        &self,
        request: Request<v1::ListAlertsRequest>,
    ) -> Result<Response<v1::ListAlertsResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.alerts(&request)).await
    }

    async fn get_status(
        &self,
        _request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.ask(Self::status).await
    }

    async fn get_dossier(
        &self,
        request: Request<v1::GetDossierRequest>,
    ) -> Result<Response<v1::GetDossierResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| {
            let ip = address("ip", &request.ip)?;
            Ok(dossier::to_wire(&*service.dossier(ip)?))
        })
        .await
    }

    async fn list_outliers(
        &self,
        request: Request<v1::ListOutliersRequest>,
    ) -> Result<Response<v1::ListOutliersResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.outliers(&request)).await
    }

    async fn find_patterns(
        &self,
        request: Request<v1::FindPatternsRequest>,
    ) -> Result<Response<v1::FindPatternsResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.patterns(&request)).await
    }

    async fn find_alike(
        &self,
        request: Request<v1::FindAlikeRequest>,
    ) -> Result<Response<v1::FindAlikeResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.alike(&request)).await
    }

    async fn set_label(
        &self,
        request: Request<v1::SetLabelRequest>,
    ) -> Result<Response<v1::SetLabelResponse>, Status> {
        let request = request.into_inner();
        self.ask(move |service| service.label(&request)).await
    }

    async fn watch(
        &self,
        _request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let changes = BroadcastStream::new(self.shared.watch()).map(|change| {
            Ok(
                change.unwrap_or_else(|BroadcastStreamRecvError::Lagged(missed)| v1::WatchResponse {
                    change: Some(v1::watch_response::Change::Missed(missed)),
                }),
            )
        });
        let watching = v1::WatchResponse {
            change: Some(v1::watch_response::Change::Watching(v1::Watching {})),
        };
        let first = futures_util::stream::iter([Ok(watching)]);
        Ok(Response::new(Box::pin(first.chain(changes))))
    }
}

fn page_size(asked: u32) -> usize {
    let (usual, most) = PAGE;
    if asked == 0 {
        usual as usize
    } else {
        asked.min(most) as usize
    }
}

fn address(field: &str, bytes: &[u8]) -> Result<std::net::IpAddr, Status> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(four.into());
    }
    <[u8; 16]>::try_from(bytes).map(Into::into).map_err(|_| {
        Status::invalid_argument(format!("{field}: has {} bytes, must have 4 or 16", bytes.len()))
    })
}

fn failed(error: &StoreError) -> Status {
    tracing::error!(%error, "query failed");
    match error {
        StoreError::Damaged { .. } => Status::data_loss(error.to_string()),
        _ => Status::unavailable(error.to_string()),
    }
}
