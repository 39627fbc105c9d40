//! Modules in programs of their own: they read the log after their cursor and say findings, which go into the log too.
//!
//! A module is shown what the log holds, at its own pace, so one that was away is caught up in the same way as one that
//! keeps up. What it says becomes an entry of the log together with its new cursor: both are durable or none is, a
//! replay brings the same evidence again, and a finding that is said twice has the same id
//! (`docs/decisions/0095-modules.md`).

mod feed;
mod seats;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use lynceus_model::evidence::Evidence;
use lynceus_model::time::WindowPlan;
use lynceus_model::window::SensorId;
use lynceus_proto::module::{Hello, Said};
use lynceus_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use self::feed::{Feed, Way};
pub use self::seats::{Seat, SeatFigures, Seats};
use crate::auth::Peer;
use crate::ingest::{Ingest, IngestError};
use crate::rows;
use crate::store::{Store, Table};

/// The service that modules attach to.
#[derive(Clone)]
pub struct ModuleService {
    ingest: Ingest,
    store: Arc<dyn Store>,
    group: SensorId,
    plan: WindowPlan,
    stopped: watch::Receiver<bool>,
}

/// How long a new connection may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);
/// How long an acknowledgement without findings may wait to be stored: after a crash these entries come again.
const LAZY: Duration = Duration::from_secs(1);
/// Between two tries when the store does not take findings.
const PAUSE: Duration = Duration::from_millis(500);

impl ModuleService {
    /// Streams end when `stopped` becomes true.
    #[must_use]
    pub const fn new(
        ingest: Ingest,
        store: Arc<dyn Store>,
        group: SensorId,
        plan: WindowPlan,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            stopped,
            ingest,
            store,
            group,
            plan,
        }
    }

    /// Last entry that a module acknowledged.
    async fn cursor(&self, name: &str) -> Result<Option<u64>, Status> {
        let (store, key) = (Arc::clone(&self.store), rows::module_key(name));
        let row = tokio::task::spawn_blocking(move || store.get(Table::Meta, &key)).await;
        let row = row.map_err(|_| Status::internal("the store was not asked"))?;
        let row = row.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(row.and_then(|row| rows::read_cursor(&row)))
    }
}

