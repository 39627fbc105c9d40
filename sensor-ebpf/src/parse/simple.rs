//! The short way through the parser for what most packets are: Ethernet with at most two VLAN tags, IPv4 without
//! options or IPv6 without extension headers, not fragmented, not in a tunnel, TCP or UDP, everything present and every
//! length as it should be.
//!
//! It decides nothing of its own: for a frame that it takes, [`super::parse_general`] gives the same packet (tested), and
//! every other frame it leaves to that function. The kernel programs and user space both try it first.

use super::ip::{TCP, UDP};
use super::link::{IPV4, IPV6, OLD_QINQ, SERVICE_VLAN, VLAN, be16, push_vlan};
use super::tunnel::may_be_tunnel_port;
use super::{Frame, Packet};
use crate::flow::v4_mapped;

/// Parses an Ethernet frame of the usual kind; `false` for any other, and then `packet` holds nothing of meaning.
#[inline(always)]
pub fn parse_simple<F: Frame>(frame: &F, packet: &mut Packet) -> bool {
    *packet = Packet::default();
    let mut limit = frame.wire_len() as usize;
    if let Some(tag) = frame.stripped_tag() {
        push_vlan(packet, tag);
        limit = limit.saturating_sub(4);
    }
    let Some(kind) = frame.load::<2>(12) else {
        return false;
    };
    let mut ether_type = be16(kind, 0);
    let mut at = 14;
    if matches!(ether_type, VLAN | SERVICE_VLAN | OLD_QINQ) {
        let Some(tag) = frame.load::<4>(14) else {
            return false;
        };
        push_vlan(packet, be16(tag, 0));
        ether_type = be16(tag, 2);
        at = 18;
        if matches!(ether_type, VLAN | SERVICE_VLAN | OLD_QINQ) {
            let Some(tag) = frame.load::<4>(18) else {
                return false;
            };
            push_vlan(packet, be16(tag, 0));
            ether_type = be16(tag, 2);
            at = 22;
        }
        at = frame.forget(at);
    }
    let (header_len, stated, protocol);
    if ether_type == IPV4 {
        let Some(bytes) = frame.load::<20>(at) else {
            return false;
        };
        if bytes[0] != 0x45 || be16(bytes, 6) & 0x3fff != 0 {
            return false;
        }
        header_len = 20;
        stated = be16(bytes, 2) as usize;
        protocol = bytes[9];
        packet.ttl = bytes[8];
        packet.key.low = v4_mapped([bytes[12], bytes[13], bytes[14], bytes[15]]);
        packet.key.high = v4_mapped([bytes[16], bytes[17], bytes[18], bytes[19]]);
    } else if ether_type == IPV6 {
        let (Some(bytes), Some(source), Some(destination)) = (
            frame.load::<8>(at),
            frame.load::<16>(at + 8),
            frame.load::<16>(at + 24),
        ) else {
            return false;
        };
        let payload = be16(bytes, 4) as usize;
        if bytes[0] >> 4 != 6 || payload == 0 {
            return false;
        }
        header_len = 40;
        stated = payload + 40;
        protocol = bytes[6];
        packet.ttl = bytes[7];
        packet.key.low = source;
        packet.key.high = destination;
    } else {
        return false;
    }
    let end = at + stated;
    let transport = at + header_len;
    if stated < header_len || end > limit {
        return false;
    }
    let (ports, transport_len);
    if protocol == TCP {
        let Some(bytes) = frame.load::<20>(transport) else {
            return false;
        };
        transport_len = (bytes[12] >> 4) as usize * 4;
        if transport_len < 20 || transport + transport_len > end {
            return false;
        }
        packet.tcp_seq = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        packet.tcp_flags = bytes[13];
        ports = (be16(bytes, 0), be16(bytes, 2));
    } else if protocol == UDP {
        let Some(bytes) = frame.load::<8>(transport) else {
            return false;
        };
        transport_len = 8;
        ports = (be16(bytes, 0), be16(bytes, 2));
        if transport + 8 > end || be16(bytes, 4) < 8 || may_be_tunnel_port(ports.1) {
            return false;
        }
    } else {
        return false;
    }
    packet.key.protocol = protocol;
    packet.sender = packet.key.put_in_order(ports.0, ports.1);
    packet.ip_len = stated as u32;
    packet.ip_offset = at as u32;
    packet.payload_offset = (transport + transport_len) as u32;
    packet.payload_len = (end - transport - transport_len) as u32;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Link, Slice, USER_LEVELS, parse_general};

    /// Headers that the mutations start from.
    fn frames() -> Vec<Vec<u8>> {
        let mut tcp4 = vec![0u8; 12];
        tcp4.extend([0x08, 0x00]);
        tcp4.extend([0x45, 0, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
        tcp4.extend([
            0x30, 0x39, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x60, 0x02, 0, 0, 0, 0, 0, 0, 2, 4, 5, 0xb4,
        ]);
        let mut udp6 = vec![0u8; 12];
        udp6.extend([0x81, 0, 0x20, 5, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, 17, 9]);
        udp6.extend([0xfe; 16]);
        udp6.extend([0xfd; 16]);
        udp6.extend([0, 53, 0x30, 0x39, 0, 12, 0, 0, 1, 2, 3, 4]);
        let mut tagged = tcp4.clone();
        tagged.splice(12..12, [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2]);
        vec![tcp4, udp6, tagged]
    }

    fn check(bytes: &[u8], wire_len: usize) -> bool {
        let frame = Slice {
            bytes,
            wire_len: u32::try_from(wire_len).expect("short"),
        };
        let (mut simple, mut general) = (Packet::default(), Packet::default());
        let taken = parse_simple(&frame, &mut simple);
        if taken {
            let result = parse_general::<_, USER_LEVELS>(&frame, Link::Ethernet, &mut general);
            assert_eq!(result, Ok(()), "{bytes:02x?}");
            assert_eq!(simple, general, "{bytes:02x?}");
        }
        taken
    }

    #[test]
    fn takes_the_usual_frames() {
        for frame in frames() {
            assert!(check(&frame, frame.len()), "{frame:02x?}");
        }
    }

    #[test]
    fn agrees_with_the_general_parser_on_every_cut() {
        for frame in frames() {
            for cut in 0..frame.len() {
                check(&frame[..cut], cut);
                check(&frame[..cut], frame.len());
            }
        }
    }

    #[test]
    fn agrees_with_the_general_parser_on_mutations() {
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut taken = 0;
        for _ in 0..200_000 {
            let frames = frames();
            let mut frame = frames[next() as usize % frames.len()].clone();
            for _ in 0..1 + next() % 3 {
                let at = next() as usize % frame.len();
                frame[at] = next() as u8;
            }
            taken += u32::from(check(&frame, frame.len()));
        }
        // Most single bytes (addresses, ports) leave the frame usual; if none did, the test would test nothing.
        assert!(taken > 20_000, "{taken}");
    }
}
