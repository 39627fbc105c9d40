//! The page and the HTTP API: what the collector knows, for browsers and scripts.
//!
//! Server-rendered: each page works without a script; the script adds what comes live, keys and sorting. Pages and API
//! read through the same functions (`load`), so whatever a page shows can be had as JSON. Nothing is loaded from anywhere
//! else.

mod address;
mod api;
mod ask;
mod assets;
mod auth;
mod error;
mod find;
mod guard;
mod index;
mod link;
mod live;
mod load;
mod outliers;
mod page;
mod rates;
mod report;
mod serve;
pub mod svg;
mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;

pub use auth::{Role, TokenConfig, new_token};
pub use serve::{Listening, WebConfig, serve};

use crate::control::Control;
use crate::query::QueryService;

/// Bytes of a request's body: forms and small JSON.
const BODY_BYTES: usize = 64 << 10;

/// What the page is about.
pub struct WebOptions {
    /// What stands in the title, as `collector` or the name of the capture.
    pub title: String,
    /// Addresses of this machine, where it is the one that is watched.
    pub me: BTreeSet<IpAddr>,
    /// New data can come.
    pub live: bool,
    /// A store of a run that ended: how its modules, feeds and whitelist were is not in it.
    pub kept: bool,
    /// Blocks, where this process has them.
    pub control: Option<Arc<Control>>,
    /// Who may log in; empty: everybody who can connect may do everything, which is for loopback only.
    pub tokens: Vec<TokenConfig>,
    /// The names by which clients may call this server besides loopback's; a request with another `Host` is refused.
    pub hosts: Vec<String>,
    /// Cookies are for HTTPS only.
    pub secure: bool,
}

impl Default for WebOptions {
    fn default() -> Self {
        Self {
            title: "collector".to_owned(),
            me: BTreeSet::new(),
            live: true,
            kept: false,
            control: None,
            tokens: Vec::new(),
            hosts: Vec::new(),
            secure: false,
        }
    }
}

/// The page of one collector. Cheap to clone.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    query: QueryService,
    options: WebOptions,
    auth: auth::Auth,
    limits: guard::Limits,
    index: index::Cached,
    rates: rates::Rates,
    slots: tokio::sync::Semaphore,
    streams: Arc<tokio::sync::Semaphore>,
    clock: lynceus_view::human::Clock,
}

/// Questions that are answered at the same time; others wait. Each holds a thread.
const QUESTIONS: usize = 8;
/// Readers of the live stream.
const STREAMS: usize = 64;

impl Web {
    /// # Errors
    /// A token is not as it must be.
    pub fn new(query: QueryService, options: WebOptions) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            auth: auth::Auth::new(&options.tokens)?,
            limits: guard::Limits::default(),
            index: index::Cached::default(),
            rates: rates::Rates::default(),
            slots: tokio::sync::Semaphore::new(QUESTIONS),
            streams: Arc::new(tokio::sync::Semaphore::new(STREAMS)),
            clock: lynceus_view::human::Clock::utc(),
            query,
            options,
        })))
    }

    /// All routes.
    pub fn router(&self) -> Router {
        Router::new()
            .merge(page::routes())
            .merge(api::routes())
            .merge(live::routes())
            .merge(auth::routes())
            .merge(assets::routes())
            .fallback(error::not_found)
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self.clone())
    }

    fn is_me(&self, ip: IpAddr) -> bool {
        self.0.options.me.contains(&ip)
    }
}
