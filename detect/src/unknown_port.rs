//! Connection to a port on which no service is known.

mod say;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lynceus_model::address::{is_host, is_private, is_public, is_target};
use lynceus_model::app::AppEvent;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::{Flow, Service};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::own_ports::{self, OwnPorts};
use crate::ports::{PeerToPeer, group_by};
use crate::services::{TCP, UDP, service};
use crate::sides::opened;
use crate::sightings::{Answer, Sightings, before};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`UnknownPort`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Hosts to which one UDP port of our own talks on unknown ports, from which on it is peer-to-peer.
    pub peers: usize,
    /// A host that scanned so many targets in the window is said to scan, and its ports are not looked at.
    pub scanned: u64,
    /// Ports of your own services: not unknown.
    pub known: Vec<u16>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            peers: 5,
            scanned: 10,
            known: Vec::new(),
        }
    }
}

/// Judges when the window closes: whether a host scans or runs peer-to-peer shows only in all it did. One finding for
/// each host and port; of what strangers on the Internet try in vain, one for each host.
#[derive(Debug)]
pub struct UnknownPort {
    config: Config,
    network: Arc<Network>,
    windows: PerWindow<Window>,
    /// Where FTP said that a data connection would go.
    data_ports: Sightings<(IpAddr, u16)>,
    /// Ports from which somebody sent by UDP: what comes to them is an answer, as to a question to a group (SSDP), or a
    /// peer of a call.
    udp_clients: Sightings<(IpAddr, u16)>,
    /// Hosts that agree with each other on further ports.
    arranged: Sightings<(IpAddr, IpAddr, Arranged)>,
    /// Hosts that describe themselves to their network (mDNS, SSDP, WS-Discovery): their ports are what they say.
    announced: Sightings<IpAddr>,
    /// Hosts of the own network that sent datagrams to a port of somebody, as answers to a question to a group.
    spoke_to: Sightings<(IpAddr, IpAddr, u16)>,
}

/// What two hosts agree on further ports by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Arranged {
    /// The endpoint mapper (135) and the port mapper (111): any port from 1024 on.
    Calls,
    /// SIP, H.323 and RTSP: media by UDP.
    Media,
}

impl Arranged {
    const fn by(port: u16) -> Option<Self> {
        match port {
            111 | 135 => Some(Self::Calls),
            554 | 1720 | 5060 | 5061 | 8554 => Some(Self::Media),
            _ => None,
        }
    }

    const fn covers(self, protocol: u8, port: u16) -> bool {
        match self {
            Self::Calls => port >= 1024,
            Self::Media => protocol == UDP && port >= 1024,
        }
    }
}

#[derive(Debug, Default)]
struct Window {
    targets: BTreeMap<(IpAddr, u16, u8), Target>,
    own: OwnPorts,
    /// Own UDP ports that asked a group.
    asked_all: BTreeSet<u16>,
    /// It asked a name server, which answered.
    asks_names: bool,
    /// What decoders recognized on unknown ports.
    contents: BTreeMap<(IpAddr, u16, u8), Content>,
}

#[derive(Debug, Default)]
struct Target {
    tally: Tally,
    established: bool,
    source_ports: BTreeSet<u16>,
    /// Known by content as peer-to-peer, call or file transfer.
    harmless: bool,
    /// Known by content as something else.
    content: Option<Content>,
    /// Many datagrams both ways without a pause, as of games, calls and private networks.
    stream: bool,
}

/// What a stranger tried on one host.
#[derive(Debug, Default)]
struct Tried {
    tally: Tally,
    ports: BTreeSet<(u8, u16)>,
}

/// What a decoder or another analyzer read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    service: Service,
    /// The client called the server by a name.
    named: bool,
}

/// Targets of a window; as many as a profile keeps attempts.
const MAX_TARGETS: usize = 1_024;
/// Own ports of a window that asked a group.
const MAX_ASKED: usize = 64;
/// Announcements of a generation.
const MAX_ANNOUNCED: usize = 65_536;
/// Between an announcement or a question and the flow that follows from it.
const FOLLOWS: Duration = Duration::from_secs(600);
/// Since when what a host announced still holds.
const DAY: Duration = Duration::from_secs(86_400);

