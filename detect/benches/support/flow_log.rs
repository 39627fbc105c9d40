//! The flow log that benchmarks run on: made up, the same each time, as large as wanted, in event-time order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Dns, DnsAnswer, DnsData, HttpRequest, TlsClient, TlsServer};
use lynceus_model::flow::{
    CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Service, Totals,
};
use lynceus_model::time::Timestamp;

/// What the log is like.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) hosts: u64,
    /// Flows per second of event time.
    pub(crate) rate: u64,
    /// With the messages that Zeek would log beside: DNS, TLS, HTTP.
    pub(crate) messages: bool,
}

#[allow(
    clippy::large_enum_variant,
    reason = "moved once; boxing would be what is measured"
)]
pub(crate) enum Event {
    Flow(FlowUpdate),
    App(AppRecord),
}

/// SplitMix64.
pub(crate) fn mixed(n: u64) -> u64 {
    let mut word = n
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678_9abc_def1);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The `n`th flow and its messages. Of a hundred flows 30 ask for names, 38 are TLS, 10 QUIC, 7 HTTP; 4 are refused or
/// without answer, 3 NTP, 3 SSH and mail, 2 on ports of no service, 2 IPv6, 1 inside the network. Every thousandth comes
/// from the one host that scans.
pub(crate) fn events(shape: Shape, n: u64, out: &mut Vec<Event>) {
    let draw = mixed(n);
    let scans = n % 1_000 == 999;
    // The square makes some hosts busier than others.
    let share = ((draw >> 8) & 0xffff) as f64 / 65_536.0;
    let host = if scans {
        0
    } else {
        (share * share * shape.hosts as f64) as u64
    };
    let kind = if scans { 100 } else { draw % 100 };
    // A host comes back to few servers of many.
    let favourite = mixed(host << 8 | ((draw >> 24) % 24));
    let server = if draw & 0x3f_0000_0000 == 0 {
        mixed(draw)
    } else {
        favourite
    };
    let client = [10, (host >> 16) as u8 | 0x40, (host >> 8) as u8, host as u8];
    let public = [
        [23, 52, 104, 151, 172, 185][(server % 6) as usize] + (server >> 16 & 1) as u8,
        100 + (server >> 8 & 0x1f) as u8,
        (server >> 24) as u8,
        (server >> 32) as u8,
    ];
    let (protocol, port, service, state) = match kind {
        0..30 => (17, 53, Service::Dns, ConnState::Sf),
        30..68 | 96..98 => (6, 443, Service::Tls, ConnState::Sf),
        68..78 => (17, 443, Service::Quic, ConnState::Sf),
        78..85 => (6, 80, Service::Http, ConnState::Sf),
        85..87 => (6, 443, Service::Unseen, ConnState::Rej),
        87..89 => (6, 443, Service::Unseen, ConnState::S0),
        89..92 => (17, 123, Service::Ntp, ConnState::Sf),
        92..94 => (6, 993, Service::Imap, ConnState::Sf),
        94 => (6, 22, Service::Ssh, ConnState::Sf),
        95 => (6, 445, Service::Smb, ConnState::Sf),
        98..100 => (
            6,
            30_000 + (server % 9_000) as u16,
            Service::Unrecognized,
            ConnState::Sf,
        ),
        _ => (6, 23, Service::Unseen, ConnState::S0),
    };
    let v6 = matches!(kind, 96 | 97);
    let address = |octets: [u8; 4]| match v6 {
        true => IpAddr::V6(Ipv6Addr::new(
            0x2a02,
            u16::from(octets[0]),
            0,
            0,
            0,
            u16::from(octets[1]),
            u16::from(octets[2]),
            u16::from(octets[3]) + 1,
        )),
        false => IpAddr::V4(Ipv4Addr::from(octets)),
    };
    let tuple = FiveTuple {
        originator: Endpoint {
            ip: address(client),
            port: 32_768 + (draw >> 40 & 0x6fff) as u16,
        },
        responder: Endpoint {
            ip: match (port, kind) {
                (53, _) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, 53)),
                (445, _) => IpAddr::V4(Ipv4Addr::new(10, 0, 1, (server % 8) as u8 + 1)),
                (_, 100) => IpAddr::V4(Ipv4Addr::new(10, 200, (n >> 18) as u8, (n / 1_000) as u8)),
                _ => address(public),
            },
            port,
        },
        protocol,
    };
    let first = Timestamp((n * (1_000_000_000 / shape.rate)) as i64);
    let mut id = [0; 20];
    id[..8].copy_from_slice(&draw.to_be_bytes());
    id[8..16].copy_from_slice(&n.to_be_bytes());
    let community_id = CommunityId(id);
    if shape.messages {
        let record = |event, from_responder| {
            Event::App(AppRecord {
                time: first,
                tuple,
                community_id: Some(community_id),
                from_responder,
                event,
            })
        };
        let name = || format!("cdn{}.site{}.example", server % 4, server % 9_973);
        match service {
            Service::Dns => out.push(record(
                AppEvent::Dns(Dns {
                    id: draw as u16,
                    response: true,
                    name: name(),
                    query_type: 1,
                    rcode: if draw >> 50 & 31 == 0 { 3 } else { 0 },
                    answers: vec![DnsAnswer {
                        record_type: 1,
                        ttl: 60,
                        data: DnsData::Address(address(public)),
                    }],
                    latency: Some(Duration::from_millis(9)),
                    ..Dns::default()
                }),
                true,
            )),
            Service::Tls | Service::Quic => {
                out.push(record(
                    AppEvent::TlsClient(TlsClient {
                        quic: service == Service::Quic,
                        server_name: Some(name()),
                        alpn: vec!["h2".into()],
                        version: 0x304,
                        ja3: format!("{:032x}", host % 7),
                        ja4: "t13d1516h2_8daaf6152771_e5627efa2ab1".into(),
                    }),
                    false,
                ));
                out.push(record(
                    AppEvent::TlsServer(TlsServer {
                        quic: service == Service::Quic,
                        version: 0x304,
                        cipher: 0x1301,
                        alpn: None,
                        ja3s: format!("{:032x}", server % 11),
                    }),
                    true,
                ));
            }
            Service::Http => out.push(record(
                AppEvent::HttpRequest(HttpRequest {
                    method: "GET".into(),
                    host: Some(name()),
                    uri: format!("/asset/{}", draw >> 48),
                    user_agent: Some(
                        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
                    ),
                    content_length: None,
                }),
                false,
            )),
            _ => {}
        }
    }
    let established = state == ConnState::Sf;
    let totals = |packets: u64, flags: u8| Totals {
        packets,
        bytes: packets * (90 + (draw >> 44) % 700),
        wire_bytes: packets * (104 + (draw >> 44) % 700),
        tcp_flags: if protocol == 6 { flags } else { 0 },
        flag_counts: match (protocol, established) {
            (6, true) => [1, 1, 0, packets as u32 / 2, packets as u32 - 1, 0, 0, 0],
            (6, false) => [0, packets as u32, 0, 0, 0, 0, 0, 0],
            _ => [0; 8],
        },
    };
    let new_out = if established {
        totals(3 + (draw >> 30) % 20, 0x1b)
    } else {
        totals(1 + draw % 3, 0x02)
    };
    let new_back = match state {
        ConnState::Sf => totals(2 + (draw >> 34) % 40, 0x1b),
        ConnState::Rej => Totals {
            packets: 1,
            bytes: 40,
            wire_bytes: 54,
            tcp_flags: 0x14,
            flag_counts: [0, 0, 1, 0, 1, 0, 0, 0],
        },
        _ => Totals::default(),
    };
    out.push(Event::Flow(FlowUpdate {
        flow: Flow {
            tuple,
            community_id,
            first,
            last: first.saturating_add(Duration::from_micros(300 + (draw >> 20) % 4_000_000)),
            out: new_out,
            back: new_back,
            state,
            icmp: None,
            vlan: Vec::new(),
            tunnel: None,
            rtt: None,
            seen_at: Vec::new(),
            service,
            reported: None,
        },
        new_out,
        new_back,
        part: 0,
        end: FlowEnd::Closed,
    }));
}
