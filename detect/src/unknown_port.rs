//! Connection to a port on which no service is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::{is_private, is_target};
use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{Flow, Service};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::Stage;
use serde::{Deserialize, Serialize};

use crate::growing::{PerWindow, Tally};
use crate::horizontal_scan::is_peer_to_peer;
use crate::ports::group_by;
use crate::report::{With, at_least, feature, grown, protocol_name};
use crate::services::{TCP, UDP, service};
use crate::sides::opened;
use crate::sightings::{Answer, Sightings, before};
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
/// each host and port.
#[derive(Debug)]
pub struct UnknownPort {
    config: Config,
    windows: PerWindow<Window>,
    /// Where FTP said that a data connection would go.
    announced: Sightings<(IpAddr, u16)>,
    /// Ports from which somebody sent by UDP: what comes to them is an answer, as to a question to a group (SSDP), or a
    /// peer of a call.
    udp_clients: Sightings<(IpAddr, u16)>,
    /// Hosts that agree with each other on further ports.
    arranged: Sightings<(IpAddr, IpAddr, Arranged)>,
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
    /// Hosts on unknown ports that each UDP port of our own talked to.
    peers: BTreeMap<u16, BTreeSet<IpAddr>>,
    /// Own UDP ports that asked a STUN server: calls.
    calls: BTreeSet<u16>,
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
/// Own ports of a window whose peers are counted.
const MAX_SOURCE_PORTS: usize = 1_024;
/// Announcements of a generation.
const MAX_ANNOUNCED: usize = 65_536;
/// Between an announcement or a question and the flow that follows from it.
const FOLLOWS: Duration = Duration::from_secs(600);

impl UnknownPort {
    #[must_use]
    pub fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            windows: PerWindow::new(),
            announced: Sightings::new(MAX_ANNOUNCED),
            udp_clients: Sightings::new(MAX_ANNOUNCED),
            arranged: Sightings::new(MAX_ANNOUNCED),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow, begins: bool) {
        const STUN_PORTS: std::ops::RangeInclusive<u16> = 19_302..=19_309;
        let protocol = flow.tuple.protocol;
        let window = update.profile.window;
        let Some((client, server)) = opened(flow).filter(|(client, _)| client.ip == window.profile) else {
            return;
        };
        if protocol == UDP {
            self.udp_clients
                .note((client.ip, client.port), flow.first, flow.last);
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
            let stun = matches!(server.port, 3478 | 3479 | 3481 | 5349) || STUN_PORTS.contains(&server.port);
            if protocol == UDP && (stun || flow.service == Service::Stun) {
                let calls = &mut self.windows.of(update.profile.window).calls;
                if calls.len() < MAX_SOURCE_PORTS {
                    calls.insert(client.port);
                }
            }
            return;
        }
        if server.port == 0 || !is_target(server.ip) {
            return;
        }
        let window = self.windows.of(update.profile.window);
        if protocol == UDP
            && (window.peers.len() < MAX_SOURCE_PORTS || window.peers.contains_key(&client.port))
        {
            let peers = window.peers.entry(client.port).or_default();
            if peers.len() < self.config.peers {
                peers.insert(server.ip);
            }
        }
        let key = (server.ip, server.port, protocol);
        if window.targets.len() >= MAX_TARGETS && !window.targets.contains_key(&key) {
            self.windows.refuse();
            return;
        }
        let target = window.targets.entry(key).or_default();
        target.established |= flow.established();
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
            target.tally.add(flow.first, flow.last, Some(flow.community_id));
        }
        if target.source_ports.len() < 8 {
            target.source_ports.insert(client.port);
        }
    }

    fn judge(&self, update: &ProfileUpdate<'_>, window: &mut Window) -> Vec<Evidence> {
        if scans(update.profile, self.config.scanned) {
            return Vec::new();
        }
        let peer_to_peer = is_peer_to_peer(update.profile);
        let mut found = Vec::new();
        for (&(ip, port, protocol), target) in &mut window.targets {
            let (from, to) = (before(target.tally.first, FOLLOWS), target.tally.last);
            let called = |sightings: &Sightings<_>| sightings.seen(&(ip, port), from, to) == Answer::Yes;
            let host = update.profile.window.profile;
            let arranged = |kind: Arranged| {
                kind.covers(protocol, port) && self.arranged.seen(&(host, ip, kind), from, to) == Answer::Yes
            };
            let many = |own: &u16| {
                window
                    .peers
                    .get(own)
                    .is_some_and(|peers| peers.len() >= self.config.peers)
            };
            let calls = |own: &u16| window.calls.contains(own);
            let exempt = target.harmless
                || arranged(Arranged::Calls)
                || arranged(Arranged::Media)
                || (peer_to_peer && port >= 1024)
                || (protocol == UDP && target.source_ports.iter().any(|own| many(own) || calls(own)))
                || (protocol == TCP && called(&self.announced))
                || (protocol == UDP && called(&self.udp_clients));
            if let Some(content) = window.contents.get(&(ip, port, protocol)) {
                target.content = Some(*content);
            }
            if !exempt && target.tally.is_due(1, Stage::Closed) {
                found.push(describe(update, (ip, port, protocol), target));
            }
        }
        found
    }
}