impl UnknownPort {
    #[must_use]
    pub fn new(config: Config, context: &Context) -> Self {
        Self {
            config,
            network: Arc::clone(&context.network),
            announced: Sightings::new(MAX_ANNOUNCED),
            spoke_to: Sightings::new(MAX_ANNOUNCED),
            windows: PerWindow::new(),
            data_ports: Sightings::new(MAX_ANNOUNCED),
            udp_clients: Sightings::new(MAX_ANNOUNCED),
            arranged: Sightings::new(MAX_ANNOUNCED),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow, begins: bool) {
        let protocol = flow.tuple.protocol;
        let window = update.profile.window;
        let Some((client, server)) = opened(flow).filter(|(client, _)| client.ip == window.profile) else {
            return;
        };
        if protocol == UDP {
            self.udp_clients
                .note((client.ip, client.port), flow.first, flow.last);
            if matches!(client.port, 1900 | 3702 | 5353) {
                self.announced.note(client.ip, flow.first, flow.last);
            }
            if is_private(client.ip) && flow.back.packets == 0 && is_host(server.ip) {
                self.spoke_to
                    .note((client.ip, server.ip, server.port), flow.first, flow.last);
            } else if !is_host(server.ip) {
                let asked = &mut self.windows.of(window).asked_all;
                if asked.len() < MAX_ASKED {
                    asked.insert(client.port);
                }
            }
        }
        if ![TCP, UDP].contains(&protocol) {
            return;
        }
        if let Some(kind) = Arranged::by(server.port).filter(|_| flow.established()) {
            for (a, b) in [(client.ip, server.ip), (server.ip, client.ip)] {
                self.arranged.note((a, b, kind), flow.first, flow.last);
            }
        }
        let known = service(server.port, protocol);
        if known.is_some() || self.config.known.contains(&server.port) {
            if own_ports::is_stun(flow) {
                self.windows.of(window).own.asked_stun(flow);
            }
            if server.port == 53 && flow.established() {
                self.windows.of(window).asks_names = true;
            }
            return;
        }
        if server.port == 0 || !is_target(server.ip) {
            return;
        }
        let window = self.windows.of(update.profile.window);
        window.own.called(flow, self.config.peers);
        let key = (server.ip, server.port, protocol);
        if window.targets.len() >= MAX_TARGETS && !window.targets.contains_key(&key) {
            self.windows.refuse();
            return;
        }
        let target = window.targets.entry(key).or_default();
        target.established |= flow.established();
        target.stream |= is_stream(flow);
        target.harmless |= matches!(
            flow.service,
            Service::BitTorrent | Service::Stun | Service::Rtp | Service::FtpData
        );
        if flow.service.is_recognized() {
            target.content = Some(Content {
                service: flow.service,
                named: false,
            });
        }
        if begins || target.tally.count == 0 {
            target.tally.add_flow(flow);
        }
        if target.source_ports.len() < 8 {
            target.source_ports.insert(client.port);
        }
    }

    fn judge(&self, update: &ProfileUpdate<'_>, window: &mut Window) -> Vec<Evidence> {
        if scans(update.profile, self.config.scanned) {
            return Vec::new();
        }
        let peers = PeerToPeer::of(update.profile);
        let stranger = self.is_stranger(update.profile, window.asks_names);
        let mut tried: BTreeMap<IpAddr, Tried> = BTreeMap::new();
        let mut found = Vec::new();
        for (&(ip, port, protocol), target) in &mut window.targets {
            let (from, to) = (before(target.tally.first, FOLLOWS), target.tally.last);
            let called = |sightings: &Sightings<_>| sightings.seen(&(ip, port), from, to) == Answer::Yes;
            let host = update.profile.window.profile;
            let arranged = |kind: Arranged| {
                kind.covers(protocol, port) && self.arranged.seen(&(host, ip, kind), from, to) == Answer::Yes
            };
            let shared = |own: &u16| window.own.is_shared(*own, self.config.peers);
            let exempt = target.harmless
                || arranged(Arranged::Calls)
                || arranged(Arranged::Media)
                || peers.covers(protocol, port)
                || (protocol == UDP && target.source_ports.iter().any(shared))
                || (protocol == TCP && called(&self.data_ports))
                || (protocol == UDP && called(&self.udp_clients));
            if let Some(content) = window.contents.get(&(ip, port, protocol)) {
                target.content = Some(*content);
            }
            if exempt || !target.tally.is_due(1, Stage::Closed) {
                continue;
            }
            if stranger && !target.established && target.content.is_none() {
                let tried = tried.entry(ip).or_default();
                tried.ports.insert((protocol, port));
                tried.tally.merge(&target.tally);
                continue;
            }
            let answered =
                |port: &u16| self.spoke_to.seen(&(ip, host, *port), before(from, DAY), to) == Answer::Yes;
            let announced = is_private(ip)
                && (self.announced.seen(&ip, before(from, DAY), to) == Answer::Yes
                    || window.asked_all.iter().any(answered));
            found.push(say::connection(update, (ip, port, protocol), target, announced));
        }
        let tried = tried.iter().map(|(ip, tried)| say::stranger(update, *ip, tried));
        found.extend(tried);
        found
    }

    /// Somebody on the Internet of whom only what he does to one or two of our hosts is seen. What such a one tries in vain
    /// is said of every host that the Internet can reach, all day.
    fn is_stranger(&self, profile: &ProfileDelta, asks_names: bool) -> bool {
        const HOSTS: usize = 2;
        let own = profile.window.profile;
        if !is_public(own) || asks_names || self.network.clients.iter().any(|client| client.contains(own)) {
            return false;
        }
        let hosts: BTreeSet<IpAddr> = profile.client_peers.rows().map(|(key, _)| key.ip).collect();
        hosts.len() <= HOSTS
    }
}

impl Detector for UnknownPort {
    fn name(&self) -> &'static str {
        "unknown_port"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
            + self.data_ports.refused()
            + self.announced.refused()
            + self.spoke_to.refused()
            + self.udp_clients.refused()
            + self.arranged.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        for record in update.apps {
            if let AppEvent::Dns(dns) = &record.event
                && dns.multicast
                && dns.response
            {
                self.announced
                    .note(record.tuple.originator.ip, record.time, record.time);
            }
            if let AppEvent::Ftp(ftp) = &record.event
                && let Some(data) = ftp.data
            {
                self.data_ports
                    .note((data.ip, data.port), record.time, record.time);
            }
            let (server, protocol) = (record.tuple.responder, record.tuple.protocol);
            if let Some(content) = say::content(&record.event)
                && service(server.port, protocol).is_none()
            {
                let contents = &mut self.windows.of(update.profile.window).contents;
                let key = (server.ip, server.port, protocol);
                if contents.len() < MAX_TARGETS || contents.contains_key(&key) {
                    let known = contents.entry(key).or_insert(content);
                    known.named |= content.named;
                }
            }
        }
        for report in update.flows {
            self.note(update, &report.flow, report.part == 0);
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let Some(mut window) = self.windows.take(update.profile.window) else {
            return Vec::new();
        };
        self.judge(update, &mut window)
    }
}

/// Hundreds of datagrams both ways, several a second. Orders for a program are few, and what it steals goes one way.
fn is_stream(flow: &Flow) -> bool {
    const PACKETS: u64 = 300;
    const A_SECOND: f64 = 3.0;
    let least = flow.out.packets.min(flow.back.packets);
    let rate = least as f64 / flow.duration().as_secs_f64().max(1.0);
    flow.tuple.protocol == UDP && least >= PACKETS && rate >= A_SECOND
}

/// Many targets without answer on one port, or on one host.
fn scans(profile: &ProfileDelta, least: u64) -> bool {
    let large = |targets: f64| targets >= least as f64;
    large(profile.attempts.distinct())
        && (group_by(&profile.attempts, |_, _| true, |key| (key.protocol, key.port))
            .values()
            .any(|group| large(group.targets))
            || group_by(&profile.attempts, |_, _| true, |key| (key.protocol, key.ip))
                .values()
                .any(|group| large(group.targets)))
}
