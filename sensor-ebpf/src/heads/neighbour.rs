//! Heads of neighbour discovery (RFC 4861): solicitations and advertisements, which are to IPv6 what ARP is to IPv4. As of
//! ARP each goes up, as far as the bucket of its source allows; they have a flow, of which nothing need be known.

use super::Offered;
use crate::parse::{Fragment, Packet};

/// Number of ICMPv6 as a protocol of IP.
pub const ICMPV6: u8 = 58;
/// ICMPv6 type of a neighbour solicitation.
pub const SOLICITATION: u8 = 135;
/// ICMPv6 type of a neighbour advertisement.
pub const ADVERTISEMENT: u8 = 136;

/// Bytes that the parser takes for the header of every message of ICMP.
const HEADER_BYTES: u32 = 8;

/// The whole ICMPv6 message, with the hop limit for flags; `None` for every other packet of ICMPv6. What comes in fragments
/// no host takes for neighbour discovery (RFC 6980 §5).
#[inline(always)]
pub(super) const fn offered(packet: &Packet) -> Option<Offered> {
    let Some((SOLICITATION | ADVERTISEMENT, _)) = packet.icmp else {
        return None;
    };
    let Fragment::Whole = packet.fragment else {
        return None;
    };
    Some(Offered {
        protocol: ICMPV6,
        low_port: packet.key.low_port,
        high_port: packet.key.high_port,
        sender: packet.sender as u32,
        payload_offset: packet.payload_offset.wrapping_sub(HEADER_BYTES),
        payload_len: packet.payload_len.wrapping_add(HEADER_BYTES),
        tcp_flags: packet.ttl,
        tcp_seq: 0,
        zero: [0; 2],
    })
}
