//! ICMP sweeps: echo, timestamp or address mask requests to many hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::profile::{Attempt, IcmpKey, ProfileDelta, TupleKey};
use lynceus_model::window::Stage;
use lynceus_model::words::count;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::ports::News;
use crate::report::{With, evidence, feature, samples, span};
use crate::reported::Reported;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`IcmpScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Evidence comes each time so many more hosts were asked.
    pub step: u64,
    /// Hosts at which it is sure. In Slips the set of hosts begins anew here; ours goes on, with evidence at each
    /// multiple of this number.
    pub full: u64,
    /// Echo requests are a sweep only if at least this share of the hosts asked, and `step` of them, did not answer. Not in
    /// Slips: there, who watches five servers of its own sweeps.
    pub min_silent_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            step: 5,
            full: 255,
            min_silent_share: 1.0 / 3.0,
        }
    }
}

/// Counts hosts by kind of request. Answers do not count: they are what the scanned hosts send.
#[derive(Debug)]
pub struct IcmpScan {
    config: Config,
    network: Arc<Network>,
    reported: Reported<(EvidenceType, u64)>,
    news: News,
}

impl IcmpScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            reported: Reported::new(),
            news: News::default(),
        }
    }

    /// Numbers of hosts up to `hosts` at which there is evidence.
    fn sizes(&self, hosts: f64) -> impl Iterator<Item = u64> + use<> {
        let (step, full) = (self.config.step.max(1), self.config.full.max(1));
        let small = (1..).map(move |n| n * step).take_while(move |size| *size < full);
        let large = (1..).map(move |n| n * full);
        small.chain(large).take_while(move |size| *size as f64 <= hosts)
    }
}

impl IcmpScan {
    /// Of the first `size` hosts enough did not answer. Other kinds of requests are no way to watch servers.
    fn is_sweep(
        &self,
        profile: &ProfileDelta,
        kind: EvidenceType,
        rows: &[(&IcmpKey, &Attempt)],
        size: u64,
    ) -> bool {
        if kind != EvidenceType::IcmpAddressScan {
            return true;
        }
        let first = &rows[..rows.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        let answered = first.iter().filter(|(key, _)| {
            let tuple = TupleKey {
                established: true,
                protocol: key.protocol,
                port: u16::from(key.kind),
                ip: key.ip,
            };
            profile.out_tuples.get(&tuple).is_some()
        });
        let silent = first.len() - answered.count();
        silent as u64 >= self.config.step
            && silent as f64 >= self.config.min_silent_share * first.len() as f64
    }
}

impl Detector for IcmpScan {
    fn name(&self) -> &'static str {
        "icmp_scan"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let targets = &update.profile.icmp_targets;
        let mut found = Vec::new();
        if self.news.is_due(update, !update.delta.icmp_targets.is_empty())
            && targets.distinct() >= self.config.step as f64
            && !self.network.is_scanner(update.profile.window.profile)
        {
            let mut kinds: BTreeMap<EvidenceType, Vec<(&IcmpKey, &Attempt)>> = BTreeMap::new();
            for (key, attempt) in targets.rows() {
                kinds.entry(kind_of(key.kind)).or_default().push((key, attempt));
            }
            for (kind, mut rows) in kinds {
                rows.sort_unstable_by_key(|(key, attempt)| (attempt.earliest, **key));
                for size in self.sizes(rows.len() as f64 * targets.weight_of_row()) {
                    if self.is_sweep(update.profile, kind, &rows, size)
                        && self.reported.first_time(update.profile.window, (kind, size))
                    {
                        found.push(self.describe(update, history, kind, &rows, size));
                    }
                }
            }
        }
        if update.stage == Stage::Closed {
            self.reported.forget(update.profile.window);
        }
        found
    }
}

impl IcmpScan {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        history: &History<'_>,
        kind: EvidenceType,
        rows: &[(&IcmpKey, &Attempt)],
        size: u64,
    ) -> Evidence {
        let rows = &rows[..rows.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        let packets: u64 = rows.iter().map(|(_, attempt)| attempt.earliest.packets).sum();
        let (first, last) = span(update, rows.iter().map(|(_, attempt)| attempt.earliest.first));
        let usual = history.mean(|window| {
            let rows = window
                .icmp_targets
                .rows()
                .filter(|(key, _)| kind_of(key.kind) == kind)
                .count();
            rows as f64 * window.icmp_targets.weight_of_row()
        });
        let source = update.profile.window.profile;
        let (what, request) = match kind {
            EvidenceType::IcmpTimestampScan => ("timestamp", "timestamp request"),
            EvidenceType::IcmpAddressMaskScan => ("address mask", "address mask request"),
            _ => ("address", "echo request"),
        };
        let sure = self.config.full.saturating_sub(self.config.step).max(1) as f64;
        Evidence {
            protocol: rows.first().map(|(key, _)| key.protocol),
            threat_level: ThreatLevel::Medium,
            confidence: Confidence::new(size.saturating_sub(self.config.step) as f64 / sure),
            description: format!(
                "ICMP {what} scan: {source} sent an {request} to at least {} hosts.",
                count(size)
            )
            .replace("an timestamp", "a timestamp"),
            explanation: Explanation {
                features: vec![
                    feature("hosts asked", size as f64, "hosts")
                        .baseline(usual)
                        .threshold(self.config.step as f64),
                    feature("packets sent", packets as f64, "packets"),
                ],
                text: format!(
                    "At least {} different hosts got an ICMP {request} in this window; sure at {} hosts.",
                    count(size),
                    count(self.config.full)
                ),
            },
            flows: samples(rows.iter().map(|(_, attempt)| attempt.earliest.community_id)),
            first,
            last,
            ..evidence(update, kind, &size.to_string())
        }
    }
}

/// Only requests are in the table: 8 and 128 (IPv6) echo, 13 timestamp, 17 address mask.
const fn kind_of(icmp_type: u8) -> EvidenceType {
    match icmp_type {
        13 => EvidenceType::IcmpTimestampScan,
        17 => EvidenceType::IcmpAddressMaskScan,
        _ => EvidenceType::IcmpAddressScan,
    }
}