impl Detector for UnknownPort {
    fn name(&self) -> &'static str {
        "unknown_port"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
            + self.announced.refused()
            + self.udp_clients.refused()
            + self.arranged.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        for record in update.apps {
            if let AppEvent::Ftp(ftp) = &record.event
                && let Some(data) = ftp.data
            {
                self.announced
                    .note((data.ip, data.port), record.time, record.time);
            }
            let (server, protocol) = (record.tuple.responder, record.tuple.protocol);
            if let Some(content) = content(&record.event)
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

/// Protocol whose decoder read a message.
fn content(event: &AppEvent) -> Option<Content> {
    let is_name = |name: &Option<String>| {
        // `Host` may have a port; an IPv6 address stands in brackets.
        let host = name.as_deref().unwrap_or_default().trim_start_matches('[');
        let host = host.split([']', ':']).next().unwrap_or_default();
        host.contains(|letter: char| letter.is_ascii_alphabetic()) && host.contains('.')
    };
    let (service, named) = match event {
        AppEvent::Dns(dns) if !dns.multicast => (Service::Dns, false),
        AppEvent::TlsClient(hello) if hello.quic => (Service::Quic, is_name(&hello.server_name)),
        AppEvent::TlsClient(hello) => (Service::Tls, is_name(&hello.server_name)),
        AppEvent::TlsServer(_) | AppEvent::Certificate(_) => (Service::Tls, false),
        AppEvent::HttpRequest(request) => (Service::Http, is_name(&request.host)),
        AppEvent::HttpResponse(_) => (Service::Http, false),
        AppEvent::Ssh(_) | AppEvent::SshKeyExchange(_) => (Service::Ssh, false),
        AppEvent::Smtp(_) => (Service::Smtp, false),
        AppEvent::Ftp(_) => (Service::Ftp, false),
        _ => return None,
    };
    Some(Content { service, named })
}

/// Many targets without answer on one port, or on one host.
fn scans(profile: &ProfileDelta, least: u64) -> bool {
    let large = |targets: f64| targets >= least as f64;
    large(profile.attempts.distinct())
        && (group_by(&profile.attempts, |_| true, |key| (key.protocol, key.port))
            .values()
            .any(|group| large(group.targets))
            || group_by(&profile.attempts, |_| true, |key| (key.protocol, key.ip))
                .values()
                .any(|group| large(group.targets)))
}

fn describe(
    update: &ProfileUpdate<'_>,
    (ip, port, protocol): (IpAddr, u16, u8),
    target: &Target,
) -> Evidence {
    let source = update.profile.window.profile;
    let name = protocol_name(protocol);
    let (level, state) = match (target.established, target.content) {
        // A known protocol on an odd port of an own device, or of a server with a name, is usual.
        (_, Some(content)) if content.named || is_private(ip) => (ThreatLevel::Low, "connected to"),
        (_, Some(_)) => (ThreatLevel::Medium, "connected to"),
        (true, None) => (ThreatLevel::High, "connected to"),
        (false, None) => (ThreatLevel::Medium, "tried"),
    };
    let count = target.tally.count;
    let content = target.content.map_or_else(
        || "Nothing is known of the content".to_owned(),
        |content| format!("The content is {}", crate::port_content::content(content.service)),
    );
    Evidence {
        victim: Some(ip),
        dst_port: Some(port),
        protocol: Some(protocol),
        threat_level: level,
        confidence: Confidence::new(1.0),
        description: format!("Connection to an unknown port: {source} {state} {ip} port {port}/{name}."),
        explanation: Explanation {
            features: vec![feature("flows", count as f64, "flows").threshold(1.0)],
            text: format!(
                "No service is known on {port}/{name}; {}{count} flows went there. {content}. Not a call, not peer-to-peer, \
                 not a file transfer that FTP announced, and the host did not scan.",
                at_least(update)
            ),
        },
        ..grown(
            update,
            EvidenceType::UnknownPort,
            &format!("{ip}/{port}/{protocol}"),
            &target.tally,
        )
    }
}
