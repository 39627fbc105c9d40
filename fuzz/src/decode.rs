//! The decoders of payload heads: each alone, through the whole decoder, and what chooses the heads.

use std::net::Ipv6Addr;

use lynceus_model::app::AppEvent;
use lynceus_model::time::Timestamp;
use lynceus_sensor::decode::{DecodeLimits, Decoder, Read, arp, dhcp, dns, http, neighbour, ssh, tls};
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};
use sensor_ebpf::heads::{Choice, FlowHeads, HeadLimits, select};
use sensor_ebpf::parse::{Link, Packet, Slice, USER_LEVELS, parse};

const PORTS: [u16; 4] = [80, 443, 53, 22];

/// DHCP messages, ARP packets and, behind addresses and hop limit, neighbour discovery.
pub fn dhcp_arp(data: &[u8]) {
    let _ = (dhcp::read(data), arp::read(data, None));
    let Some((ends, rest)) = data.split_first_chunk::<33>() else {
        return;
    };
    let [from, to] = [0, 16].map(|at| Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|n| ends[at + n])));
    let message = neighbour::Message {
        from,
        to,
        hop_limit: ends[32],
        link: 0,
        bytes: rest,
        length: rest.len(),
    };
    if let Ok(read) = neighbour::read(&message) {
        assert!(read.sender.is_ipv6() && read.target.is_ipv6());
        assert!(
            read.discovery
                .is_some_and(|said| !said.solicited || !to.is_multicast())
        );
    }
}

/// DNS messages.
pub fn dns_message(data: &[u8]) {
    if let Ok(message) = dns::read(data, false) {
        assert!(message.name.len() <= 4 * 255);
        assert!(message.name.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// Heads of HTTP requests and responses, whole and cut.
pub fn http_head(data: &[u8]) {
    let _ = http::may_be_head(data);
    for whole in [false, true] {
        if let Ok(Read::Done { consumed, .. }) = http::read_head(data, whole) {
            assert!(consumed <= data.len());
        }
    }
}

/// SSH banners and key exchange offers.
pub fn ssh_start(data: &[u8]) {
    for outcome in [ssh::read_banner(data), ssh::read_key_exchange(data, true)] {
        if let Ok(Read::Done { consumed, .. }) = outcome {
            assert!(consumed <= data.len());
        }
    }
}

/// TLS hellos in records, and bare as in QUIC; fingerprints have one length whatever stands in the hello. And the flight
/// behind a ServerHello with the certificate in it.
pub fn tls_hello(data: &[u8]) {
    if let Ok(Read::Done {
        value: (event, left),
        consumed,
    }) = tls::read_hello(data)
    {
        check_hello(&event);
        crate::flight(&[&left.to_be_bytes(), &data[consumed..]].concat());
    }
    if let Ok(Read::Done { value, consumed }) = tls::read_handshake(data, true) {
        assert!(consumed <= data.len());
        check_hello(&value);
    }
}

fn check_hello(event: &AppEvent) {
    if let AppEvent::TlsClient(hello) = event {
        assert_eq!((hello.ja3.len(), hello.ja4.len()), (32, 36));
    }
}

/// QUIC datagrams of both sides of one connection, through the decoder. The first byte of each datagram is its length
/// in units of eight bytes, its lowest bit the side.
pub fn quic_datagrams(data: &[u8]) {
    let mut decoder = Decoder::default();
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (datagram, after) = after.split_at(after.len().min(usize::from(length) * 8));
        rest = after;
        let key = FlowKey {
            protocol: 17,
            low_port: 443,
            ..FlowKey::default()
        };
        let head = head(key, length & 1, datagram);
        decoder.decode(&head, Timestamp(0), None, &mut |_| {});
    }
}

/// Segments of a few TCP flows in any order through the whole decoder. Each segment: four bytes (port, side and cut,
/// sequence number, length), then its payload.
pub fn segments(data: &[u8]) {
    let mut decoder = Decoder::new(DecodeLimits {
        streams: 8,
        ..DecodeLimits::default()
    });
    let mut rest = data;
    let mut heads = 0;
    while let Some((&[port, flags, seq, length], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(after.len().min(usize::from(length)));
        rest = after;
        let key = FlowKey {
            protocol: 6,
            low_port: PORTS[usize::from(port & 3)],
            high_port: u16::from(port >> 2),
            ..FlowKey::default()
        };
        let head = Head {
            tcp_seq: u32::from(seq) * 16,
            tcp_flags: 16,
            payload_len: payload.len() as u32 + u32::from(flags >> 7),
            ..head(key, flags & 1, payload)
        };
        heads += 1;
        decoder.decode(&head, Timestamp(i64::from(flags) << 30), None, &mut |_| {});
        assert!(decoder.resident() <= 10);
    }
    assert_eq!(decoder.counters().heads, heads);
}

fn head(key: FlowKey, side: u8, bytes: &[u8]) -> Head<'_> {
    Head {
        key,
        point: Point {
            ifindex: 0,
            direction: HookDirection::Ingress,
        },
        sender: if side == 0 { Side::Low } else { Side::High },
        time: 0,
        tcp_seq: 0,
        tcp_flags: 0,
        payload_len: bytes.len() as u32,
        bytes,
    }
}

/// The selector of payload heads: what it takes is present in the packet and within the limits. Each frame stands behind
/// its length in one byte.
pub fn selector(data: &[u8]) {
    let limits = HeadLimits::DEFAULT;
    let mut flow = FlowHeads::default();
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (frame, after) = after.split_at(after.len().min(usize::from(length)));
        rest = after;
        let frame = Slice {
            bytes: frame,
            wire_len: frame.len() as u32,
        };
        let mut packet = Packet::default();
        if parse::<_, USER_LEVELS>(&frame, Link::Ethernet, &mut packet).is_ok()
            && let Choice::Take { bytes } = select(&frame, &packet, &mut flow, &limits, || true)
        {
            assert!(bytes <= limits.bytes && u32::from(bytes) <= packet.payload_len && bytes > 0);
        }
    }
}
