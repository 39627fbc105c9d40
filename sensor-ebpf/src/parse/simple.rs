//! The short way through the parser for what most packets are: Ethernet with at most two VLAN tags, IPv4 without
//! options or IPv6 without extension headers, not fragmented, not in a tunnel, TCP or UDP, everything present and every
//! length as it should be.
//!
//! It decides nothing of its own: for a frame that it takes, [`super::parse_general`] gives the same packet (tested), and
//! every other frame it leaves to that function. The kernel programs and user space both try it first.
//!
//! Written in words of eight bytes: put together byte by byte, the key cost the kernel programs more than the rest of
//! their work (`docs/decisions/0010`).

use super::ip::{TCP, UDP};
use super::link::{IPV4, IPV6, OLD_QINQ, SERVICE_VLAN, VLAN, be16};
use super::tunnel::may_be_tunnel_port;
use super::{Fragment, Frame, Packet, Twenty};
use crate::flow::{FlowKey, KEY_IPV4, KeyWords, Side, VLAN_PRESENT, less};

/// Place of [`KEY_IPV4`].
const KIND: u32 = KEY_IPV4.trailing_zeros();

/// What [`parse_simple`] reads. Everything else of a [`Packet`] has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simple {
    /// [`FlowKey::words`]
    pub key: KeyWords,
    /// 0 where the key's low end sent the packet, 1 where the high end did.
    pub sender: u64,
    pub ip_len: u32,
    pub ip_offset: u32,
    pub payload_offset: u32,
    pub payload_len: u32,
    pub ttl: u8,
    /// 0 for UDP, as `tcp_seq`.
    pub tcp_flags: u8,
    pub tcp_seq: u32,
}

impl Simple {
    /// What stands there before a frame is parsed.
    pub const NONE: Self = Self {
        key: [0; 6],
        sender: 0,
        ip_len: 0,
        ip_offset: 0,
        payload_offset: 0,
        payload_len: 0,
        ttl: 0,
        tcp_flags: 0,
        tcp_seq: 0,
    };

    /// The same as the general parser makes of the frame.
    #[inline(always)]
    #[must_use]
    pub fn packet(&self) -> Packet {
        Packet {
            key: FlowKey::from_words(&self.key),
            sender: if self.sender == 0 { Side::Low } else { Side::High },
            ip_len: self.ip_len,
            ip_offset: self.ip_offset,
            payload_offset: self.payload_offset,
            payload_len: self.payload_len,
            ttl: self.ttl,
            tcp_flags: self.tcp_flags,
            tcp_seq: self.tcp_seq,
            icmp: None,
            fragment: Fragment::Whole,
            outer: None,
            degraded: None,
        }
    }
}

