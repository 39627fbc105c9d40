//! Decoders: payload heads in, application events out.
//!
//! The selector (`sensor_ebpf::heads`) has chosen what comes here; [`Decoder`] puts the pieces of a direction in
//! order, reads the messages, and remembers what joins two of them (DNS query and response, the keys of a QUIC
//! connection). Everything it remembers is bounded by [`DecodeLimits`] and everything that it refuses is counted in
//! [`DecodeCounters`].

mod assembler;
mod generations;
mod out;
mod stream;

pub mod arp;
pub mod dhcp;
pub mod dialogue;
pub mod dns;
pub mod http;
pub mod ja3;
pub mod ja4;
pub mod neighbour;
pub mod quic;
pub mod service;
pub mod ssh;
pub mod tls;
pub mod x509;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Arp};
use lynceus_model::flow::{Endpoint, FiveTuple, Service};
use lynceus_model::time::Timestamp;
use sensor_ebpf::event::{HEAD_BYTES, Head};
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::heads::{ARP_ETHER_TYPE, ARP_LINK_BYTES, ICMPV6};

use self::dialogue::{Dialogue, Piece};
pub(crate) use self::generations::Generations;
use self::out::Out;
use self::quic::QuicFlow;
use self::stream::{Direction, Segment, Sink};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Bounds of what a [`Decoder`] remembers.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    /// TCP flows with a message begun or read. An idle one costs about 200 bytes, an unfinished message up to 32 KiB;
    /// the selector lets few stay unfinished.
    pub streams: usize,
    /// QUIC connections.
    pub quic: usize,
    /// DNS queries without response.
    pub queries: usize,
    /// An unfinished message is given up between once and twice this time.
    pub age: Duration,
    /// A DNS response that comes later than this has no known latency (resolvers give up after 5 to 10 s).
    pub query_age: Duration,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            streams: 65_536,
            quic: 4096,
            queries: 65_536,
            age: Duration::from_secs(60),
            query_age: Duration::from_secs(30),
        }
    }
}

/// What a [`Decoder`] did and refused, since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCounters {
    /// Heads given to the decoder.
    pub heads: u64,
    /// Events that came out of them.
    pub events: u64,
    /// Messages that could not be read, by protocol ([`Protocol::index`]).
    pub malformed: [u64; Protocol::COUNT],
    /// Those of neighbour discovery by reason, in the order of [`neighbour::Refused::ALL`].
    pub neighbours: [u64; neighbour::Refused::COUNT],
    /// Unfinished messages that were given up: the rest did not come, or the bounds were reached.
    pub incomplete: u64,
    /// Segments or their parts that had been read before.
    pub repeated: u64,
}

/// Protocols with a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Dns,
    Tls,
    Quic,
    Http,
    Ssh,
    SshKeyExchange,
    Dhcp,
    Arp,
    Neighbour,
    Certificate,
}

impl Protocol {
    pub const COUNT: usize = 10;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Dns,
        Self::Tls,
        Self::Quic,
        Self::Http,
        Self::Ssh,
        Self::SshKeyExchange,
        Self::Dhcp,
        Self::Arp,
        Self::Neighbour,
        Self::Certificate,
    ];

    /// Place in [`DecodeCounters::malformed`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::SshKeyExchange => "ssh_key_exchange",
            Self::Dhcp => "dhcp",
            Self::Arp => "arp",
            Self::Neighbour => "neighbour",
            Self::Certificate => "certificate",
        }
    }
}

/// A message that is not what it should be. Counted by protocol; nothing more can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

/// Outcome of reading a message at the beginning of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Read<T> {
    Done { value: T, consumed: usize },
    NeedMore,
}

impl<T> Read<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Read<U> {
        match self {
            Self::Done { value, consumed } => Read::Done {
                value: change(value),
                consumed,
            },
            Self::NeedMore => Read::NeedMore,
        }
    }
}

