//! What the collector answers, as views. The same client speaks to a collector over the network and to one in this
//! process.

mod convert;
mod desk;
mod dossier;
mod handshakes;
mod names;
mod news;
mod outliers;
mod window;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lynceus_collector::query::Collected;
use lynceus_collector::query::dossier::from_wire;
use lynceus_enrich::dossier::Dossier;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::CommunityId;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;
use lynceus_proto::v1::control_client::ControlClient;
use lynceus_proto::v1::query_client::QueryClient;
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::codegen::{StdError, http};
use tower::util::BoxCloneSyncService;

use crate::desk::WindowAnswer;
use crate::human;
use crate::view::{ProfileView, WindowView};
use convert::address_bytes;
pub(crate) use convert::overview;
pub use convert::{SensorView, StatusView};
pub use handshakes::Handshakes;
use news::News;

/// Most profiles that are listed: the tree stays fast and the answer in memory's bounds.
const MAX_PROFILES: usize = 50_000;
/// Most lines of a timeline; whoever needs more filters by time.
const MAX_TRAFFIC: usize = 20_000;
/// Most evidence or alerts in one answer.
const MAX_FINDINGS: usize = 10_000;
const PAGE: u32 = 1000;
/// A collector that takes longer is treated as gone.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A collector's query service: a network channel or the service itself.
type Service = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, StdError>;

/// Which evidence or alerts are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub profile: Option<IpAddr>,
    /// Only with `profile`.
    pub window: Option<Timestamp>,
    /// From (inclusive) and to (exclusive) event time.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// A list that may have been cut.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// There are more than these.
    pub more: bool,
}

/// Blocking questions to a collector's query service.
pub struct Query {
    runtime: Arc<Runtime>,
    client: QueryClient<Service>,
    /// Where it is, for messages.
    place: String,
    live: bool,
    me: Vec<IpAddr>,
    news: Option<News>,
    control: ControlClient<Service>,
    profiles: BTreeMap<IpAddr, ProfileView>,
    more: bool,
    /// What the desk said last of the sensors.
    sensors: Option<Vec<SensorStatus>>,
    namer: names::Namer,
    shown: Option<(WindowView, WindowAnswer)>,
    /// The window whose timeline is still being read.
    reading: Option<window::Reading>,
    /// What must live as long as it is asked: a collector of this process, a folder.
    _behind: Option<Box<dyn std::any::Any + Send>>,
}

impl Query {
    /// `place` names the collector in messages; `live`: new data can come; `me`: addresses of this machine, if it is
    /// the one that the sensor watches.
    pub fn new<T>(
        runtime: Arc<Runtime>,
        service: T,
        place: impl Into<String>,
        live: bool,
        me: Vec<IpAddr>,
    ) -> Self
    where
        T: tower::Service<http::Request<Body>, Response = http::Response<Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        T::Error: Into<StdError>,
        T::Future: Send,
    {
        let service = BoxCloneSyncService::new(tower::ServiceExt::map_err(service, Into::into));
        let control = ControlClient::new(service.clone());
        let client = QueryClient::new(service)
            .max_decoding_message_size(lynceus_proto::limits::MESSAGE_BYTES)
            .accept_compressed(tonic::codec::CompressionEncoding::Zstd);
        Self {
            runtime,
            client,
            place: place.into(),
            live,
            me,
            news: None,
            control,
            profiles: BTreeMap::new(),
            more: false,
            sensors: None,
            namer: names::Namer::default(),
            shown: None,
            reading: None,
            _behind: None,
        }
    }

    /// Keeps what answers in this process as long as it may be asked.
    #[must_use]
    pub fn behind(self, keeper: impl std::any::Any + Send) -> Self {
        Self {
            _behind: Some(Box::new(keeper)),
            ..self
        }
    }

    /// Profiles with their windows, in the order of their addresses; at most [`MAX_PROFILES`].
    ///
    /// # Errors
    /// When the collector does not answer, or not as it should.
    pub fn profiles(&self) -> anyhow::Result<Listed<ProfileView>> {
        let mut items = Vec::new();
        let more = self.each_profile(|profile| keep(&mut items, profile, MAX_PROFILES))?;
        Ok(Listed { items, more })
    }

    /// Evidence of one profile by window, else by time; at most [`MAX_FINDINGS`].
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn evidence(&self, wanted: &Wanted) -> anyhow::Result<Listed<Evidence>> {
        let mut items = Vec::new();
        let more = self.each_evidence(wanted, |found| keep(&mut items, found, MAX_FINDINGS))?;
        Ok(Listed { items, more })
    }

    /// Alerts in the same order; at most [`MAX_FINDINGS`].
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn alerts(&self, wanted: &Wanted) -> anyhow::Result<Listed<Alert>> {
        let mut items = Vec::new();
        let more = self.each_alert(wanted, |alert| keep(&mut items, alert, MAX_FINDINGS))?;
        Ok(Listed { items, more })
    }