/// Parses an Ethernet frame of the usual kind; `false` for any other, and then `simple` holds nothing of meaning.
#[inline(always)]
pub fn parse_simple<F: Frame>(frame: &F, simple: &mut Simple) -> bool {
    let mut limit = u64::from(frame.wire_len());
    let mut vlan = 0;
    if let Some(tag) = frame.stripped_tag() {
        vlan = with_tag(vlan, tag);
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
        vlan = with_tag(vlan, be16(tag, 0));
        ether_type = be16(tag, 2);
        at = 18;
        if matches!(ether_type, VLAN | SERVICE_VLAN | OLD_QINQ) {
            let Some(tag) = frame.load::<4>(18) else {
                return false;
            };
            vlan = with_tag(vlan, be16(tag, 0));
            ether_type = be16(tag, 2);
            at = 22;
        }
        at = frame.forget(at);
    }
    // Source, destination; both in the first word where it is IPv4.
    let (version, addresses, header_len, stated, protocol): (u64, [u64; 4], _, _, _);
    if ether_type == IPV4 {
        let Some(Twenty { pair, words }) = frame.twenty(at) else {
            return false;
        };
        // Version and header length; a fragment's offset and its "more" bit.
        if pair.0 & 0xff != 0x45 || swapped((words[0] >> 16) as u16) & 0x3fff != 0 {
            return false;
        }
        header_len = 20;
        stated = swapped(pair.1);
        simple.ttl = words[1] as u8;
        protocol = u64::from(words[1] >> 8 & 0xff);
        version = KEY_IPV4 >> KIND;
        addresses = [u64::from(words[2]) | u64::from(words[3]) << 32, 0, 0, 0];
    } else if ether_type == IPV6 {
        // One after the other and not as a tuple, of which every part would be tried.
        let Some(first) = frame.word(at) else { return false };
        let Some(from) = frame.word(at + 8) else {
            return false;
        };
        let Some(from_end) = frame.word(at + 16) else {
            return false;
        };
        let Some(to) = frame.word(at + 24) else {
            return false;
        };
        let Some(to_end) = frame.word(at + 32) else {
            return false;
        };
        let payload = swapped((first >> 32) as u16);
        if first & 0xf0 != 0x60 || payload == 0 {
            return false;
        }
        header_len = 40;
        stated = payload + 40;
        protocol = first >> 48 & 0xff;
        simple.ttl = (first >> 56) as u8;
        version = 0;
        addresses = [from, from_end, to, to_end];
    } else {
        return false;
    }
    let end = at as u64 + stated;
    let transport = at + header_len;
    if stated < header_len as u64 || end > limit {
        return false;
    }
    let (ports, transport_len);
    if protocol == u64::from(TCP) {
        let Some(Twenty { pair, words }) = frame.twenty(transport) else {
            return false;
        };
        transport_len = u64::from(words[2] >> 2 & 0x3c);
        if transport_len < 20 || transport as u64 + transport_len > end {
            return false;
        }
        simple.tcp_seq = words[0].swap_bytes();
        simple.tcp_flags = (words[2] >> 8) as u8;
        ports = (swapped(pair.0), swapped(pair.1));
    } else if protocol == u64::from(UDP) {
        let Some([a, b, c, d, e, f, ..]) = frame.load::<8>(transport) else {
            return false;
        };
        transport_len = 8;
        let length = u16::from_be_bytes([e, f]);
        ports = (
            u64::from(u16::from_be_bytes([a, b])),
            u64::from(u16::from_be_bytes([c, d])),
        );
        if transport as u64 + 8 > end || length < 8 || may_be_tunnel_port(ports.1 as u16) {
            return false;
        }
        simple.tcp_seq = 0;
        simple.tcp_flags = 0;
    } else {
        return false;
    }
    // Not numbers that the verifier knows: it would walk everything behind here for each version and protocol.
    let kind = protocol | (frame.forget(version as usize) as u64) << KIND;
    let [first, second, third, fourth] = addresses;
    // Without a jump: whose address is lower is as good as random.
    if kind & KEY_IPV4 != 0 {
        let source = u64::from((first as u32).swap_bytes()) << 16 | ports.0;
        let destination = u64::from(((first >> 32) as u32).swap_bytes()) << 16 | ports.1;
        simple.sender = frame.top_bit(destination.wrapping_sub(source));
        let both = first.rotate_right((simple.sender << 5) as u32);
        simple.key = [0, kind, both, 0, 0, 0];
    } else {
        simple.sender = if first != third {
            less(third.swap_bytes(), first.swap_bytes())
        } else if second != fourth {
            less(fourth.swap_bytes(), second.swap_bytes())
        } else {
            frame.top_bit(ports.1.wrapping_sub(ports.0))
        };
        let swap = simple.sender.wrapping_neg();
        let (head, end) = ((first ^ third) & swap, (second ^ fourth) & swap);
        simple.key = [0, kind, first ^ head, second ^ end, third ^ head, fourth ^ end];
    }
    let swap = (ports.0 ^ ports.1) & simple.sender.wrapping_neg();
    simple.key[0] = ports.0 ^ swap | (ports.1 ^ swap) << 16 | vlan;
    simple.ip_len = stated as u32;
    simple.ip_offset = at as u32;
    simple.payload_offset = frame.forget(transport + transport_len as usize) as u32;
    simple.payload_len = (end - transport as u64 - transport_len) as u32;
    true
}

/// A field of the frame as the number that it is.
#[inline(always)]
const fn swapped(field: u16) -> u64 {
    field.swap_bytes() as u64
}

/// Adds a tag behind those that are there; the third and further ones are not kept. As in the key's first word.
#[inline(always)]
const fn with_tag(vlan: u64, tag_control: u16) -> u64 {
    let tag = (tag_control & 0x0fff | VLAN_PRESENT) as u64;
    if vlan == 0 {
        tag << 32
    } else if vlan >> 48 == 0 {
        vlan | tag << 48
    } else {
        vlan
    }
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
        let (mut simple, mut general) = (Simple::NONE, Packet::default());
        let taken = parse_simple(&frame, &mut simple);
        if taken {
            let result = parse_general::<_, USER_LEVELS>(&frame, Link::Ethernet, &mut general);
            assert_eq!(result, Ok(()), "{bytes:02x?}");
            assert_eq!(simple.packet(), general, "{bytes:02x?}");
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
