//! Connection to a public address that no name led to.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::address::is_public;
use lynceus_model::app::{AppEvent, Dns, DnsData};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{Flow, Service};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::{Knowledge, Network};
use crate::neighbours::Neighbours;
use crate::report::{With, feature, grown, protocol_name};
use crate::services::{TCP, UDP, service};
use crate::sides::opened;
use crate::sightings::{Answer, Sightings, before};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`ConnectionWithoutDns`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// How long ago a name may have led to the address.
    #[serde(with = "humantime_serde")]
    pub look_back: Duration,
    /// An answer that is seen so much later still counts.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// So long after the first event, names may have been looked up before anybody watched: the confidence is small.
    #[serde(with = "humantime_serde")]
    pub unsure: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            look_back: Duration::from_secs(24 * 3_600),
            wait: Duration::from_secs(15),
            unsure: Duration::from_secs(5 * 3_600),
        }
    }
}

/// Judges when the window closes, by event times. Only hosts whose DNS is seen are judged.
#[derive(Debug)]
pub struct ConnectionWithoutDns {
    config: Config,
    network: Arc<Network>,
    knowledge: Arc<dyn Knowledge>,
    neighbours: Neighbours,
    /// Addresses that names led a host to.
    answers: Sightings<(IpAddr, IpAddr)>,
    /// Hosts that got answers.
    asked: Sightings<IpAddr>,
    begin: Option<Timestamp>,
    windows: PerWindow<BTreeMap<IpAddr, Peer>>,
}

/// A public address that was connected to, with the first flow.
#[derive(Debug, Default)]
struct Peer {
    tally: Tally,
    port: u16,
    protocol: u8,
}

/// Addresses of a window that are judged.
const MAX_PEERS: usize = 256;
/// Answers of a generation: some 25 MB, a day of thousands of hosts.
const MAX_ANSWERS: usize = 262_144;
const MAX_HOSTS: usize = 65_536;

/// Whose services are reached by built-in addresses, too: Google, Microsoft, Apple, Facebook, Twitter. Numbers of their
/// autonomous systems as the regional registries publish them.
const WELL_KNOWN: [u32; 11] = [
    15_169, 396_982, 36_040, 8_075, 8_068, 714, 6_185, 32_934, 63_293, 13_414, 54_888,
];

impl ConnectionWithoutDns {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            knowledge: Arc::clone(&context.knowledge),
            neighbours: Neighbours::default(),
            answers: Sightings::new(MAX_ANSWERS),
            asked: Sightings::new(MAX_HOSTS),
            begin: None,
            windows: PerWindow::new(),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow) {
        let Some((client, server)) = opened(flow) else {
            return;
        };
        let protocol = flow.tuple.protocol;
        let names = matches!(flow.service, Service::Dns | Service::Mdns | Service::Dhcp)
            || matches!(server.port, 53 | 853 | 67 | 68);
        let network = &self.network;
        let own = network.clients.iter().any(|clients| clients.contains(server.ip))
            || network.local.iter().any(|local| local.contains(server.ip))
            || network.gateways.contains(&server.ip)
            || network.dns_servers.contains(&server.ip)
            || network.dhcp_servers.contains(&server.ip);
        // Peers are found by other means than names.
        let peer = protocol == UDP && service(server.port, UDP).is_none();
        let judged = [TCP, UDP].contains(&protocol) && is_public(server.ip) && !names && !own && !peer;
        if !judged || client.ip != update.profile.window.profile {
            return;
        }
        let peers = self.windows.of(update.profile.window);
        if peers.len() >= MAX_PEERS && !peers.contains_key(&server.ip) {
            self.windows.refuse();
            return;
        }
        let peer = peers.entry(server.ip).or_default();
        if peer.tally.count == 0 || flow.first < peer.tally.first {
            (peer.port, peer.protocol) = (server.port, protocol);
        }
        peer.tally.add_flow(flow);
    }

    fn judge(&self, update: &ProfileUpdate<'_>, ip: IpAddr, peer: &Peer) -> Option<Evidence> {
        let host = update.profile.window.profile;
        let mut names = self.neighbours.twins(host);
        names.push(host);
        let first = peer.tally.first;
        let (from, to) = (
            before(first, self.config.look_back),
            first.saturating_add(self.config.wait),
        );
        let watched = names
            .iter()
            .any(|host| self.asked.seen(host, from, to) == Answer::Yes);
        let unresolved = names
            .iter()
            .all(|host| self.answers.seen(&(*host, ip), from, to) == Answer::No);
        if !watched || !unresolved {
            return None;
        }
        let system = self.knowledge.autonomous_system(ip);
        if system.is_some_and(|system| WELL_KNOWN.contains(&system.number)) {
            return None;
        }
        let watched_for = first.since(self.begin?);
        let confidence = if watched_for < self.config.unsure {
            0.1
        } else {
            0.8
        };
        let (port, name) = (peer.port, protocol_name(peer.protocol));
        Some(Evidence {
            victim: Some(ip),
            dst_port: Some(port),
            protocol: Some(peer.protocol),
            threat_level: ThreatLevel::Info,
            confidence: Confidence::new(confidence),
            description: format!(
                "Connection without DNS: {host} connected to {ip} port {port}/{name}, and no name led there."
            ),
            explanation: Explanation {
                features: vec![
                    feature("flows", peer.tally.count as f64, "flows").threshold(1.0),
                    feature("time watched before", watched_for.as_secs_f64(), "seconds")
                        .threshold(self.config.unsure.as_secs_f64()),
                ],
                text: format!(
                    "No DNS answer to {host}, or to its address of the other IP version, had {ip} in the {} hours before. \
                     Programs with a built-in address do this; so do peers, and answers that nobody saw.",
                    self.config.look_back.as_secs() / 3_600
                ),
            },
            ..grown(
                update,
                EvidenceType::ConnectionWithoutDns,
                &ip.to_string(),
                &peer.tally,
            )
        })
    }
}

/// Addresses in an answer to a question of this host.
pub(crate) fn addresses(dns: &Dns) -> impl Iterator<Item = IpAddr> {
    let kept = dns.response && !dns.multicast;
    let answers = dns.answers.iter().filter(move |_| kept);
    answers.filter_map(|answer| match answer.data {
        DnsData::Address(ip) => Some(ip),
        _ => None,
    })
}

impl Detector for ConnectionWithoutDns {
    fn name(&self) -> &'static str {
        "connection_without_dns"
    }

    fn refused(&self) -> u64 {
        self.answers.refused() + self.asked.refused() + self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let window = update.profile.window;
        self.neighbours.learn(update);
        if let Some((first, _)) = update.profile.span {
            self.begin = Some(self.begin.map_or(first, |begin| begin.min(first)));
        }
        for record in update.apps {
            if let AppEvent::Dns(dns) = &record.event {
                for ip in addresses(dns) {
                    self.asked.note(window.profile, record.time, record.time);
                    self.answers.note((window.profile, ip), record.time, record.time);
                }
            }
        }
        for report in update.flows.iter().filter(|report| report.part == 0) {
            self.note(update, &report.flow);
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        // Answers that did not travel may be those that are missing.
        let peers = self.windows.take(window).unwrap_or_default();
        if update.profile.not_carried.apps > 0 {
            return Vec::new();
        }
        peers
            .iter()
            .filter_map(|(ip, peer)| self.judge(update, *ip, peer))
            .collect()
    }
}