    /// Shows every profile until `visit` breaks; tells whether it broke.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn each_profile(
        &self,
        mut visit: impl FnMut(ProfileView) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        let ask = |page| {
            let request = v1::ListProfilesRequest {
                page_size: PAGE,
                page,
                with_evidence: false,
            };
            let answer = self.ask(async |mut client| client.list_profiles(request).await)?;
            Ok((answer.profiles, answer.next_page))
        };
        each(ask, |profile| Ok(visit(convert::profile(&profile, &self.me)?)))
    }

    /// Shows evidence until `visit` breaks; tells whether it broke.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn each_evidence(
        &self,
        wanted: &Wanted,
        mut visit: impl FnMut(Evidence) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        let ask = |page| {
            let request = v1::ListEvidenceRequest {
                profile: wanted.profile.map(address_bytes),
                window_start: wanted.window.map(|start| start.0),
                span: wanted.span.map(convert::span),
                page_size: PAGE,
                page,
                newest_first: false,
            };
            let answer = self.ask(async |mut client| client.list_evidence(request).await)?;
            Ok((answer.evidence, answer.next_page))
        };
        let read = |wire| Evidence::try_from(wire).with_context(|| self.bad_answer());
        each(ask, |wire| Ok(visit(read(wire)?)))
    }

    /// Shows alerts until `visit` breaks; tells whether it broke.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn each_alert(
        &self,
        wanted: &Wanted,
        mut visit: impl FnMut(Alert) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        let ask = |page| {
            let request = v1::ListAlertsRequest {
                profile: wanted.profile.map(address_bytes),
                window_start: wanted.window.map(|start| start.0),
                span: wanted.span.map(convert::span),
                page_size: PAGE,
                page,
                newest_first: false,
            };
            let answer = self.ask(async |mut client| client.list_alerts(request).await)?;
            Ok((answer.alerts, answer.next_page))
        };
        let read = |wire| Alert::try_from(wire).with_context(|| self.bad_answer());
        each(ask, |wire| Ok(visit(read(wire)?)))
    }

    /// What the collector knows of an address.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn known_of(&self, ip: IpAddr) -> anyhow::Result<Dossier> {
        let request = v1::GetDossierRequest {
            ip: address_bytes(ip),
        };
        let answer = self.ask(async |mut client| client.get_dossier(request).await)?;
        from_wire(answer).map_err(|status| anyhow::anyhow!("{}: {}", self.bad_answer(), status.message()))
    }

    /// Sensors, gaps and the collector itself.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn status(&self) -> anyhow::Result<StatusView> {
        let answer = self.ask(async |mut client| client.get_status(v1::GetStatusRequest {}).await)?;
        convert::status(answer).with_context(|| self.bad_answer())
    }

    /// Flows and messages in which an address takes part in `[from, to)`, or those with an ID, and whether there are
    /// more.
    fn traffic(
        &self,
        profile: IpAddr,
        from: Timestamp,
        to: Timestamp,
        ids: &[CommunityId],
    ) -> anyhow::Result<(Collected, bool)> {
        let mut traffic = Collected::default();
        let mut page = Vec::new();
        loop {
            page = self.traffic_page(profile, (from, to), ids, page, &mut traffic)?;
            if page.is_empty() || traffic.len() >= MAX_TRAFFIC {
                return Ok((traffic, !page.is_empty()));
            }
        }
    }

    /// One page of [`Query::traffic`]; tells where the next one begins, empty: nowhere.
    fn traffic_page(
        &self,
        profile: IpAddr,
        span: (Timestamp, Timestamp),
        ids: &[CommunityId],
        page: Vec<u8>,
        traffic: &mut Collected,
    ) -> anyhow::Result<Vec<u8>> {
        let request = v1::ListTrafficRequest {
            profile: Some(address_bytes(profile)),
            community_ids: ids.iter().map(|id| id.0.to_vec()).collect(),
            span: Some(convert::span(span)),
            page_size: PAGE,
            page,
        };
        let answer = self.ask(async |mut client| client.list_traffic(request).await)?;
        for entry in answer.entries {
            traffic.add(entry).with_context(|| self.bad_answer())?;
        }
        Ok(answer.next_page)
    }

    fn ask<A>(
        &self,
        call: impl AsyncFnOnce(QueryClient<Service>) -> Result<tonic::Response<A>, tonic::Status>,
    ) -> anyhow::Result<A> {
        self.ask_raw(call).map_err(|status| self.explain(&status))
    }

    fn ask_raw<A>(
        &self,
        call: impl AsyncFnOnce(QueryClient<Service>) -> Result<tonic::Response<A>, tonic::Status>,
    ) -> Result<A, tonic::Status> {
        let client = self.client.clone();
        self.runtime.block_on(async {
            tokio::time::timeout(TIMEOUT, call(client))
                .await
                .unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")))
                .map(tonic::Response::into_inner)
        })
    }

    fn explain(&self, status: &tonic::Status) -> anyhow::Error {
        anyhow::anyhow!("{}: {}", self.place, reason_of(status))
    }

    fn bad_answer(&self) -> String {
        format!("{} gave an answer that makes no sense", self.place)
    }
}

/// Why a collector did not answer. The innermost cause says the most: "connection refused" rather than "transport error".
pub(crate) fn reason_of(status: &tonic::Status) -> String {
    let mut reason = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(cause) = source {
        reason = cause.to_string();
        source = cause.source();
    }
    human::printable(&reason, 300)
}

/// Shows the items of page after page until `visit` breaks; tells whether it broke. `ask` answers with items and the next
/// page, which is empty at the end.
fn each<W>(
    ask: impl Fn(Vec<u8>) -> anyhow::Result<(Vec<W>, Vec<u8>)>,
    mut visit: impl FnMut(W) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<bool> {
    let mut page = Vec::new();
    loop {
        let (items, next) = ask(page)?;
        for item in items {
            if visit(item)?.is_break() {
                return Ok(true);
            }
        }
        if next.is_empty() {
            return Ok(false);
        }
        page = next;
    }
}

/// Keeps `item` if there is room.
fn keep<T>(items: &mut Vec<T>, item: T, limit: usize) -> ControlFlow<()> {
    if items.len() >= limit {
        return ControlFlow::Break(());
    }
    items.push(item);
    ControlFlow::Continue(())
}
