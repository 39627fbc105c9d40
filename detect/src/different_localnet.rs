//! Private addresses outside the local network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::address::{Network as Prefix, is_private, private_range};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{Endpoint, Flow, Service};
use lynceus_model::time::Timestamp;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::own_ports::{OwnPorts, is_stun};
use crate::report::{With, feature, grown, protocol_name};
use crate::services::{TCP, UDP, service};
use crate::sides::opened;
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`DifferentLocalnet`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// A name server outside the local network is accepted when it answered so many flows in the window.
    pub dns_answers: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            dns_answers: 1,
        }
    }
}

/// Judges when the window closes: where no network is configured, the local one is the range of the private source that was
/// seen first of all, which is known then. One finding for each address outside.
#[derive(Debug)]
pub struct DifferentLocalnet {
    config: Config,
    network: Arc<Network>,
    /// The private source seen first, IPv4 and IPv6.
    first_source: [Option<(Timestamp, IpAddr)>; 2],
    windows: PerWindow<Window>,
}

#[derive(Debug, Default)]
struct Window {
    peers: BTreeMap<IpAddr, Peer>,
    own: OwnPorts,
}

/// A private address that the profile connected to; of public profiles too.
#[derive(Debug, Default)]
struct Peer {
    tally: Tally,
    port: u16,
    protocol: u8,
    dns: u64,
    dns_answered: u64,
    /// Flows to services that are known, which answered.
    served: u64,
    /// Own UDP ports from which it was called; `None` once it was called in another way.
    from: Option<BTreeSet<u16>>,
}

/// Addresses of a window that are remembered.
const MAX_PEERS: usize = 256;
/// Hosts that one own UDP port calls from which on it is one of peer-to-peer, as for unknown ports.
const SHARED: usize = 5;

