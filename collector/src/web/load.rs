//! What pages and API show, read from the collector. All of it blocks; see [`Web::ask`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::alert::{Alert, AlertId, AlertPolicy};
use lynceus_model::evidence::{Evidence, EvidenceId};
use lynceus_model::flow::CommunityId;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::status::{Gap, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use lynceus_proto::v1;
use lynceus_view::screens::{Tables, WindowView};
use lynceus_view::timeline::{self, Entry};

use super::Web;
use super::error::Refusal;
use super::index::Index;
use crate::query::Collected;
use crate::rows::address_bytes;

/// Entries of the log behind one page of a timeline.
const TRAFFIC: u32 = 1000;
/// Findings of one window that a page shows.
const FINDINGS: u32 = 500;
/// The newest findings, of which the overview shows the gravest: the most that one question gives.
const LOOKED_AT: u32 = 1000;
/// The newest alerts, which the overview shows by group.
const GROUPED: u32 = 64;
/// Windows of one profile that a page shows; the newest are last.
const WINDOWS: usize = 1000;
/// Findings whose times make the chart of the overview.
const CHART: usize = 100_000;

/// A sensor as the collector knows it.
pub(super) struct Sensor {
    pub(super) id: SensorId,
    pub(super) status: SensorStatus,
    /// Collector's clock.
    pub(super) received_at: Timestamp,
    pub(super) connected: bool,
}

/// Sensors, gaps and the collector itself.
pub(super) struct Health {
    pub(super) sensors: Vec<Sensor>,
    pub(super) collector: v1::CollectorStatus,
    /// The newest.
    pub(super) gaps: Vec<(SensorId, Gap)>,
    pub(super) gaps_total: u64,
}

/// Everything at a glance.
pub(super) struct Overview {
    pub(super) health: Health,
    pub(super) index: Arc<Index>,
    /// The newest first.
    pub(super) alerts: Vec<Alert>,
    /// Of the newest, the gravest first.
    pub(super) evidence: Vec<Evidence>,
    pub(super) alert_times: Vec<Timestamp>,
    pub(super) evidence_times: Vec<Timestamp>,
}

/// One window of a profile with what happened in it.
pub(super) struct Window {
    pub(super) id: WindowId,
    pub(super) view: WindowView,
    pub(super) truncated: bool,
    pub(super) closed: bool,
    pub(super) tables: Tables,
    pub(super) delta: Option<ProfileDelta>,
    pub(super) timeline: Timeline,
    pub(super) evidence: Vec<Evidence>,
    pub(super) alerts: Vec<Alert>,
}

/// A page of a timeline.
#[derive(Default)]
pub(super) struct Timeline {
    /// In order of time.
    pub(super) entries: Vec<Entry>,
    /// Names of addresses, as from DNS answers.
    pub(super) names: HashMap<IpAddr, String>,
    /// Where the next page begins.
    pub(super) next: Option<Vec<u8>>,
}

/// An alert with the evidence behind it.
pub(super) struct Explained {
    pub(super) alert: Alert,
    /// By id; terms whose evidence expired are missing.
    pub(super) evidence: HashMap<EvidenceId, Evidence>,
}

impl Web {
    pub(super) fn health(&self) -> Result<Health, Refusal> {
        let answer = self.0.query.status()?;
        let mut sensors = Vec::with_capacity(answer.sensors.len());
        for sensor in answer.sensors {
            let status = sensor.status.map(SensorStatus::try_from).transpose()?;
            sensors.push(Sensor {
                id: sensor_id(&sensor.id),
                status: status.unwrap_or_default(),
                received_at: Timestamp(sensor.received_at),
                connected: sensor.connected,
            });
        }
        let mut gaps = Vec::with_capacity(answer.gaps.len());
        for gap in answer.gaps {
            if let Some(what) = gap.gap {
                gaps.push((sensor_id(&gap.sensor_id), Gap::try_from(what)?));
            }
        }
        Ok(Health {
            sensors,
            collector: answer.collector.unwrap_or_default(),
            gaps,
            gaps_total: answer.gaps_total,
        })
    }

    pub(super) fn overview(&self) -> Result<Overview, Refusal> {
        let newest = 8;
        let alerts = self.0.query.alerts(&v1::ListAlertsRequest {
            page_size: GROUPED,
            newest_first: true,
            ..v1::ListAlertsRequest::default()
        })?;
        let evidence = self.0.query.evidence(&v1::ListEvidenceRequest {
            page_size: LOOKED_AT,
            newest_first: true,
            ..v1::ListEvidenceRequest::default()
        })?;
        let evidence: Vec<Evidence> = evidence
            .evidence
            .into_iter()
            .map(Evidence::try_from)
            .collect::<Result<_, _>>()?;
        let evidence = gravest(evidence.iter(), newest as usize)
            .into_iter()
            .cloned()
            .collect();
        Ok(Overview {
            health: self.health()?,
            index: self.index()?,
            alerts: alerts
                .alerts
                .into_iter()
                .map(Alert::try_from)
                .collect::<Result<_, _>>()?,
            evidence,
            alert_times: self.0.query.times(true, CHART)?,
            evidence_times: self.0.query.times(false, CHART)?,
        })
    }

    /// The windows of a profile in order of time, the newest ones where there are many; empty: no such profile.
    pub(super) fn windows(&self, profile: IpAddr) -> Result<Vec<WindowView>, Refusal> {
        let mut windows: Vec<WindowView> = Vec::new();
        let mut page = Vec::new();
        loop {
            let answer = self.0.query.windows(&v1::ListWindowsRequest {
                profile: address_bytes(profile),
                page_size: 1000,
                page,
            })?;
            windows.extend(answer.windows.iter().map(window_view));
            let beyond = windows.len().saturating_sub(WINDOWS);
            windows.drain(..beyond);
            page = answer.next_page;
            if page.is_empty() {
                return Ok(windows);
            }
        }
    }

    /// One window. `page`: where its timeline begins.
    pub(super) fn window(&self, id: WindowId, page: Vec<u8>) -> Result<Window, Refusal> {
        let answer = self.0.query.window(&v1::GetWindowRequest {
            profile: address_bytes(id.profile),
            start: id.start.0,
        })?;
        let summary = answer.summary.ok_or_else(|| Refusal::nothing("window"))?;
        let view = window_view(&summary);
        let delta = answer.profile.map(ProfileDelta::try_from).transpose()?;
        let timeline = self.timeline(id.profile, Some((view.start, view.end)), &[], page)?;
        let evidence = self.0.query.evidence(&v1::ListEvidenceRequest {
            profile: Some(address_bytes(id.profile)),
            window_start: Some(id.start.0),
            page_size: FINDINGS,
            ..v1::ListEvidenceRequest::default()
        })?;
        let alerts = self.0.query.alerts(&v1::ListAlertsRequest {
            profile: Some(address_bytes(id.profile)),
            window_start: Some(id.start.0),
            page_size: FINDINGS,
            ..v1::ListAlertsRequest::default()
        })?;
        let mut evidence: Vec<Evidence> = evidence
            .evidence
            .into_iter()
            .map(Evidence::try_from)
            .collect::<Result<_, _>>()?;
        evidence.sort_by(|a, b| a.last.cmp(&b.last).then(a.id.cmp(&b.id)));
        Ok(Window {
            id,
            tables: delta
                .as_ref()
                .map(|delta| Tables::of(delta, &timeline.names))
                .unwrap_or_default(),
            view,
            truncated: summary.truncated,
            closed: summary.closed,
            delta,
            timeline,
            evidence,
            alerts: alerts
                .alerts
                .into_iter()
                .map(Alert::try_from)
                .collect::<Result<_, _>>()?,
        })
    }

    /// What an address did, or the flows with these Community IDs, as it saw them.
    pub(super) fn timeline(
        &self,
        profile: IpAddr,
        span: Option<(Timestamp, Timestamp)>,
        flows: &[CommunityId],
        page: Vec<u8>,
    ) -> Result<Timeline, Refusal> {
        let answer = self.0.query.traffic(&v1::ListTrafficRequest {
            profile: Some(address_bytes(profile)),
            community_ids: flows.iter().take(256).map(|id| id.0.to_vec()).collect(),
            // Both ends of a span on the wire are inclusive.
            span: span.map(|(from, to)| v1::Span {
                first: from.0,
                last: to.0.saturating_sub(1),
            }),
            page_size: TRAFFIC,
            page,
        })?;
        let mut collected = Collected::default();
        for entry in answer.entries {
            collected.add(entry)?;
        }
        let (flows, messages) = collected.finish();
        Ok(Timeline {
            entries: timeline::build(profile, &flows, &messages),
            names: timeline::names(&messages),
            next: (!answer.next_page.is_empty()).then_some(answer.next_page),
        })
    }

    pub(super) fn evidence_of(&self, window: WindowId, id: EvidenceId) -> Result<Evidence, Refusal> {
        self.0
            .query
            .one_evidence(window, id)?
            .ok_or_else(|| Refusal::nothing("evidence"))
    }

    pub(super) fn explained(&self, window: WindowId, id: AlertId) -> Result<Explained, Refusal> {
        let alert = self
            .0
            .query
            .one_alert(window, id)?
            .ok_or_else(|| Refusal::nothing("alert"))?;
        let mut evidence = HashMap::new();
        for term in &alert.terms {
            if let Some(found) = self.0.query.one_evidence(window, term.evidence)? {
                evidence.insert(term.evidence, found);
            }
        }
        Ok(Explained { alert, evidence })
    }

    /// The other alerts of the group of an alert, in order of time: of the newest of its profile.
    pub(super) fn related(&self, alert: &Alert) -> Result<Vec<Alert>, Refusal> {
        let answer = self.0.query.alerts(&v1::ListAlertsRequest {
            profile: Some(address_bytes(alert.profile)),
            page_size: LOOKED_AT,
            newest_first: true,
            ..v1::ListAlertsRequest::default()
        })?;
        let group = alert.group.0.as_slice();
        let mut related: Vec<Alert> = answer
            .alerts
            .into_iter()
            .filter(|other| other.group == group && other.id != alert.id.0)
            .map(Alert::try_from)
            .collect::<Result<_, _>>()?;
        related.sort_by_key(|alert| (alert.last, alert.id));
        Ok(related)
    }

    /// Peers of an address with their bytes, the heaviest first.
    pub(super) fn peers(delta: &ProfileDelta) -> Vec<(IpAddr, u64)> {
        let mut peers: BTreeMap<IpAddr, u64> = BTreeMap::new();
        for row in delta.client_peers.top() {
            *peers.entry(row.key().ip).or_default() += row.bytes();
        }
        let mut peers: Vec<(IpAddr, u64)> = peers.into_iter().collect();
        peers.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        peers
    }
}

/// The findings that a reader should see first: by weight, then by level, the newest of alike ones first.
pub(super) fn gravest<'a>(evidence: impl Iterator<Item = &'a Evidence>, most: usize) -> Vec<&'a Evidence> {
    let mut all: Vec<&Evidence> = evidence.collect();
    all.sort_by(|a, b| {
        AlertPolicy::weight(b)
            .total_cmp(&AlertPolicy::weight(a))
            .then(b.threat_level.cmp(&a.threat_level))
            .then(b.last.cmp(&a.last))
            .then(a.id.cmp(&b.id))
    });
    all.truncate(most);
    all
}

fn sensor_id(bytes: &[u8]) -> SensorId {
    bytes.try_into().map(SensorId).unwrap_or_default()
}

pub(super) const fn window_view(summary: &v1::WindowSummary) -> WindowView {
    WindowView {
        start: Timestamp(summary.start),
        end: Timestamp(summary.end),
        number: summary.number,
        flows: summary.flows,
        packets: summary.packets,
        bytes: summary.bytes,
        evidence: summary.evidence,
        alerts: summary.alerts,
        threat: summary.threat,
        threshold: summary.threshold,
    }
}
