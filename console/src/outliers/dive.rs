//! Everything at hand about one window, as data: for the command, the screen and the page.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use lynceus_enrich::offline::short::Short;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::Flow;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use serde::Serialize;

use super::{AROUND, Account, Alike, Attribute, NEAR, Pattern, seconds, value};
use crate::query::{Query, Wanted};
use crate::service;

/// A dive. Offline it takes well below a second: every part asks for a bounded number of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dive {
    kind: &'static str,
    pub account: Account,
    /// What is known of the address: name and value.
    pub dossier: Vec<(String, String)>,
    pub evidence: Vec<Found>,
    /// Most bytes first.
    pub flows: Vec<FlowLine>,
    /// There are more flows in the window than were looked at.
    pub flows_cut: bool,
    pub neighbors: Vec<Neighbor>,
    /// Earlier windows, newest first.
    pub history: Vec<Past>,
    pub alike: Vec<Alike>,
    /// Of the outliers around that time.
    pub patterns: Vec<Pattern>,
    pub outliers: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub threat_level: &'static str,
    pub confidence: f64,
    pub description: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowLine {
    pub community_id: String,
    #[serde(serialize_with = "seconds")]
    pub first: Timestamp,
    pub from: String,
    pub to: String,
    pub protocol: String,
    pub state: &'static str,
    pub bytes: u64,
}

/// An address that it had to do with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Neighbor {
    pub ip: IpAddr,
    /// Country and network, as the program's tables have them.
    pub who: String,
    pub flows: u64,
    pub bytes: u64,
    pub names: Vec<String>,
    /// Its worst evidence around that time, where it has a profile of its own.
    pub worst: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Past {
    #[serde(serialize_with = "seconds")]
    pub window_start: Timestamp,
    pub score: Option<f64>,
    pub flagged: bool,
    pub evidence: u64,
    pub alerts: u64,
    pub why: String,
}

/// Flows and neighbors that are shown.
const SHOWN: usize = 10;
/// Earlier windows that are shown.
const HISTORY: usize = 12;

impl Dive {
    /// Dives into a window.
    ///
    /// # Errors
    /// There is no account of the window, or the collector does not answer.
    pub fn new(query: &Query, window: WindowId) -> anyhow::Result<Self> {
        let account = query
            .outlier(window)?
            .with_context(|| format!("no account of {} in that window", window.profile))?;
        let mut evidence = query
            .evidence(&Wanted {
                profile: Some(window.profile),
                window: Some(window.start),
                span: None,
            })?
            .items;
        evidence.sort_by_key(|found| (std::cmp::Reverse(found.threat_level), found.kind.name(), found.id));
        let windows = query.windows_of(window.profile)?;
        let end = windows
            .iter()
            .find(|known| known.start == window.start)
            .map_or_else(
                || window.start.saturating_add(Duration::from_secs(3600)),
                |known| known.end,
            );
        let (flows, names, flows_cut) = query.flows_of(window.profile, window.start, end)?;
        let mut neighbors = neighbors(window.profile, &flows, &names);
        for neighbor in &mut neighbors {
            neighbor.worst = worst(query, neighbor.ip, window.start, end)?;
        }
        let mut history = Vec::new();
        let earlier = windows.iter().rev().filter(|known| known.start < window.start);
        for known in earlier.take(HISTORY) {
            let id = WindowId {
                profile: window.profile,
                start: known.start,
            };
            let past = query.outlier(id)?;
            history.push(Past {
                window_start: known.start,
                score: past.as_ref().map(|past| past.score),
                flagged: past.as_ref().is_some_and(|past| past.flagged),
                evidence: known.evidence,
                alerts: known.alerts,
                why: past.as_ref().map_or_else(String::new, why),
            });
        }
        let nanos = i64::try_from(AROUND.as_nanos()).unwrap_or(i64::MAX);
        let around = (
            Timestamp(window.start.0.saturating_sub(nanos)),
            window.start.saturating_add(AROUND),
        );
        // A capture is not judged, only ranked: its strongest windows are its outliers.
        let top = if account.warming.is_some() { 10 } else { 0 };
        let mut shared = query.patterns(Some(around), top, NEAR)?;
        if shared.cut {
            // The newest ones are not those around it: then those at its time and before.
            let until = Timestamp(window.start.0.saturating_add(1));
            shared = query.patterns(Some((around.0, until)), top, NEAR)?;
        }
        Ok(Self {
            kind: "dive",
            dossier: dossier(&account, &evidence, &names),
            evidence: evidence.iter().map(found).collect(),
            flows: largest(flows),
            flows_cut,
            neighbors,
            history,
            alike: query.alike(window)?,
            patterns: shared
                .patterns
                .into_iter()
                .filter(|pattern| account.has(pattern))
                .collect(),
            outliers: shared.outliers,
            account,
        })
    }
}