/// Reads payload heads of many flows.
#[derive(Debug)]
pub struct Decoder {
    streams: Generations<FlowKey, Stream>,
    quic: Generations<FlowKey, QuicFlow>,
    queries: Generations<(FlowKey, u16), Query>,
    query_age: Duration,
    counters: DecodeCounters,
    scratch: Vec<u8>,
}

/// What is remembered of a TCP flow.
#[derive(Debug, Default)]
struct Stream {
    directions: [Direction; 2],
    session: Session,
    /// On the ports of FTP, SMTP and Telnet.
    dialogue: Option<Box<Dialogue>>,
}

/// What one message of a TCP flow says about later ones.
#[derive(Debug, Default)]
struct Session {
    /// Name that the last ClientHello asked for.
    server_name: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Query {
    sender: Side,
    time: Timestamp,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DecodeLimits::default())
    }
}

impl Decoder {
    #[must_use]
    pub fn new(limits: DecodeLimits) -> Self {
        Self {
            streams: Generations::new(limits.streams, limits.age),
            quic: Generations::new(limits.quic, limits.age),
            queries: Generations::new(limits.queries, limits.query_age),
            query_age: limits.query_age,
            counters: DecodeCounters::default(),
            scratch: Vec::new(),
        }
    }

    /// Reads one head and hands out the messages that it finished.
    ///
    /// `time` is the head's time as event time; `originator` the side that sent the flow's first packet, where known
    /// (else the message tells: who asks is the originator). Heads of one flow come in the order of capture; their TCP
    /// segments may be out of order.
    ///
    /// Returns what the head says of the flow's application protocol; the best word of all its heads counts, see
    /// [`FlowTable::note`](crate::flow_table::FlowTable::note).
    pub fn decode(
        &mut self,
        head: &Head<'_>,
        time: Timestamp,
        originator: Option<Side>,
        emit: &mut dyn FnMut(AppRecord),
    ) -> Service {
        self.counters.heads += 1;
        let mut out = Out {
            head,
            time,
            originator,
            counters: &mut self.counters,
            queries: &mut self.queries,
            query_age: self.query_age,
            session: None,
            service: Service::Unseen,
            emit,
        };
        match head.key.protocol {
            TCP => {
                let counters = &mut out.counters.incomplete;
                let flow = self
                    .streams
                    .entry(head.key, time, |flow| *counters += unfinished(&flow));
                let client = originator.unwrap_or_else(|| likely_client(&head.key));
                let segment = Segment {
                    seq: head.tcp_seq,
                    bytes: head.bytes,
                    // A full head goes on in the next one.
                    cut: head.bytes.len() < HEAD_BYTES.min(head.payload_len as usize),
                    dns_port: on_port(&head.key, 53),
                    from_client: head.sender == client,
                };
                if let Some(usual) = dialogue::usual(&head.key) {
                    let piece = Piece {
                        sender: head.sender,
                        from_client: segment.from_client,
                        seq: head.tcp_seq,
                        bytes: head.bytes,
                        server: tuple(&head.key, client).responder.ip,
                    };
                    let dialogue = flow
                        .dialogue
                        .get_or_insert_with(|| Box::new(Dialogue::new(usual)));
                    if dialogue.segment(piece, &mut out) {
                        return out.said();
                    }
                }
                out.session = Some(&mut flow.session);
                flow.directions[head.sender as usize].segment(segment, &mut out);
            }
            UDP => datagram(head, &mut self.quic, &mut self.scratch, &mut out),
            0 if head.key.low_port == ARP_ETHER_TYPE => {
                arp_packet(head, &mut out);
                return Service::Unseen;
            }
            ICMPV6 => {
                neighbour_message(head, &mut out);
                return Service::Unseen;
            }
            _ => return Service::Unseen,
        }
        out.said()
    }

    #[must_use]
    pub const fn counters(&self) -> &DecodeCounters {
        &self.counters
    }

    /// Flows and queries that are remembered now.
    #[must_use]
    pub fn resident(&self) -> usize {
        self.streams.len() + self.quic.len() + self.queries.len()
    }
}

