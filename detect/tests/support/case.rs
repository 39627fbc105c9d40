//! A test case as data: traffic in, evidence out.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lynceus_detect::DetectConfig;
use lynceus_model::app::{AppEvent, AppRecord, Arp, Discovery};
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::{
    CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Reported, Service, Totals,
    Tunnel, TunnelKind,
};
use lynceus_model::time::Timestamp;
use serde::{Deserialize, Deserializer, de::Error};

#[path = "app.rs"]
mod app;
#[path = "facts.rs"]
mod facts;

use app::AppSpec;
use facts::Facts;

/// One file under `tests/cases/DETECTOR/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows.
    pub about: String,
    /// Detectors that look; empty: the one that the directory is named after, in `normal` all.
    #[serde(default)]
    pub detectors: Vec<String>,
    /// Where it differs from the defaults.
    #[serde(default)]
    pub config: DetectConfig,
    #[serde(default)]
    pub knowledge: Facts,
    #[serde(default)]
    pub flows: Vec<FlowSpec>,
    #[serde(default)]
    pub app: Vec<AppSpec>,
    #[serde(default)]
    pub arp: Vec<ArpSpec>,
    /// What two sensors share between them.
    #[serde(default)]
    pub split: Split,
    /// All evidence that must come, no more and no less.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

/// Each sensor sees all of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Split {
    #[default]
    Flows,
    /// For rhythms: letters are written by one sensor for a tuple.
    Tuples,
    /// For what is learnt of an address in the order of time.
    Clients,
}

/// One flow, or `repeat` flows that differ by the steps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlowSpec {
    from: IpAddr,
    to: IpAddr,
    protocol: Protocol,
    #[serde(default)]
    port: u16,
    #[serde(default = "source_port")]
    source_port: u16,
    /// Zeek's name.
    state: String,
    /// Seconds.
    #[serde(default)]
    first: f64,
    #[serde(default)]
    duration: f64,
    #[serde(default = "one")]
    packets: u64,
    #[serde(default = "header")]
    bytes: u64,
    #[serde(default)]
    packets_back: u64,
    #[serde(default)]
    bytes_back: u64,
    /// ICMP type.
    icmp_type: Option<u8>,
    /// As [`Service::name`]; absent: nobody looked.
    service: Option<String>,
    /// What only logs say.
    uid: Option<String>,
    established: Option<bool>,
    #[serde(default, deserialize_with = "some_mac")]
    originator_mac: Option<[u8; 6]>,
    #[serde(default, deserialize_with = "some_mac")]
    responder_mac: Option<[u8; 6]>,
    tunnel: Option<TunnelSpec>,
    /// Reported every so many seconds while it lasts.
    report_every: Option<f64>,
    #[serde(default = "one")]
    repeat: u64,
    #[serde(default)]
    step_to: u64,
    #[serde(default)]
    step_port: u16,
    #[serde(default)]
    step_source: u16,
    #[serde(default)]
    step_first: f64,
    /// Instead of `step_first`: times between the first packets, again and again.
    #[serde(default)]
    gaps: Vec<f64>,
}

/// The tunnel around a flow; `kind` is `gre` or `vxlan`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TunnelSpec {
    kind: String,
    source: IpAddr,
    destination: IpAddr,
}

impl TunnelSpec {
    fn tunnel(&self) -> Tunnel {
        Tunnel {
            kind: match self.kind.as_str() {
                "gre" => TunnelKind::Gre,
                "vxlan" => TunnelKind::Vxlan,
                other => panic!("no kind of tunnel: {other}"),
            },
            vni: None,
            source: self.source,
            destination: self.destination,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Tcp,
    Udp,
    Icmp,
    Gre,
    Icmpv6,
}

impl Protocol {
    const fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Gre => 47,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmpv6 => 58,
        }
    }
}

/// One ARP request, or `repeat` requests for following addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ArpSpec {
    from: IpAddr,
    target: IpAddr,
    #[serde(default)]
    first: f64,
    /// 1 request, 2 reply.
    #[serde(default = "request")]
    operation: u16,
    /// The sender knows whom it asks.
    #[serde(default)]
    unicast: bool,
    #[serde(default, deserialize_with = "some_mac")]
    sender_mac: Option<[u8; 6]>,
    #[serde(default, deserialize_with = "some_mac")]
    target_mac: Option<[u8; 6]>,
    /// Of IPv6, where it is neighbour discovery. Of an advertisement `from` is the address it is about, `target` who is told.
    #[serde(default)]
    discovery: DiscoverySpec,
    #[serde(default = "one")]
    repeat: u64,
    #[serde(default)]
    step_target: u64,
    #[serde(default)]
    step_first: f64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DiscoverySpec {
    /// Source of the packet, where it is not `from`.
    source: Option<Ipv6Addr>,
    router: bool,
    solicited: bool,
    overrides: bool,
    link: u64,
}

