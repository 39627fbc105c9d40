//! ARP scan: requests for many addresses in a short time; of IPv6, solicitations of neighbour discovery that nobody answers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::profile::{ArpKey, Attempt};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::ports::News;
use crate::report::{With, evidence, feature};
use crate::reported::Reported;
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`ArpScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Different addresses asked for within `within`.
    pub min_targets: u64,
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_targets: 5,
            within: Duration::from_secs(30),
        }
    }
}

/// Looks at the targets of each slot of ten seconds and of the time before it: one evidence a slot, as Slips merges
/// evidence of one scan over ten seconds.
#[derive(Debug)]
pub struct ArpScan {
    config: Config,
    network: Arc<Network>,
    reported: Reported<i64>,
    news: News,
    routers: Routers,
}

/// Addresses that call themselves a router's in neighbour discovery, and since when: a router asks for whatever the Internet
/// sends to its network, so its silent targets are no scan of its own.
#[derive(Debug, Default)]
struct Routers {
    since: BTreeMap<IpAddr, Timestamp>,
    refused: u64,
}

impl Routers {
    /// A link has a few; beyond, they are taken for hosts.
    const MAX: usize = 4_096;

    fn learn(&mut self, update: &ProfileUpdate<'_>) {
        for record in update.apps {
            if let AppEvent::Arp(arp) = &record.event
                && let Some(said) = arp.discovery.filter(|said| said.router)
            {
                let own = IpAddr::V6(said.from);
                if self.since.len() >= Self::MAX && !self.since.contains_key(&own) {
                    self.refused += 1;
                    continue;
                }
                let since = self.since.entry(own).or_insert(record.time);
                *since = (*since).min(record.time);
            }
        }
    }

    /// It was known for one before the first of these requests; what comes later does not change what was found.
    fn is_one(&self, ip: IpAddr, rows: &[(&ArpKey, &Attempt)]) -> bool {
        let first = rows.iter().map(|(_, attempt)| attempt.earliest.first).min();
        let since = self.since.get(&ip);
        first.is_some_and(|first| since.is_some_and(|since| *since <= first))
    }
}

impl ArpScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            reported: Reported::new(),
            news: News::default(),
            routers: Routers::default(),
        }
    }

    /// The moment of the slot at which most targets lie within the time before it: their number and rows.
    fn busiest<'a>(
        &self,
        rows: &[(&'a ArpKey, &'a Attempt)],
        slot: i64,
    ) -> (usize, Vec<(&'a ArpKey, &'a Attempt)>) {
        let ends = rows
            .iter()
            .filter(|(key, _)| key.slot == slot)
            .map(|(_, attempt)| attempt.last);
        ends.map(|end| {
            let begin = Timestamp(end.0.saturating_sub(self.config.within.as_nanos() as i64));
            // A row spans less than `within`, so one that meets the interval has a request at one of its ends in it.
            let inside: Vec<_> = rows
                .iter()
                .filter(|(_, attempt)| attempt.last >= begin && attempt.earliest.first <= end)
                .copied()
                .collect();
            let targets: BTreeSet<IpAddr> = inside.iter().map(|(key, _)| key.target).collect();
            (targets.len(), inside)
        })
        .max_by_key(|(targets, _)| *targets)
        .unwrap_or_default()
    }
}

impl Detector for ArpScan {
    fn name(&self) -> &'static str {
        "arp_scan"
    }

    fn refused(&self) -> u64 {
        self.routers.refused
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        let targets = &update.profile.arp_targets;
        let mut found = Vec::new();
        let own = window.profile;
        self.routers.learn(update);
        let usual = self.network.gateways.contains(&own) || self.network.is_scanner(own);
        if self.news.is_due(update, !update.delta.arp_targets.is_empty())
            && !usual
            && targets.distinct() >= self.config.min_targets as f64
        {
            let mut slots: BTreeMap<i64, Vec<(&ArpKey, &Attempt)>> = BTreeMap::new();
            for (key, attempt) in targets.rows() {
                slots.entry(key.slot).or_default().push((key, attempt));
            }
            let back = self.config.within.as_secs() as i64 / ArpKey::SLOT_SECONDS + 1;
            for slot in slots.keys() {
                let near: Vec<_> = slots
                    .range(slot - back..=*slot)
                    .flat_map(|(_, rows)| rows)
                    .copied()
                    .collect();
                if self.routers.is_one(own, &near) {
                    continue;
                }
                let (count, rows) = self.busiest(&near, *slot);
                let count = (count as f64 * targets.weight_of_row()) as u64;
                if count >= self.config.min_targets && self.reported.first_time(window, *slot) {
                    found.push(self.describe(update, history, *slot, count, &rows));
                }
            }
        }
        if update.stage == Stage::Closed {
            self.reported.forget(window);
        }
        found
    }
}

impl ArpScan {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        history: &History<'_>,
        slot: i64,
        count: u64,
        rows: &[(&ArpKey, &Attempt)],
    ) -> Evidence {
        let first = rows
            .iter()
            .map(|(_, attempt)| attempt.earliest.first)
            .min()
            .unwrap_or_default();
        let last = rows
            .iter()
            .map(|(_, attempt)| attempt.last)
            .max()
            .unwrap_or_default();
        let usual = history.mean(|window| {
            let slots: BTreeSet<i64> = window.arp_targets.rows().map(|(key, _)| key.slot).collect();
            window.arp_targets.distinct() / slots.len().max(1) as f64
        });
        let source = update.profile.window.profile;
        let seconds = self.config.within.as_secs();
        let requests: u64 = rows.iter().map(|(_, attempt)| attempt.packets).sum();
        let (description, text) = if source.is_ipv6() {
            (
                format!(
                    "Neighbour discovery scan: {source} asked for at least {count} addresses within {seconds} seconds \
                     that nobody has."
                ),
                format!(
                    "At least {count} different addresses were asked for by neighbour discovery within {seconds} seconds, and no \
                     answer was seen. What a router asks for is left out, where it says that it is one."
                ),
            )
        } else {
            (
                format!("ARP scan: {source} asked for at least {count} addresses within {seconds} seconds."),
                format!(
                    "At least {count} different addresses were asked for by ARP within {seconds} seconds. \
                     ARP is no flow, so there are no flow ids."
                ),
            )
        };
        Evidence {
            threat_level: ThreatLevel::Low,
            confidence: Confidence::new(0.8),
            description,
            explanation: Explanation {
                features: vec![
                    feature("addresses asked for", count as f64, "addresses")
                        .baseline(usual)
                        .threshold(self.config.min_targets as f64),
                    feature("requests", requests as f64, "packets"),
                    feature("time", last.since(first).as_secs_f64(), "seconds").threshold(seconds as f64),
                ],
                text,
            },
            first,
            last,
            ..evidence(update, EvidenceType::ArpScan, &slot.to_string())
        }
    }
}
