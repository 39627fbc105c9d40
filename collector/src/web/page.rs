//! Pages: what was loaded, as tables, charts and sentences in the frame that all share.

mod alerts;
mod blocks;
mod evidence;
mod health;
mod outliers;
mod overview;
pub(super) mod parts;
mod profile;
mod search;
mod whose;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use super::auth::{Account, cookie};
use super::error::Refusal;
use super::{Web, assets};

pub(super) use alerts::{Compared, alert_rows, compared, related_rows};
pub(super) use evidence::{sentence, without};
pub(super) use health::{SensorBlock, block};
pub(super) use overview::{Card, cards, headline, profile_rows, wanted};
pub(super) use parts::{evidence_rows, explained, timeline_lines};
pub(super) use profile::{facts, map, tables};

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/", get(overview::show))
        .route("/profiles", get(overview::profiles))
        .route("/profile/{ip}", get(profile::newest))
        .route("/profile/{ip}/{start}", get(profile::show))
        .route("/alert/{ip}/{start}/{id}", get(evidence::alert))
        .route("/evidence/{ip}/{start}/{id}", get(evidence::evidence))
        .route("/ip/{ip}", get(profile::address))
        .route("/outliers", get(outliers::list))
        .route("/outlier/{ip}", get(outliers::newest))
        .route("/outlier/{ip}/{start}", get(outliers::dive))
        .route("/patterns", get(outliers::patterns))
        .route("/search", get(search::show))
        .route("/sensors", get(health::sensors))
        .route("/modules", get(health::modules))
        .route("/blocks", get(blocks::show))
        .route("/blocks", post(blocks::block))
        .route("/unblock", post(blocks::unblock))
}

/// The frame around a page.
pub(super) struct Shell {
    title: String,
    /// Which entry of the navigation is open.
    here: &'static str,
    theme: &'static str,
    style: String,
    script: String,
    icon: String,
    /// Of the collector or the capture.
    place: String,
    /// New data can come.
    live: bool,
    account: Arc<Account>,
    open: bool,
    query: String,
}

/// Who looks, and how.
pub(super) struct Visit {
    account: Arc<Account>,
    theme: &'static str,
    open: bool,
    live: bool,
    place: String,
}

/// Parts of the path; what does not read is answered as a page.
pub(super) struct PathOf<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Web> for PathOf<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refusal> {
        match Path::<T>::from_request_parts(parts, web).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(_) => Err(Refusal::nothing("page: its address cannot be read")),
        }
    }
}

impl FromRequestParts<Web> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refusal> {
        let account = parts
            .extensions
            .get::<Arc<Account>>()
            .ok_or_else(Refusal::internal)?;
        let theme = match cookie(&parts.headers, "theme") {
            Some("dark") => "dark",
            Some("light") => "light",
            _ => "auto",
        };
        Ok(Self {
            account: Arc::clone(account),
            theme,
            open: web.0.auth.is_open(),
            live: web.0.options.live,
            place: web.0.options.title.clone(),
        })
    }
}

impl Visit {
    fn shell(self, title: impl Into<String>, here: &'static str) -> Shell {
        Shell {
            title: title.into(),
            here,
            theme: self.theme,
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
            place: self.place,
            live: self.live,
            account: self.account,
            open: self.open,
            query: String::new(),
        }
    }
}

impl Shell {
    /// Entries of the navigation: name, address, key after `g`.
    const NAVIGATION: [(&'static str, &'static str, char); 7] = [
        ("Overview", "/", 'o'),
        ("Profiles", "/profiles", 'p'),
        ("Outliers", "/outliers", 'u'),
        ("Search", "/search", 's'),
        ("Sensors", "/sensors", 'n'),
        ("Modules", "/modules", 'm'),
        ("Blocks", "/blocks", 'b'),
    ];
}

fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page was not rendered");
            Refusal::internal().into_response()
        }
    }
}
