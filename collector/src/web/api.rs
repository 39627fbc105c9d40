//! The HTTP API under `/api/v1`: whatever a page shows, as JSON. `openapi` describes it, and a test holds the two together.
//!
//! Evidence and alerts have the shape of `docs/json.md`. Lists are `{"items": […], "next": token or null}`; ask again with
//! `page=token`. Times are seconds since 1970 as exact decimal fractions, absent values are null.

mod health;
mod lists;
mod openapi;
mod outliers;
mod profiles;
mod write;

use axum::Router;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;

use super::error::Refusal;
use super::{Web, find, link};

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi::show))
        .route("/api/v1/status", get(health::status))
        .route("/api/v1/sensors", get(health::sensors))
        .route("/api/v1/modules", get(health::modules))
        .route("/api/v1/blocks", get(health::blocks))
        .route("/api/v1/profiles", get(profiles::list))
        .route("/api/v1/profiles/{ip}", get(profiles::one))
        .route("/api/v1/profiles/{ip}/windows/{start}", get(profiles::window))
        .route(
            "/api/v1/profiles/{ip}/windows/{start}/timeline",
            get(profiles::timeline),
        )
        .route("/api/v1/evidence", get(lists::evidence))
        .route("/api/v1/evidence/{ip}/{start}/{id}", get(lists::one_evidence))
        .route("/api/v1/alerts", get(lists::alerts))
        .route("/api/v1/alerts/{ip}/{start}/{id}", get(lists::one_alert))
        .route("/api/v1/flows", get(lists::flows))
        .route("/api/v1/outliers", get(outliers::list))
        .route("/api/v1/outliers/{ip}/{start}", get(outliers::one))
        .route("/api/v1/patterns", get(outliers::patterns))
        .route("/api/v1/ip/{ip}", get(profiles::address))
        .route("/api/v1/{*rest}", get(unknown))
}

async fn unknown() -> ApiError {
    Refusal::nothing("resource").into()
}

/// A refusal, as JSON.
pub(super) struct ApiError(Refusal);

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.json()
    }
}

/// JSON that was written here.
pub(super) struct Json(pub(super) Vec<u8>);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

pub(super) type Answer = Result<Json, ApiError>;

/// Parts of the path; what does not read is answered as JSON.
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, web).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(error) => Err(Refusal::bad(format!("path: {}", error.body_text())).into()),
        }
    }
}

/// Parameters of the question.
pub(super) struct QueryOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, web).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(error) => Err(Refusal::bad(error.body_text()).into()),
        }
    }
}

/// How much of a list, and from where.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: String,
    limit: Option<usize>,
}

impl Page {
    fn limit(&self) -> Result<usize, Refusal> {
        match self.limit {
            None => Ok(find::PAGE.0),
            Some(limit) if (1..=find::PAGE.1).contains(&limit) => Ok(limit),
            Some(_) => Err(Refusal::bad(format!("limit: between 1 and {}", find::PAGE.1))),
        }
    }

    fn token(&self) -> Result<Vec<u8>, Refusal> {
        link::page(&self.page).ok_or_else(|| Refusal::bad("page: not a token of this list"))
    }

    fn search(&self) -> Result<lynceus_view::search::Search, Refusal> {
        self.q
            .parse()
            .map_err(|error| Refusal::bad(format!("q: {error}")))
    }
}