fn found(evidence: &Evidence) -> Found {
    Found {
        id: evidence.id.to_string(),
        kind: evidence.kind.name(),
        threat_level: evidence.threat_level.name(),
        confidence: evidence.confidence.value(),
        description: evidence.description.clone(),
    }
}

fn why(account: &Account) -> String {
    account.terms.first().map_or_else(String::new, |term| {
        format!("{} = {}", term.feature, value(&term.feature, term.value))
    })
}

/// What traffic and findings say of the address itself.
fn dossier(
    account: &Account,
    evidence: &[Evidence],
    names: &BTreeMap<IpAddr, Vec<String>>,
) -> Vec<(String, String)> {
    let who = Short::of(account.profile).to_string();
    let mut known = vec![
        ("address".to_owned(), who),
        ("role".to_owned(), account.role.clone()),
    ];
    if let Some(names) = names.get(&account.profile) {
        known.push(("names".to_owned(), names.join(", ")));
    }
    for Attribute { attribute, value } in &account.attributes {
        // Files are read by no sensor.
        let by_none = attribute == "sensor" && *value == SensorId([0; 16]).to_string();
        if !attribute.starts_with("feature ") && !by_none {
            known.push((attribute.clone(), value.clone()));
        }
    }
    let listed = evidence
        .iter()
        .filter(|found| found.kind.name().starts_with("THREAT_INTELLIGENCE"));
    known.extend(listed.map(|found| ("listed".to_owned(), found.description.clone())));
    known
}

fn largest(mut flows: Vec<Flow>) -> Vec<FlowLine> {
    let bytes = |flow: &Flow| flow.out.bytes.saturating_add(flow.back.bytes);
    flows.sort_by_key(|flow| (std::cmp::Reverse(bytes(flow)), flow.first, flow.community_id));
    let end = |end: lynceus_model::flow::Endpoint| match end.ip {
        IpAddr::V4(ip) => format!("{ip}:{}", end.port),
        IpAddr::V6(ip) => format!("[{ip}]:{}", end.port),
    };
    flows
        .iter()
        .take(SHOWN)
        .map(|flow| FlowLine {
            community_id: flow.community_id.to_string(),
            first: flow.first,
            from: end(flow.tuple.originator),
            to: end(flow.tuple.responder),
            protocol: service::protocol(flow.tuple.protocol),
            state: flow.state.name(),
            bytes: bytes(flow),
        })
        .collect()
}

fn neighbors(profile: IpAddr, flows: &[Flow], names: &BTreeMap<IpAddr, Vec<String>>) -> Vec<Neighbor> {
    let mut sums: BTreeMap<IpAddr, (u64, u64)> = BTreeMap::new();
    for flow in flows {
        let (a, b) = (flow.tuple.originator.ip, flow.tuple.responder.ip);
        let other = if a == profile { b } else { a };
        let sum = sums.entry(other).or_default();
        sum.0 += 1;
        sum.1 = sum
            .1
            .saturating_add(flow.out.bytes.saturating_add(flow.back.bytes));
    }
    let mut neighbors: Vec<Neighbor> = sums
        .into_iter()
        .map(|(ip, (flows, bytes))| Neighbor {
            ip,
            who: Short::of(ip).to_string(),
            flows,
            bytes,
            names: names.get(&ip).cloned().unwrap_or_default(),
            worst: None,
        })
        .collect();
    neighbors.sort_by_key(|neighbor| (std::cmp::Reverse(neighbor.bytes), neighbor.ip));
    neighbors.truncate(SHOWN);
    neighbors
}

fn worst(query: &Query, ip: IpAddr, start: Timestamp, end: Timestamp) -> anyhow::Result<Option<String>> {
    let wanted = Wanted {
        profile: Some(ip),
        window: None,
        span: Some((start, end)),
    };
    let found = query.evidence(&wanted)?.items;
    let worst = found
        .iter()
        .max_by_key(|found| (found.threat_level, std::cmp::Reverse(found.id)));
    Ok(worst.map(|found| format!("{} {}", found.threat_level.name(), found.kind.name())))
}
