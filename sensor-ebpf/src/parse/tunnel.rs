//! Tunnels: from the header that carries a packet to the IP header that is carried.

use super::ip::{GRE, Header, IPIP, IPV6, MPLS, UDP};
use super::link::{self, Version, be16};
use super::{Cursor, Frame, KERNEL_LEVELS, Packet, Refused, ip};
use crate::flow::TunnelKind;

const VXLAN_PORT: u16 = 4789;
/// Where Linux and flannel had VXLAN before the port was assigned.
const LINUX_VXLAN_PORT: u16 = 8472;
/// VXLAN with a next-protocol field (draft-ietf-nvo3-vxlan-gpe).
const VXLAN_GPE_PORT: u16 = 4790;
const GENEVE_PORT: u16 = 6081;
const GTP_USER_PORT: u16 = 2152;
const MPLS_PORT: u16 = 6635;
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;
/// Longest chain of GTP-U extension headers that is followed.
const MAX_GTP_EXTENSIONS: usize = 4;

/// Whether a UDP datagram to this port may be a tunnel, at any level limit.
#[inline(always)]
pub(super) const fn may_be_tunnel_port(port: u16) -> bool {
    matches!(
        port,
        VXLAN_PORT | LINUX_VXLAN_PORT | VXLAN_GPE_PORT | GENEVE_PORT | GTP_USER_PORT | MPLS_PORT
    )
}

/// What is in the packet whose header was just read.
pub(super) enum Inside {
    /// No tunnel, or one that carries something else than IP.
    Nothing,
    /// A tunnel whose inner IP header cannot be used.
    Unreadable,
    Packet,
}

/// What a tunnel header says comes next.
struct Carried {
    kind: TunnelKind,
    vni: u32,
    next: Next,
    at: Cursor,
}

enum Next {
    Ethernet,
    EtherType(u16),
    /// IPv4 or IPv6 by the version nibble.
    Ip,
    Labels,
}

/// Opens the tunnel at the cursor, if there is one, and reads the inner IP header. `header`, `at` and `packet` are changed
/// only if that header is whole.
#[inline(always)]
pub(super) fn open<F: Frame, const LEVELS: usize>(
    frame: &F,
    header: &mut Header,
    at: &mut Cursor,
    packet: &mut Packet,
) -> Inside {
    let carried = match find::<F, LEVELS>(frame, header, *at) {
        Some(Some(carried)) => carried,
        Some(None) => return Inside::Unreadable,
        None => return Inside::Nothing,
    };
    let mut inner_at = carried.at.forget(frame);
    let vlan = packet.key.vlan;
    let (outer, kind, vni) = if LEVELS > KERNEL_LEVELS {
        (packet.outer, packet.key.tunnel, packet.key.vni)
    } else {
        (None, 0, 0)
    };
    // Now and not when the inner header is read: kept in registers, the verifier would walk it once for each kind.
    packet.key.tunnel = carried.kind as u8;
    packet.key.vni = carried.vni;
    packet.outer = Some(packet.key.ends());
    let version = match carried.next {
        Next::Ethernet => link::ethernet::<F, LEVELS>(frame, &mut inner_at, packet),
        Next::EtherType(number) => {
            let number = frame.forget(number as usize) as u16;
            link::ether::<F, LEVELS>(frame, number, &mut inner_at, packet)
        }
        Next::Ip => link::by_version(frame, inner_at),
        Next::Labels => link::labels::<F, LEVELS>(frame, &mut inner_at, packet),
    };
    let read = match version {
        Ok(version) => ip::header(frame, version, &mut inner_at, packet, header),
        Err(reason) => Err(reason),
    };
    match read {
        Ok(()) => {
            *at = inner_at.forget(frame);
            Inside::Packet
        }
        Err(reason) => {
            packet.key.vlan = vlan;
            packet.outer = outer;
            packet.key.tunnel = kind;
            packet.key.vni = vni;
            match reason {
                Refused::Arp | Refused::OtherEtherType => Inside::Nothing,
                _ => Inside::Unreadable,
            }
        }
    }
}

/// Whether the packet carries another tunnel.
#[inline(always)]
pub(super) fn is_tunnel<F: Frame, const LEVELS: usize>(frame: &F, header: &Header, at: Cursor) -> bool {
    find::<F, LEVELS>(frame, header, at).is_some()
}

/// `None`: no tunnel. `Some(None)`: a tunnel header that is cut or broken.
#[inline(always)]
fn find<F: Frame, const LEVELS: usize>(frame: &F, outer: &Header, at: Cursor) -> Option<Option<Carried>> {
    if outer.later_fragment {
        return None;
    }
    let deep = LEVELS > KERNEL_LEVELS;
    match outer.protocol {
        IPIP | IPV6 => {
            let kind = match (outer.version, outer.protocol) {
                (Version::Six, _) => TunnelKind::IpInIpv6,
                (Version::Four, IPIP) => TunnelKind::IpIp,
                (Version::Four, _) => TunnelKind::SixInFour,
            };
            let number = if outer.protocol == IPIP {
                link::IPV4
            } else {
                link::IPV6
            };
            carried(kind, 0, Next::EtherType(number), at)
        }
        GRE => gre::<F, LEVELS>(frame, at),
        MPLS if deep => carried(TunnelKind::MplsInIp, 0, Next::Labels, at),
        UDP => {
            let ports = be16(at.load_at::<F, 2>(frame, 2)?, 0);
            let at = at.skip(8);
            match ports {
                VXLAN_PORT | LINUX_VXLAN_PORT => vxlan(frame, at, ports == LINUX_VXLAN_PORT),
                VXLAN_GPE_PORT => vxlan_gpe(frame, at),
                GENEVE_PORT => geneve(frame, at),
                GTP_USER_PORT if deep => gtp(frame, at),
                MPLS_PORT if deep => carried(TunnelKind::MplsInIp, 0, Next::Labels, at),
                _ => None,
            }
        }
        _ => None,
    }
}