#[tonic::async_trait]
impl v1::module_server::Module for ModuleService {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<v1::ToModule, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<v1::FromModule>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let peer = Peer::of(&request);
        let mut incoming = request.into_inner();
        if !self.store.keeps_log() {
            return Err(Status::failed_precondition("this collector keeps no log"));
        }
        let first = tokio::time::timeout(HELLO, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello"))??;
        let Some(v1::from_module::Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be hello"));
        };
        let hello = Hello::try_from(hello).map_err(|error| Status::invalid_argument(error.to_string()))?;
        peer.may_attach(&hello.name)?;
        let shared = Arc::clone(self.ingest.shared());
        let seat = shared.seats.sit(&hello.name, &hello.version)?;
        let newest = shared.applied();
        let cursor = match self.cursor(&hello.name).await? {
            Some(cursor) => cursor,
            None if hello.only_new => newest.0,
            None => 0,
        };
        seat.reached(cursor);
        tracing::info!(
            module = hello.name,
            version = hello.version,
            cursor,
            "module attached"
        );
        let (to, outgoing) = mpsc::channel(4);
        let welcome = v1::ModuleWelcome {
            cursor,
            newest: newest.0,
            window_width_nanos: u64::try_from(self.plan.width.as_nanos()).unwrap_or(u64::MAX),
        };
        let way = Arc::new(Way::new(hello.window));
        let feed = Feed {
            store: Arc::clone(&self.store),
            shared,
            to: to.clone(),
            way: Arc::clone(&way),
            seat: seat.clone(),
            stopped: self.stopped.clone(),
            with_tables: hello.with_tables,
        };
        let listener = Listener {
            service: self.clone(),
            name: hello.name,
            to,
            way,
            seat,
            cursor,
            written: cursor,
            found: Vec::new(),
        };
        tokio::spawn(async move {
            // The module may be gone already; then both ends see it.
            let _ = listener
                .to
                .send(Ok(say(v1::to_module::Message::Welcome(welcome))))
                .await;
            let feeding = tokio::task::spawn_blocking(move || feed.run(cursor));
            listener.run(incoming).await;
            // It sees that the way is closed.
            let _ = feeding.await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

/// Hears one module.
struct Listener {
    service: ModuleService,
    name: String,
    to: mpsc::Sender<Result<v1::ToModule, Status>>,
    way: Arc<Way>,
    seat: Seat,
    /// Acknowledged, and acknowledged and stored.
    cursor: u64,
    written: u64,
    /// Found since the last entry was stored.
    found: Vec<Evidence>,
}

impl Drop for Listener {
    /// However it ends: the feed must not wait for acknowledgements that nobody hears.
    fn drop(&mut self) {
        self.way.close();
    }
}

impl Listener {
    async fn run(mut self, mut incoming: Streaming<v1::FromModule>) {
        let ended = self.hear(&mut incoming).await;
        self.way.close();
        // What it acknowledged before it went is done.
        if self.written < self.cursor {
            let _ = self.write().await;
        }
        match ended {
            Ok(()) => tracing::info!(module = self.name, cursor = self.cursor, "module detached"),
            Err(status) => {
                tracing::warn!(
                    module = self.name,
                    cursor = self.cursor,
                    reason = status.message(),
                    "module detached"
                );
                self.seat.fault(status.message());
                let _ = self.to.try_send(Err(status));
            }
        }
    }

    async fn hear(&mut self, incoming: &mut Streaming<v1::FromModule>) -> Result<(), Status> {
        loop {
            let message = match tokio::time::timeout(LAZY, incoming.message()).await {
                Ok(message) => message?,
                Err(_) if self.written < self.cursor => {
                    self.write().await?;
                    continue;
                }
                Err(_) if self.way.is_closed() || *self.service.stopped.borrow() => return Ok(()),
                Err(_) => continue,
            };
            let Some(message) = message else {
                return Ok(());
            };
            match message.message {
                Some(v1::from_module::Message::Finding(finding)) => self.take(finding).await?,
                Some(v1::from_module::Message::Ack(ack)) => {
                    if !self.way.done(ack.cursor) {
                        let text = format!("ack: entry {} was not sent", ack.cursor);
                        return Err(Status::invalid_argument(text));
                    }
                    self.cursor = self.cursor.max(ack.cursor);
                    if !self.found.is_empty() {
                        self.write().await?;
                    }
                }
                Some(v1::from_module::Message::Hello(_)) => {
                    return Err(Status::invalid_argument("hello comes once"));
                }
                // From a newer version.
                None => {}
            }
        }
    }

    async fn take(&mut self, finding: v1::Finding) -> Result<(), Status> {
        let key = finding.key.clone();
        match finding.into_evidence(&self.name, self.service.group, &self.service.plan) {
            Ok(evidence) => self.found.push(evidence),
            Err(error) => {
                tracing::warn!(module = self.name, key, %error, "finding refused");
                self.service.ingest.shared().counters.refuse("invalid_finding");
                self.seat.fault(&format!("finding refused: {error}"));
                let refused = v1::RefusedFinding {
                    key,
                    reason: error.to_string(),
                };
                // A module that does not read must not hold us up.
                let _ = self
                    .to
                    .try_send(Ok(say(v1::to_module::Message::Refused(refused))));
            }
        }
        if self.found.len() >= Said::MAX_EVIDENCE {
            self.write().await?;
        }
        Ok(())
    }

    /// Makes findings and cursor durable.
    async fn write(&mut self) -> Result<(), Status> {
        let said = Said {
            module: self.name.clone(),
            cursor: self.cursor.max(self.seat.position()),
            evidence: std::mem::take(&mut self.found),
        };
        let findings = said.evidence.len();
        loop {
            match self.service.ingest.say(&self.seat, said.clone()).await {
                Ok(()) => break,
                Err(IngestError::Stopping) => return Err(Status::unavailable("the collector is stopping")),
                Err(error @ IngestError::Unavailable { .. }) => {
                    tracing::error!(module = self.name, %error, "findings not stored; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.written = self.cursor;
        self.seat.reached(self.cursor);
        self.seat.said(findings);
        Ok(())
    }
}

const fn say(message: v1::to_module::Message) -> v1::ToModule {
    v1::ToModule {
        message: Some(message),
    }
}
