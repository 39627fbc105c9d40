//! Why something is not shown, as a page for people and as JSON for scripts.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::json::Object;

/// A status with a sentence.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the question was not answered")
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn nothing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// For scripts: `{"error": …, "status": …}`.
    pub(super) fn json(&self) -> Response {
        let mut out = Vec::new();
        let mut object = Object::bare(&mut out);
        object.text("error", &self.message);
        object.value("status", |out| crate::json::number(out, self.status.as_u16()));
        object.close();
        (self.status, [(header::CONTENT_TYPE, "application/json")], out).into_response()
    }

    /// For people.
    pub(super) fn page(&self) -> Response {
        let page = ErrorPage {
            status: self.status.as_u16(),
            reason: self.status.canonical_reason().unwrap_or("error"),
            message: &self.message,
            style: super::assets::style(),
        };
        let html = page.render().unwrap_or_else(|_| self.message.clone());
        (self.status, Html(html)).into_response()
    }

    /// In the form that the reader wants.
    pub(super) fn for_reader(&self, path: &str, headers: &HeaderMap) -> Response {
        let html = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/html"));
        if path.starts_with("/api/") || !html {
            self.json()
        } else {
            self.page()
        }
    }
}

/// Pages answer people; the API turns the same refusal into JSON with [`Refusal::json`].
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.page()
    }
}

impl From<tonic::Status> for Refusal {
    fn from(status: tonic::Status) -> Self {
        let code = match status.code() {
            tonic::Code::NotFound => StatusCode::NOT_FOUND,
            tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
            tonic::Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(code, status.message())
    }
}

impl From<lynceus_proto::Invalid> for Refusal {
    fn from(invalid: lynceus_proto::Invalid) -> Self {
        tracing::error!(%invalid, "a row does not read as what it is");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the store holds something damaged",
        )
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    status: u16,
    reason: &'a str,
    message: &'a str,
    style: String,
}

pub(super) async fn not_found(request: Request) -> Response {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such page")
        .for_reader(request.uri().path(), request.headers())
}