/// What is written must be so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    #[serde(rename = "type")]
    kind: String,
    profile: IpAddr,
    threat_level: String,
    confidence: f64,
    window: Option<i64>,
    victim: Option<IpAddr>,
    dst_port: Option<u16>,
    /// Value of the first feature.
    value: Option<f64>,
    /// Number of Community IDs.
    flows: Option<usize>,
    subject: Option<String>,
    attacker: Option<IpAddr>,
    /// Number of related evidences.
    related: Option<usize>,
    /// Part of the description.
    says: Option<String>,
}

/// What a sensor would hand to the profiler.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Flow(Box<FlowUpdate>),
    App(Box<AppRecord>),
}

impl Case {
    /// In the order in which a sensor reports: by the time of the last packet.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events: Vec<(Timestamp, Event)> = Vec::new();
        for spec in &self.flows {
            (0..spec.repeat).for_each(|n| spec.reports(n, &mut events));
        }
        for spec in &self.arp {
            (0..spec.repeat).for_each(|n| events.push(spec.record(n)));
        }
        self.app.iter().for_each(|spec| spec.records(&mut events));
        events.sort_by_key(|(time, _)| *time);
        events.into_iter().map(|(_, event)| event).collect()
    }
}

impl FlowSpec {
    fn reported(&self) -> Option<Box<Reported>> {
        let reported = Reported {
            uid: self.uid.clone(),
            established: self.established,
            originator_mac: self.originator_mac,
            responder_mac: self.responder_mac,
            ..Reported::default()
        };
        (reported != Reported::default()).then(|| Box::new(reported))
    }

    fn reports(&self, n: u64, events: &mut Vec<(Timestamp, Event)>) {
        let gaps: f64 = self.gaps.iter().cycle().take(n as usize).sum();
        let first = seconds(self.first + self.step_first * n as f64 + gaps);
        let icmp = self.icmp_type.map(|kind| (kind, 0));
        let port = self.port + self.step_port * n as u16;
        let tuple = FiveTuple {
            originator: Endpoint {
                ip: self.from,
                port: icmp.map_or(self.source_port + self.step_source * n as u16, |(kind, _)| {
                    u16::from(kind)
                }),
            },
            responder: Endpoint {
                ip: step(self.to, self.step_to * n),
                port,
            },
            protocol: self.protocol.number(),
        };
        let every = self
            .report_every
            .unwrap_or(f64::INFINITY)
            .min(self.duration.max(f64::MIN_POSITIVE));
        let parts = (self.duration / every).ceil().max(1.0) as u32;
        let mut before = [Totals::default(); 2];
        for part in 0..parts {
            let share = f64::from(part + 1) / f64::from(parts);
            let totals = |packets: u64, bytes: u64| Totals {
                packets: (packets as f64 * share).ceil() as u64,
                bytes: (bytes as f64 * share) as u64,
                ..Totals::default()
            };
            let now = [
                totals(self.packets, self.bytes),
                totals(self.packets_back, self.bytes_back),
            ];
            let new = |side: usize| Totals {
                packets: now[side].packets - before[side].packets,
                bytes: now[side].bytes - before[side].bytes,
                ..Totals::default()
            };
            let last = first.saturating_add(Duration::from_secs_f64(self.duration * share));
            let flow = Flow {
                tuple,
                community_id: id(&tuple),
                first,
                last,
                out: now[0],
                back: now[1],
                state: ConnState::from_name(&self.state).expect("state is one of Zeek's"),
                icmp,
                vlan: Vec::new(),
                tunnel: self.tunnel.as_ref().map(TunnelSpec::tunnel),
                rtt: None,
                seen_at: Vec::new(),
                service: self.service.as_ref().map_or(Service::Unseen, |name| {
                    Service::from_name(name).expect("service is one of the model's")
                }),
                reported: self.reported(),
            };
            let end = if part + 1 == parts {
                FlowEnd::Idle
            } else {
                FlowEnd::Active
            };
            let update = FlowUpdate {
                flow,
                new_out: new(0),
                new_back: new(1),
                part,
                end,
            };
            events.push((last, Event::Flow(Box::new(update))));
            before = now;
        }
    }
}