impl DifferentLocalnet {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            first_source: [None; 2],
            windows: PerWindow::new(),
        }
    }

    /// The local networks of an IP version; empty if nothing is known.
    fn local(&self, ip: IpAddr) -> Vec<Prefix> {
        let configured = self.configured(ip);
        if !configured.is_empty() {
            return configured;
        }
        let first = self.first_source[usize::from(ip.is_ipv6())];
        first.and_then(|(_, ip)| private_range(ip)).into_iter().collect()
    }

    /// As the administrator says: the local networks of an IP version, else the first private range of own hosts.
    fn configured(&self, ip: IpAddr) -> Vec<Prefix> {
        let same = |prefix: &&Prefix| prefix.is_ipv4() == ip.is_ipv4();
        let local: Vec<Prefix> = self.network.local.iter().filter(same).copied().collect();
        if !local.is_empty() {
            return local;
        }
        let mut clients = self.network.clients.iter().filter(same);
        let range = clients.find(|clients| is_private(clients.address()));
        range.copied().into_iter().collect()
    }

    fn is_outside(&self, ip: IpAddr) -> bool {
        let local = self.local(ip);
        is_private(ip) && !local.is_empty() && !local.iter().any(|local| local.contains(ip))
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow) {
        let window = update.profile.window;
        let Some((client, server)) = opened(flow) else {
            return;
        };
        if is_private(client.ip) {
            let seen = (flow.first, client.ip);
            let first = &mut self.first_source[usize::from(client.ip.is_ipv6())];
            *first = Some(first.map_or(seen, |first| first.min(seen)));
        }
        if client.ip != window.profile {
            return;
        }
        let known = service(server.port, flow.tuple.protocol).is_some();
        if flow.tuple.protocol == UDP {
            if is_stun(flow) {
                self.windows.of(window).own.asked_stun(flow);
            } else if !known {
                self.windows.of(window).own.called(flow, SHARED);
            }
        }
        if !is_private(server.ip) || self.is_usual(flow, server) {
            return;
        }
        // Neighbours in a range of their own, which is also watched.
        if self.configured(server.ip).is_empty() && private_range(client.ip) == private_range(server.ip) {
            return;
        }
        let peers = &mut self.windows.of(window).peers;
        if peers.len() >= MAX_PEERS && !peers.contains_key(&server.ip) {
            self.windows.refuse();
            return;
        }
        let new = || Peer {
            from: Some(BTreeSet::new()),
            ..Peer::default()
        };
        let peer = peers.entry(server.ip).or_insert_with(new);
        match &mut peer.from {
            Some(ports) if flow.tuple.protocol == UDP && !known && ports.len() < SHARED => {
                ports.insert(client.port);
            }
            from => *from = None,
        }
        peer.served += u64::from(known && flow.established());
        if peer.tally.count == 0 || flow.first < peer.tally.first {
            (peer.port, peer.protocol) = (server.port, flow.tuple.protocol);
        }
        peer.tally.add_flow(flow);
        if matches!((flow.tuple.protocol, server.port), (UDP | TCP, 53)) {
            peer.dns += 1;
            peer.dns_answered += u64::from(flow.established());
        }
    }

    /// What the administrator named; asking for an address, which knows no network yet; answers of routers and hosts on
    /// the way (ICMP errors); calls and peers, which try the private addresses of the other side (RFC 8445).
    fn is_usual(&self, flow: &Flow, server: Endpoint) -> bool {
        const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
        const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];
        let network = &self.network;
        let error = match (flow.tuple.protocol, flow.icmp) {
            (1, Some((kind, _))) => ERRORS.contains(&kind),
            (58, Some((kind, _))) => ERRORS_V6.contains(&kind),
            _ => false,
        };
        let peers = matches!(flow.service, Service::Stun | Service::Rtp | Service::BitTorrent);
        error
            || peers
            || matches!((flow.tuple.protocol, server.port), (UDP, 67 | 68 | 546 | 547))
            || network.gateways.contains(&server.ip)
            || network.dhcp_servers.contains(&server.ip)
            || (server.port == 53 && network.dns_servers.contains(&server.ip))
    }

    fn judge(&self, update: &ProfileUpdate<'_>, window: &Window) -> Vec<Evidence> {
        let source = update.profile.window.profile;
        let mut found = Vec::new();
        let mut from_outside = Tally::default();
        for (ip, peer) in &window.peers {
            let name_server = peer.dns == peer.tally.count && peer.dns_answered >= self.config.dns_answers;
            let shared = |ports: &BTreeSet<u16>| ports.iter().all(|own| window.own.is_shared(*own, SHARED));
            if name_server || peer.from.as_ref().is_some_and(shared) {
                continue;
            }
            if self.is_outside(*ip) {
                found.push(self.of_destination(update, *ip, peer));
            }
            if is_private(source) && self.is_outside(source) {
                let flow = peer.tally.flows.first().copied();
                from_outside.add(peer.tally.first, peer.tally.last, flow);
            }
        }
        if from_outside.count > 0 {
            found.push(self.of_source(update, &from_outside));
        }
        found
    }

    fn of_destination(&self, update: &ProfileUpdate<'_>, ip: IpAddr, peer: &Peer) -> Evidence {
        let source = update.profile.window.profile;
        let local = self.text(ip);
        let port = [TCP, UDP].contains(&peer.protocol).then_some(peer.port);
        let on = match (port, protocol_name(peer.protocol)) {
            (Some(port), name) => format!("port {port}/{name}"),
            (None, name) => format!("by {name}"),
        };
        // Which network is the local one was guessed: services that answer there belong to the site, too.
        let routed = self.configured(ip).is_empty() && peer.served * 2 >= peer.tally.count;
        let (level, reason) = if routed {
            (
                ThreatLevel::Low,
                "Known services answered there, so it seems to be another part of the site; `network.local` can say so.",
            )
        } else {
            (
                ThreatLevel::High,
                "Somebody looks for other networks, or the network has a part that the settings do not name.",
            )
        };
        Evidence {
            victim: Some(ip),
            dst_port: port,
            protocol: Some(peer.protocol),
            threat_level: level,
            confidence: Confidence::new(1.0),
            description: format!(
                "Private address outside the local network {local}: {source} connected to {ip} {on}."
            ),
            explanation: Explanation {
                features: vec![feature("flows", peer.tally.count as f64, "flows").threshold(1.0)],
                text: format!("{ip} is a private address, and the local network is {local}. {reason}"),
            },
            ..grown(
                update,
                EvidenceType::DifferentLocalnet,
                &format!("to/{ip}"),
                &peer.tally,
            )
        }
    }

    fn of_source(&self, update: &ProfileUpdate<'_>, tally: &Tally) -> Evidence {
        let source = update.profile.window.profile;
        let local = self.text(source);
        let hosts = tally.count;
        Evidence {
            threat_level: ThreatLevel::Low,
            confidence: Confidence::new(1.0),
            description: format!(
                "Private address outside the local network {local}: {source} connected to {hosts} private addresses."
            ),
            explanation: Explanation {
                features: vec![
                    feature("private addresses connected to", hosts as f64, "hosts").threshold(1.0),
                ],
                text: format!(
                    "{source} is a private address that does not belong to the local network {local}."
                ),
            },
            ..grown(update, EvidenceType::DifferentLocalnet, "from", tally)
        }
    }

    fn text(&self, ip: IpAddr) -> String {
        let local: Vec<String> = self.local(ip).iter().map(ToString::to_string).collect();
        local.join(", ")
    }
}

impl Detector for DifferentLocalnet {
    fn name(&self) -> &'static str {
        "different_localnet"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        for report in update.flows.iter().filter(|report| report.part == 0) {
            self.note(update, &report.flow);
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let Some(own) = self.windows.take(update.profile.window) else {
            return Vec::new();
        };
        self.judge(update, &own)
    }
}
