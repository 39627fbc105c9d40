//! Connection to a port on which no service is known.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::is_target;
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
}

#[derive(Debug, Default)]
struct Window {
    targets: BTreeMap<(IpAddr, u16, u8), Target>,
    /// Hosts on unknown ports that each UDP port of our own talked to.
    peers: BTreeMap<u16, BTreeSet<IpAddr>>,
    /// Own UDP ports that asked a STUN server: calls.
    calls: BTreeSet<u16>,
    /// What decoders recognized on unknown ports.
    contents: BTreeMap<(IpAddr, u16, u8), Service>,
}

#[derive(Debug, Default)]
struct Target {
    tally: Tally,
    established: bool,
    source_ports: BTreeSet<u16>,
    /// Known by content as peer-to-peer, call or file transfer.
    harmless: bool,
    /// Known by content as something else.
    content: Option<Service>,
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
            return;
        }
        let target = window.targets.entry(key).or_default();
        target.established |= flow.established();
        target.harmless |= matches!(
            flow.service,
            Service::BitTorrent | Service::Stun | Service::Rtp | Service::FtpData
        );
        if flow.service.is_recognized() {
            target.content = Some(flow.service);
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
            let many = |own: &u16| {
                window
                    .peers
                    .get(own)
                    .is_some_and(|peers| peers.len() >= self.config.peers)
            };
            let calls = |own: &u16| window.calls.contains(own);
            let exempt = target.harmless
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
                if contents.len() < MAX_TARGETS {
                    contents.insert((server.ip, server.port, protocol), content);
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
const fn content(event: &AppEvent) -> Option<Service> {
    Some(match event {
        AppEvent::Dns(dns) if !dns.multicast => Service::Dns,
        AppEvent::TlsClient(hello) if hello.quic => Service::Quic,
        AppEvent::TlsClient(_) | AppEvent::TlsServer(_) | AppEvent::Certificate(_) => Service::Tls,
        AppEvent::HttpRequest(_) | AppEvent::HttpResponse(_) => Service::Http,
        AppEvent::Ssh(_) | AppEvent::SshKeyExchange(_) => Service::Ssh,
        AppEvent::Smtp(_) => Service::Smtp,
        AppEvent::Ftp(_) => Service::Ftp,
        _ => return None,
    })
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
        (_, Some(_)) => (ThreatLevel::Low, "connected to"),
        (true, None) => (ThreatLevel::High, "connected to"),
        (false, None) => (ThreatLevel::Medium, "tried"),
    };
    let count = target.tally.count;
    let content = target.content.map_or_else(
        || "Nothing is known of the content".to_owned(),
        |content| format!("The content is {}", crate::port_content::content(content)),
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
