//! IPv4 and IPv6 headers, with options and extension headers.

use super::link::{Version, be16};
use super::{Cursor, Degraded, Fragment, Frame, Packet, Refused};
use crate::flow::v4_mapped;

/// Longest chain of extension headers that is followed; RFC 8200 §4.1 names seven in its recommended order.
const MAX_EXTENSIONS: usize = 8;

pub(super) const ICMP: u8 = 1;
pub(super) const IPIP: u8 = 4;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const DCCP: u8 = 33;
pub(super) const IPV6: u8 = 41;
pub(super) const GRE: u8 = 47;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;
pub(super) const UDP_LITE: u8 = 136;
pub(super) const MPLS: u8 = 137;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const SHIM6: u8 = 140;

/// What an IP header says that the flow key needs.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) version: Version,
    /// Behind all extension headers that were followed.
    pub(super) protocol: u8,
    /// A later fragment has no transport header.
    pub(super) later_fragment: bool,
}

impl Header {
    /// What stands there before a header is read: a result that carried the header would leave registers undefined in
    /// the kernel programs, which the verifier refuses.
    pub(super) const NONE: Self = Self {
        version: Version::Four,
        protocol: 0,
        later_fragment: false,
    };
}

/// Reads the IP header at the cursor and moves to what it carries; the cursor's limit becomes the end of the packet.
/// Sets `header` and the fields of `packet` that belong to it; the source stands in the key's `low`, the destination in its
/// `high`, until [`super::transport::finish`] puts them in order. (Carried by value they would not fit the kernel's
/// stack; and it is a function of its own there, so that the verifier and the stack have it once.)
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn header<F: Frame>(
    frame: &F,
    version: Version,
    at: &mut Cursor,
    packet: &mut Packet,
    header: &mut Header,
) -> Result<(), Refused> {
    *at = at.forget(frame);
    // Not a number that the verifier knows: it would keep apart what led to one version and to the other.
    if frame.forget(version as usize) == Version::Four as usize {
        four(frame, at, packet, header)
    } else {
        six(frame, at, packet, header)
    }
}

#[inline(always)]
fn four<F: Frame>(
    frame: &F,
    at: &mut Cursor,
    packet: &mut Packet,
    header: &mut Header,
) -> Result<(), Refused> {
    let bytes: [u8; 20] = at.load(frame).ok_or(Refused::TruncatedIp)?;
    let header_len = (bytes[0] & 0x0f) as usize * 4;
    let stated = be16(bytes, 2) as usize;
    // A length that ends inside the header is as unusable to every stack as a wrong version.
    if bytes[0] >> 4 != 4 || header_len < 20 || stated != 0 && stated < header_len {
        return Err(Refused::BadIpHeader);
    }
    set_length(packet, at, stated);
    packet.ttl = bytes[8];
    let fragment = be16(bytes, 6);
    let id = be16(bytes, 4) as u32;
    packet.fragment = place(fragment & 0x1fff != 0, fragment & 0x2000 != 0, id);
    let mut protocol = bytes[9];
    let later_fragment = fragment & 0x1fff != 0;
    *at = at.skip(header_len);
    if protocol == AUTHENTICATION && !later_fragment {
        extensions(frame, &mut protocol, at, packet);
    }
    packet.key.low = v4_mapped([bytes[12], bytes[13], bytes[14], bytes[15]]);
    packet.key.high = v4_mapped([bytes[16], bytes[17], bytes[18], bytes[19]]);
    *header = Header {
        version: Version::Four,
        protocol,
        later_fragment,
    };
    Ok(())
}

#[inline(always)]
fn six<F: Frame>(
    frame: &F,
    at: &mut Cursor,
    packet: &mut Packet,
    header: &mut Header,
) -> Result<(), Refused> {
    let bytes: [u8; 8] = at.load(frame).ok_or(Refused::TruncatedIp)?;
    let source: [u8; 16] = at.load_at(frame, 8).ok_or(Refused::TruncatedIp)?;
    let destination: [u8; 16] = at.load_at(frame, 24).ok_or(Refused::TruncatedIp)?;
    if bytes[0] >> 4 != 6 {
        return Err(Refused::BadIpHeader);
    }
    packet.key.low = source;
    packet.key.high = destination;
    let payload = be16(bytes, 4) as usize;
    // A payload length of 0 is true only where nothing follows; else it is an offload or a jumbogram.
    let stated = if payload == 0 && bytes[6] != NO_NEXT_HEADER {
        0
    } else {
        payload + 40
    };
    set_length(packet, at, stated);
    packet.ttl = bytes[7];
    packet.fragment = Fragment::Whole;
    let mut protocol = bytes[6];
    *at = at.skip(40);
    extensions(frame, &mut protocol, at, packet);
    *header = Header {
        version: Version::Six,
        protocol,
        later_fragment: matches!(packet.fragment, Fragment::Later { .. }),
    };
    Ok(())
}

const NO_NEXT_HEADER: u8 = 59;

/// Follows extension headers until a transport header, a later fragment or the end.
#[inline(always)]
fn extensions<F: Frame>(frame: &F, protocol: &mut u8, at: &mut Cursor, packet: &mut Packet) {
    for _ in 0..MAX_EXTENSIONS {
        *at = at.forget(frame);
        let unit = match *protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | SHIM6 => 8,
            AUTHENTICATION => 4,
            FRAGMENT => {
                let Some(bytes) = at.load::<F, 8>(frame) else {
                    packet.degraded.get_or_insert(Degraded::TruncatedTransport);
                    return;
                };
                let offset_and_more = be16(bytes, 2);
                let id = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
                packet.fragment = place(offset_and_more & 0xfff8 != 0, offset_and_more & 1 != 0, id);
                *protocol = bytes[0];
                *at = at.skip(8);
                if offset_and_more & 0xfff8 != 0 {
                    return;
                }
                continue;
            }
            _ => return,
        };
        let Some(bytes) = at.load::<F, 2>(frame) else {
            packet.degraded.get_or_insert(Degraded::TruncatedTransport);
            return;
        };
        // AH counts 4-byte words minus 2 (RFC 4302 §2.2), the others 8-byte words minus 1 (RFC 8200 §4).
        let length = if unit == 4 {
            (bytes[1] as usize + 2) * 4
        } else {
            (bytes[1] as usize + 1) * 8
        };
        *protocol = bytes[0];
        *at = at.skip(length);
    }
    if matches!(
        *protocol,
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | SHIM6 | AUTHENTICATION | FRAGMENT
    ) {
        packet.degraded.get_or_insert(Degraded::TooManyExtensionHeaders);
    }
}

/// Sets length and offset of the packet and narrows the cursor to it.
#[inline(always)]
fn set_length(packet: &mut Packet, at: &mut Cursor, stated: usize) {
    let carried = at.limit - at.offset;
    packet.ip_offset = at.offset as u32;
    if stated == 0 {
        packet.ip_len = carried as u32;
        return;
    }
    packet.ip_len = stated as u32;
    if stated > carried {
        packet.degraded.get_or_insert(Degraded::BadIpLength);
    }
    if stated < carried {
        at.limit = at.offset + stated;
    }
}

#[inline(always)]
const fn place(has_offset: bool, more: bool, id: u32) -> Fragment {
    if has_offset {
        Fragment::Later { id }
    } else if more {
        Fragment::First { id }
    } else {
        Fragment::Whole
    }
}
