//! Ports, TCP flags and ICMP types: what makes the key complete.

use super::ip::{DCCP, Header, ICMP, ICMPV6, SCTP, TCP, UDP, UDP_LITE};
use super::link::be16;
use super::{Cursor, Degraded, Frame, Packet};
use crate::flow::{OneWay, Side};

/// Reads the transport header and writes the key.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn finish<F: Frame>(frame: &F, header: &Header, at: &Cursor, packet: &mut Packet) {
    let at = *at;
    let mut ports = (0, 0);
    let mut one_way = false;
    let mut header_len = 0;
    if !header.later_fragment {
        match header.protocol {
            TCP => (ports, header_len) = tcp(frame, at, packet),
            UDP | UDP_LITE => {
                ports = read_ports(frame, at, packet);
                header_len = 8;
                if header.protocol == UDP {
                    check_udp_length(frame, at, packet);
                }
            }
            SCTP | DCCP => {
                ports = read_ports(frame, at, packet);
                header_len = 12;
            }
            ICMP | ICMPV6 => {
                if let Some([kind, code]) = at.load::<F, 2>(frame) {
                    packet.icmp = Some((kind, code));
                    let answer = if header.protocol == ICMP {
                        icmp4_answer(kind)
                    } else {
                        icmp6_answer(kind)
                    };
                    one_way = answer.is_none();
                    ports = (kind as u16, answer.unwrap_or(code) as u16);
                    header_len = 8;
                } else {
                    lacking(at, 2, packet);
                }
            }
            _ => {}
        }
    }
    packet.key.protocol = header.protocol;
    packet.sender = packet.key.put_in_order_apart(ports.0, ports.1);
    packet.key.one_way = match (one_way, packet.sender) {
        (false, _) => 0,
        (true, Side::Low) => OneWay::LowToHigh as u8,
        (true, Side::High) => OneWay::HighToLow as u8,
    };
    let start = at.offset + header_len;
    packet.payload_offset = start as u32;
    packet.payload_len = at.limit.saturating_sub(start) as u32;
}

/// Returns ports and header length.
#[inline(always)]
fn tcp<F: Frame>(frame: &F, at: Cursor, packet: &mut Packet) -> ((u16, u16), usize) {
    if let Some(bytes) = at.load::<F, 14>(frame) {
        packet.tcp_seq = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        packet.tcp_flags = bytes[13];
        let header_len = (bytes[12] >> 4) as usize * 4;
        if header_len < 20 || at.offset + header_len > at.limit {
            packet.degraded.get_or_insert(Degraded::BadTransportLength);
        } else if frame.load::<1>(at.offset + 19).is_none() {
            packet.degraded.get_or_insert(Degraded::TruncatedTransport);
        }
        let ports = (be16(bytes, 0), be16(bytes, 2));
        return (ports, if header_len < 20 { 20 } else { header_len });
    }
    lacking(at, 14, packet);
    let ports = at
        .load::<F, 4>(frame)
        .map_or((0, 0), |bytes| (be16(bytes, 0), be16(bytes, 2)));
    (ports, 20)
}

#[inline(always)]
fn read_ports<F: Frame>(frame: &F, at: Cursor, packet: &mut Packet) -> (u16, u16) {
    if let Some(bytes) = at.load::<F, 4>(frame) {
        (be16(bytes, 0), be16(bytes, 2))
    } else {
        lacking(at, 4, packet);
        (0, 0)
    }
}

/// A UDP length of 0 is a jumbogram or an offload; any other below the header is broken.
#[inline(always)]
fn check_udp_length<F: Frame>(frame: &F, at: Cursor, packet: &mut Packet) {
    match at.load_at::<F, 2>(frame, 4) {
        Some(length) => {
            let length = u16::from_be_bytes(length);
            if length != 0 && length < 8 {
                packet.degraded.get_or_insert(Degraded::BadTransportLength);
            }
        }
        None => lacking(at, 6, packet),
    }
}

/// Tells a header that the IP length leaves no room for from one that the frame does not hold.
#[inline(always)]
fn lacking(at: Cursor, needed: usize, packet: &mut Packet) {
    let reason = if at.offset + needed > at.limit {
        Degraded::BadTransportLength
    } else {
        Degraded::TruncatedTransport
    };
    packet.degraded.get_or_insert(reason);
}

/// Types that answer each other, as in Community ID v1.
#[inline(always)]
const fn icmp4_answer(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// Types that answer each other, as in Community ID v1.
#[inline(always)]
const fn icmp6_answer(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}
