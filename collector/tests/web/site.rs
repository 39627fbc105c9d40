//! A collector that saw a scanner, and how to ask its page.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use lynceus_collector::control::{Control, ControlOptions};
use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, Store};
use lynceus_collector::web::{TokenConfig, Web, WebOptions};
use lynceus_model::status::{PointStatus, Position, SensorStatus};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::traffic::{PLAN, SENSOR, batches, updates};

/// A collector that saw a scanner, and its page.
pub(crate) struct Site {
    pub(crate) collector: Collector,
    control: Arc<Control>,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        // Intake blocks.
        tokio::task::block_in_place(Self::make)
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(folder.path())).unwrap());
        let control = ControlOptions {
            enabled: true,
            dry_run: false,
            on_alert: false,
            lease: Duration::from_secs(60),
            plan: PLAN,
        };
        let control = Arc::new(Control::open(control, Arc::clone(&store)).unwrap());
        let options = DispatchOptions {
            engine: EngineOptions::new(SENSOR, PLAN),
            sinks: Vec::new(),
            retention: Retention::default(),
            checkpoint: Duration::from_secs(3600),
        };
        let collector = Collector::start(store, options).unwrap();
        for batch in batches(&updates(12, 25), 64) {
            collector.ingest().accept(batch).unwrap();
        }
        let point = PointStatus {
            interface: "veth<0>".into(),
            hook: "tcx".into(),
            seen: 10,
            recorded: 9,
            resident: 1,
            ..PointStatus::default()
        };
        let status = SensorStatus {
            name: "gate".into(),
            points: vec![point],
            // Lisbon.
            position: Some(Position {
                latitude: 38.72,
                longitude: -9.14,
                error_km: 5.0,
            }),
            ..SensorStatus::default()
        };
        collector.ingest().status(SENSOR, status).unwrap();
        collector.flush().unwrap();
        Self {
            collector,
            control,
            _folder: folder,
        }
    }

    pub(crate) fn router(&self, tokens: Vec<TokenConfig>) -> Router {
        let options = WebOptions {
            tokens,
            control: Some(Arc::clone(&self.control)),
            hosts: vec!["lynceus.example".into()],
            ..WebOptions::default()
        };
        Web::new(self.collector.query(), options).unwrap().router()
    }

    /// As over the store of a run that ended.
    pub(crate) fn kept(&self) -> Router {
        let options = WebOptions {
            live: false,
            kept: true,
            ..WebOptions::default()
        };
        Web::new(self.collector.query(), options).unwrap().router()
    }
}

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Page {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 64 << 20).await.unwrap();
    Page {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) async fn get(router: &Router, path: &str) -> Page {
    let request = Request::get(path)
        .header(header::HOST, "127.0.0.1:7444")
        .header(header::ACCEPT, "text/html");
    ask(router, request.body(Body::empty()).unwrap()).await
}

/// Addresses of this site that a page names.
pub(crate) fn links(html: &str) -> Vec<String> {
    html.split("href=\"")
        .skip(1)
        .filter_map(|part| part.split('"').next())
        .filter(|link| link.starts_with('/'))
        .map(|link| link.replace("&amp;", "&").replace("&#38;", "&"))
        .collect()
}