fn datagram(
    head: &Head<'_>,
    flows: &mut Generations<FlowKey, QuicFlow>,
    scratch: &mut Vec<u8>,
    out: &mut Out<'_, '_>,
) {
    let key = &head.key;
    let multicast = on_port(key, 5353) || on_port(key, 5355);
    if multicast || on_port(key, 53) {
        match dns::read(head.bytes, multicast) {
            Ok(message) => out.event(AppEvent::Dns(message)),
            Err(Malformed) => out.malformed(Protocol::Dns),
        }
    } else if on_port(key, 67) || on_port(key, 68) {
        match dhcp::read(head.bytes) {
            Ok(message) => out.event(AppEvent::Dhcp(message)),
            Err(Malformed) => out.malformed(Protocol::Dhcp),
        }
    } else if matches!(
        service::recognize(UDP, head.bytes),
        Service::Stun | Service::BitTorrent | Service::Ntp
    ) || on_port(key, 123)
    {
        // They tell the protocol of the flow and have no decoder.
    } else if head.bytes.first().is_some_and(|first| first & 0x80 != 0) {
        let incomplete = &mut out.counters.incomplete;
        let flow = flows.entry(*key, out.time, |flow| {
            *incomplete += u64::from(flow.is_incomplete())
        });
        let outcome = flow.datagram(head.bytes, head.sender, scratch);
        if let Some(event) = outcome.event {
            out.event(event);
        }
        if outcome.malformed {
            out.malformed(Protocol::Quic);
        }
    } else if http::may_be_head(head.bytes) == Some(true) {
        match http::read_head(head.bytes, true) {
            Ok(Read::Done { value, .. }) => out.event(value.0),
            Ok(Read::NeedMore) | Err(Malformed) => out.malformed(Protocol::Http),
        }
    }
}

fn arp_packet(head: &Head<'_>, out: &mut Out<'_, '_>) {
    let link = usize::from(head.key.high_port.min(ARP_LINK_BYTES));
    let (link, packet) = head.bytes.split_at(link.min(head.bytes.len()));
    match arp::read(packet, link.first_chunk().copied()) {
        Ok(packet) => out.event(AppEvent::Arp(packet)),
        Err(Malformed) => out.malformed(Protocol::Arp),
    }
}

fn neighbour_message(head: &Head<'_>, out: &mut Out<'_, '_>) {
    match neighbour::read(&neighbour::Message::of(head)) {
        Ok(packet) => out.event(AppEvent::Arp(packet)),
        Err(reason) => {
            out.counters.neighbours[reason as usize] += 1;
            out.malformed(Protocol::Neighbour);
        }
    }
}

fn unfinished(flow: &Stream) -> u64 {
    flow.directions
        .iter()
        .filter(|direction| direction.is_incomplete())
        .count() as u64
}

/// Servers listen on low ports.
const fn likely_client(key: &FlowKey) -> Side {
    if key.low_port > key.high_port {
        Side::Low
    } else {
        Side::High
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Low => Side::High,
        Side::High => Side::Low,
    }
}

const fn on_port(key: &FlowKey, port: u16) -> bool {
    key.low_port == port || key.high_port == port
}

fn tuple(key: &FlowKey, originator: Side) -> FiveTuple {
    let low = endpoint(key.low, key.low_port);
    let high = endpoint(key.high, key.high_port);
    let (originator, responder) = match originator {
        Side::Low => (low, high),
        Side::High => (high, low),
    };
    FiveTuple {
        originator,
        responder,
        protocol: key.protocol,
    }
}

fn endpoint(address: [u8; 16], port: u16) -> Endpoint {
    let ip = Ipv6Addr::from(address);
    Endpoint {
        ip: ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
        port,
    }
}

/// From who sends it to who is asked, or told.
fn arp_tuple(packet: &Arp) -> FiveTuple {
    let sender = packet.discovery.map_or(packet.sender, |said| said.from.into());
    let [originator, responder] = [sender, packet.target].map(|ip| Endpoint { ip, port: 0 });
    FiveTuple {
        originator,
        responder,
        protocol: if packet.discovery.is_some() { ICMPV6 } else { 0 },
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests;