impl ArpSpec {
    fn record(&self, n: u64) -> (Timestamp, Event) {
        let time = seconds(self.first + self.step_first * n as f64);
        let target = step(self.target, self.step_target * n);
        let endpoint = |ip| Endpoint { ip, port: 0 };
        let discovery = self.discovery(target);
        let record = AppRecord {
            time,
            tuple: FiveTuple {
                originator: endpoint(discovery.map_or(self.from, |said| said.from.into())),
                responder: endpoint(target),
                protocol: 0,
            },
            community_id: None,
            from_responder: false,
            event: AppEvent::Arp(Arp {
                operation: self.operation,
                sender_mac: self.sender_mac.unwrap_or([2, 0, 0, 0, 0, 1]),
                sender: self.from,
                target_mac: self
                    .target_mac
                    .unwrap_or(if self.unicast { [2, 0, 0, 0, 0, 2] } else { [0; 6] }),
                target,
                frame_destination: discovery.is_none().then_some([0xff; 6]),
                discovery,
            }),
        };
        (time, Event::App(Box::new(record)))
    }

    fn discovery(&self, target: IpAddr) -> Option<Discovery> {
        let (IpAddr::V6(own), IpAddr::V6(target)) = (self.from, target) else {
            return None;
        };
        let spec = &self.discovery;
        let group = 0xff02_0000_0000_0000_0000_0001_ff00_0000 | target.to_bits() & 0x00ff_ffff;
        Some(Discovery {
            from: spec.source.unwrap_or(own),
            to: if self.operation == 1 && !self.unicast {
                Ipv6Addr::from_bits(group)
            } else {
                target
            },
            router: spec.router,
            solicited: spec.solicited,
            overrides: spec.overrides,
            link: spec.link,
        })
    }
}

impl Expect {
    pub(crate) fn matches(&self, evidence: &Evidence) -> bool {
        let value = evidence.explanation.features.first().map(|feature| feature.value);
        evidence.kind.name() == self.kind
            && evidence.profile == self.profile
            && evidence.threat_level.name() == self.threat_level
            && (evidence.confidence.value() - self.confidence).abs() < 0.005
            && self.window.is_none_or(|window| evidence.window == window)
            && self.victim.is_none_or(|victim| evidence.victim == Some(victim))
            && self.dst_port.is_none_or(|port| evidence.dst_port == Some(port))
            && self.value.is_none_or(|wanted| value == Some(wanted))
            && self.flows.is_none_or(|flows| evidence.flows.len() == flows)
            && (self.subject.is_none() || self.subject == evidence.subject)
            && self.attacker.is_none_or(|ip| evidence.attacker == ip)
            && self
                .related
                .is_none_or(|related| evidence.related.len() == related)
            && self
                .says
                .as_ref()
                .is_none_or(|says| evidence.description.contains(says))
    }
}

/// Stands for a Community ID: as good as one for telling flows apart.
fn id(tuple: &FiveTuple) -> CommunityId {
    let mut id = [0_u8; 20];
    for (n, byte) in format!("{tuple:?}").bytes().enumerate() {
        let cell = &mut id[n % 20];
        *cell = cell.rotate_left(3).wrapping_mul(31).wrapping_add(byte);
    }
    CommunityId(id)
}

fn step(ip: IpAddr, by: u64) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::from((ip.to_bits() + by as u32).to_be_bytes()),
        IpAddr::V6(ip) => IpAddr::from((ip.to_bits() + u128::from(by)).to_be_bytes()),
    }
}

fn seconds(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1e9).round() as i64)
}

/// `02:00:00:00:00:01`.
fn mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 6], D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes: Result<Vec<u8>, _> = text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| D::Error::custom(format!("no MAC address: {text}")))
}

fn some_mac<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 6]>, D::Error> {
    mac(deserializer).map(Some)
}

fn source_port() -> u16 {
    40_000
}

fn one() -> u64 {
    1
}

fn header() -> u64 {
    40
}

fn request() -> u16 {
    1
}