/// RFC 7348. The old port is shared with other protocols, so there the whole header must be as specified.
#[inline(always)]
fn vxlan<F: Frame>(frame: &F, at: Cursor, strict: bool) -> Option<Option<Carried>> {
    let Some(header) = at.load::<F, 8>(frame) else {
        return Some(None);
    };
    if header[0] & 0x08 == 0
        || strict && (header[0] != 8 || header[1] | header[2] | header[3] | header[7] != 0)
    {
        return None;
    }
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    carried(TunnelKind::Vxlan, vni, Next::Ethernet, at.skip(8))
}

/// Like VXLAN; where the P flag is set the fourth byte names what follows.
#[inline(always)]
fn vxlan_gpe<F: Frame>(frame: &F, at: Cursor) -> Option<Option<Carried>> {
    let Some(header) = at.load::<F, 8>(frame) else {
        return Some(None);
    };
    // Version 0, and a network identifier.
    if header[0] & 0x38 != 0x08 {
        return None;
    }
    let next = match (header[0] & 0x04, header[3]) {
        (0, _) | (_, 3) => Next::Ethernet,
        (_, 1) => Next::EtherType(link::IPV4),
        (_, 2) => Next::EtherType(link::IPV6),
        _ => return None,
    };
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    carried(TunnelKind::Vxlan, vni, next, at.skip(8))
}

/// RFC 8926
#[inline(always)]
fn geneve<F: Frame>(frame: &F, at: Cursor) -> Option<Option<Carried>> {
    let Some(header) = at.load::<F, 8>(frame) else {
        return Some(None);
    };
    if header[0] >> 6 != 0 {
        return None;
    }
    let options = (header[0] & 0x3f) as usize * 4;
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let next = by_type(be16(header, 2));
    carried(TunnelKind::Geneve, vni, next, at.skip(8 + options))
}

/// RFC 2784, RFC 2890. Source routing (RFC 1701) and version 1 (PPTP) are not opened.
#[inline(always)]
fn gre<F: Frame, const LEVELS: usize>(frame: &F, at: Cursor) -> Option<Option<Carried>> {
    let Some(header) = at.load::<F, 4>(frame) else {
        return Some(None);
    };
    let flags = be16(header, 0);
    if flags & 0x4007 != 0 {
        return None;
    }
    let mut at = at.skip(4);
    if flags & 0x8000 != 0 {
        at = at.skip(4);
    }
    let mut key = 0;
    if flags & 0x2000 != 0 {
        let Some(bytes) = at.load::<F, 4>(frame) else {
            return Some(None);
        };
        key = u32::from_be_bytes(bytes);
        at = at.skip(4);
    }
    let sequence = flags & 0x1000 != 0;
    if sequence {
        at = at.skip(4);
    }
    match be16(header, 2) {
        ERSPAN_2 if LEVELS > KERNEL_LEVELS => {
            // Type I has neither sequence number nor header.
            let header_len = if sequence { 8 } else { 0 };
            carried(TunnelKind::Erspan, key, Next::Ethernet, at.skip(header_len))
        }
        ERSPAN_3 if LEVELS > KERNEL_LEVELS => {
            let Some(last) = at.load_at::<F, 1>(frame, 11) else {
                return Some(None);
            };
            let header_len = if last[0] & 1 != 0 { 12 + 8 } else { 12 };
            carried(TunnelKind::Erspan, key, Next::Ethernet, at.skip(header_len))
        }
        number => carried(TunnelKind::Gre, key, by_type(number), at),
    }
}

/// 3GPP TS 29.281 §5: user packets (G-PDU) of version 1.
#[inline(always)]
fn gtp<F: Frame>(frame: &F, at: Cursor) -> Option<Option<Carried>> {
    let Some(header) = at.load::<F, 8>(frame) else {
        return Some(None);
    };
    if header[0] & 0xf0 != 0x30 || header[1] != 255 {
        return None;
    }
    let mut at = at.skip(8);
    if header[0] & 7 != 0 {
        let Some(optional) = at.load::<F, 4>(frame) else {
            return Some(None);
        };
        at = at.skip(4);
        let mut next = if header[0] & 4 != 0 { optional[3] } else { 0 };
        for _ in 0..MAX_GTP_EXTENSIONS {
            if next == 0 {
                break;
            }
            let length = match at.load::<F, 1>(frame) {
                Some([units]) if units != 0 => units as usize * 4,
                _ => return Some(None),
            };
            let Some([kind]) = at.load_at::<F, 1>(frame, length - 1) else {
                return Some(None);
            };
            next = kind;
            at = at.skip(length);
        }
        if next != 0 {
            return Some(None);
        }
    }
    carried(TunnelKind::GtpU, 0, Next::Ip, at)
}

#[inline(always)]
const fn by_type(number: u16) -> Next {
    match number {
        link::TRANSPARENT_ETHERNET => Next::Ethernet,
        number => Next::EtherType(number),
    }
}

#[inline(always)]
#[allow(
    clippy::unnecessary_wraps,
    reason = "the answer of every tunnel reader has this form"
)]
const fn carried(kind: TunnelKind, vni: u32, next: Next, at: Cursor) -> Option<Option<Carried>> {
    Some(Some(Carried { kind, vni, next, at }))
}
