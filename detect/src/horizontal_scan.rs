//! Horizontal port scan: one port on many hosts.

use std::sync::Arc;

use lynceus_model::evidence::{Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::window::Stage;
use lynceus_model::words::{count, plural};
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::ports::{Group, Named, News, PeerToPeer, answered, estimate, group_by, is_quic, silent_share};
use crate::report::{With, evidence, feature, protocol_name};
use crate::reported::Reported;
use crate::services::{UDP, is_of_peers};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`HorizontalScan`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Hosts on one port without an answer; evidence comes here and at each ten times as many. In Slips in effect 10.
    pub min_hosts: u64,
    /// A port is scanned only if at least this share of the hosts tried on it did not answer. Not in Slips: there, ten
    /// unreachable web servers among hundreds are a scan.
    pub min_silent_share: f64,
    /// Hosts on a port from 1024 on that a host with peer-to-peer traffic must try by TCP; its UDP is not looked at
    /// there. The same number for ports that belong to peer-to-peer programs. Not in Slips.
    pub min_hosts_peer_to_peer: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_hosts: 10,
            min_silent_share: 1.0 / 3.0,
            min_hosts_peer_to_peer: 100,
        }
    }
}

/// Groups targets that did not answer by protocol and port.
#[derive(Debug)]
pub struct HorizontalScan {
    config: Config,
    network: Arc<Network>,
    reported: Reported<(u8, u16, u64)>,
    news: News,
    named: Named,
}

impl HorizontalScan {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            reported: Reported::new(),
            news: News::default(),
            named: Named::new(),
        }
    }

    /// Hosts from which on a port counts as scanned; `None` if it never does.
    fn least(&self, protocol: u8, port: u16, peers: PeerToPeer) -> Option<u64> {
        match (peers.covers(protocol, port), protocol) {
            (false, _) if !is_of_peers(port) => Some(self.config.min_hosts),
            (true, UDP) => None,
            _ => Some(self.config.min_hosts_peer_to_peer),
        }
    }
}

impl Detector for HorizontalScan {
    fn name(&self) -> &'static str {
        "horizontal_scan"
    }

    fn refused(&self) -> u64 {
        self.named.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        let profile = update.profile;
        let mut found = Vec::new();
        self.named.note(update);
        if self.news.is_due(update, !update.delta.attempts.is_empty())
            && profile.attempts.distinct() >= self.config.min_hosts as f64
            && !self.network.is_scanner(profile.window.profile)
        {
            let peers = PeerToPeer::of(profile);
            let blind = |key: &_, attempt: &_| self.named.is_blind(profile, key, attempt);
            for ((protocol, port), mut group) in
                group_by(&profile.attempts, blind, |key| (key.protocol, key.port))
            {
                if is_quic(protocol, port) && update.stage != Stage::Closed {
                    continue;
                }
                let Some(least) = self.least(protocol, port, peers) else {
                    continue;
                };
                if group.targets < least as f64 {
                    continue;
                }
                let answers = answered(profile, |key| (key.protocol, key.port) == (protocol, port));
                if silent_share(group.targets, answers) < self.config.min_silent_share {
                    continue;
                }
                for size in group.sizes(least) {
                    if self.reported.first_time(profile.window, (protocol, port, size)) {
                        found.push(self.describe(
                            update,
                            history,
                            (protocol, port),
                            &mut group,
                            size,
                            answers,
                        ));
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

impl HorizontalScan {
    fn describe(
        &self,
        update: &ProfileUpdate<'_>,
        history: &History<'_>,
        (protocol, port): (u8, u16),
        group: &mut Group<'_>,
        size: u64,
        answers: f64,
    ) -> Evidence {
        let key = format!("{protocol}/{port}/{size}");
        let share = silent_share(group.targets, answers);
        let reached = group.at(size);
        let usual = history.mean(|window| {
            let rows = window.attempts.rows();
            let rows = rows
                .filter(|(key, _)| (key.protocol, key.port) == (protocol, port))
                .count();
            rows as f64 * window.attempts.weight_of_row()
        });
        let profile = update.profile;
        let (name, source) = (protocol_name(protocol), profile.window.profile);
        let (hosts, packets) = (reached.targets, reached.packets);
        Evidence {
            dst_port: Some(port),
            protocol: Some(protocol),
            threat_level: ThreatLevel::High,
            confidence: reached.confidence(),
            description: format!(
                "Horizontal port scan of port {port}/{name}: {source} tried at least {} hosts that did not answer, \
                 with at least {} packets.",
                count(hosts),
                count(packets)
            ),
            explanation: Explanation {
                features: vec![
                    feature("hosts without answer", hosts as f64, "hosts")
                        .baseline(usual)
                        .threshold(self.config.min_hosts as f64),
                    feature("packets sent", packets as f64, "packets").threshold(10.0),
                    feature(
                        "hosts with answer on the port, over the window",
                        answers.round(),
                        "hosts",
                    ),
                    feature("share without answer", share, "ratio").threshold(self.config.min_silent_share),
                ],
                text: format!(
                    "At least {} different hosts were tried on {port}/{name} without a connection coming about; \
                     {} {} answered on that port in the whole window.",
                    count(hosts),
                    estimate(profile),
                    plural(answers.round() as u64, "host", "hosts")
                ),
            },
            flows: reached.flows,
            first: reached.first,
            last: reached.last,
            ..evidence(update, EvidenceType::HorizontalPortScan, &key)
        }
    }
}
