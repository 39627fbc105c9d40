//! Vertical port scan: many ports of one host.

use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::evidence::{Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::profile::{Attempt, TupleKey};
use lynceus_model::window::Stage;
use lynceus_model::words::{count, plural};
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::ports::{Group, News, answered, estimate, group_by, silent_share};
use crate::report::{With, evidence, feature, protocol_name};
use crate::reported::Reported;
use crate::services::{TRACEROUTE, UDP};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`VerticalScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Ports of one host without an answer; evidence comes here and at each ten times as many. In Slips in effect 10.
    pub min_ports: u64,
    /// A host is scanned only if at least this share of the ports tried on it did not answer. Not in Slips.
    pub min_silent_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_ports: 10,
            min_silent_share: 1.0 / 3.0,
        }
    }
}

/// Groups targets that did not answer by protocol and host.
#[derive(Debug)]
pub struct VerticalScan {
    config: Config,
    network: Arc<Network>,
    reported: Reported<(u8, IpAddr, u64)>,
    news: News,
}

impl VerticalScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            reported: Reported::new(),
            news: News::default(),
        }
    }
}

impl Detector for VerticalScan {
    fn name(&self) -> &'static str {
        "vertical_scan"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let profile = update.profile;
        let mut found = Vec::new();
        if self.news.is_due(update, !update.delta.attempts.is_empty())
            && profile.attempts.distinct() >= self.config.min_ports as f64
            && !self.network.is_scanner(profile.window.profile)
        {
            for ((protocol, ip), mut group) in
                group_by(&profile.attempts, is_probe, |key| (key.protocol, key.ip))
            {
                if group.targets < self.config.min_ports as f64 {
                    continue;
                }
                let answers = answered(profile, |key| (key.protocol, key.ip) == (protocol, ip));
                if silent_share(group.targets, answers) < self.config.min_silent_share {
                    continue;
                }
                for size in group.sizes(self.config.min_ports) {
                    if self.reported.first_time(profile.window, (protocol, ip, size)) {
                        found.push(self.describe(update, history, (protocol, ip), &mut group, size, answers));
                    }
                }
            }
        }
        if update.stage == Stage::Closed {
            self.reported.forget(profile.window);
        }
        found
    }
}

/// Traceroute goes up the ports, one with each probe; it asks for the way and not for the ports.
fn is_probe(key: &TupleKey, _: &Attempt) -> bool {
    key.protocol != UDP || !TRACEROUTE.contains(&key.port)
}

impl VerticalScan {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        history: &History<'_>,
        (protocol, victim): (u8, IpAddr),
        group: &mut Group<'_>,
        size: u64,
        answers: f64,
    ) -> Evidence {
        let key = format!("{protocol}/{victim}/{size}");
        let share = silent_share(group.targets, answers);
        let reached = group.at(size);
        let usual = history.mean(|window| {
            let rows = window.attempts.rows();
            let rows = rows
                .filter(|(key, _)| (key.protocol, key.ip) == (protocol, victim))
                .count();
            rows as f64 * window.attempts.weight_of_row()
        });
        let profile = update.profile;
        let (name, source) = (protocol_name(protocol), profile.window.profile);
        let (ports, packets) = (reached.targets, reached.packets);
        Evidence {
            victim: Some(victim),
            protocol: Some(protocol),
            threat_level: ThreatLevel::High,
            confidence: reached.confidence(),
            description: format!(
                "Vertical port scan of {victim}: {source} tried at least {} {name} ports that did not \
                 answer, with at least {} packets.",
                count(ports),
                count(packets)
            ),
            explanation: Explanation {
                features: vec![
                    feature("ports without answer", ports as f64, "ports")
                        .baseline(usual)
                        .threshold(self.config.min_ports as f64),
                    feature("packets sent", packets as f64, "packets").threshold(10.0),
                    feature(
                        "ports of the host with answer, over the window",
                        answers.round(),
                        "ports",
                    ),
                    feature("share without answer", share, "ratio").threshold(self.config.min_silent_share),
                ],
                text: format!(
                    "At least {} different {name} ports of {victim} were tried without a connection coming about; \
                     {} {} of that host answered in the whole window.",
                    count(ports),
                    estimate(profile),
                    plural(answers.round() as u64, "port", "ports")
                ),
            },
            flows: reached.flows,
            first: reached.first,
            last: reached.last,
            ..evidence(update, EvidenceType::VerticalPortScan, &key)
        }
    }
}
