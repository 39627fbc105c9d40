//! From the first byte of a frame to its first IP header.

use super::{Cursor, Frame, KERNEL_LEVELS, Link, Packet, Refused};
use crate::flow::VLAN_PRESENT;

/// Most VLAN tags, PPP headers and shims in one chain.
const MAX_SHIMS: usize = 8;

/// Most labels in one MPLS stack: the verifier pays for each in the kernel, where routers push at most about ten;
/// captures of broken traffic have more.
const fn max_labels(levels: usize) -> usize {
    if levels == KERNEL_LEVELS { 10 } else { 64 }
}

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86dd;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_MULTICAST: u16 = 0x8848;
pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ARP: u16 = 0x0806;
pub(super) const VLAN: u16 = 0x8100;
pub(super) const SERVICE_VLAN: u16 = 0x88a8;
pub(super) const OLD_QINQ: u16 = 0x9100;
const PPPOE_SESSION: u16 = 0x8864;
const ARPHRD_NETLINK: u16 = 824;

/// Version of an IP header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Four,
    Six,
}

/// Moves to the first IP header of a frame.
#[inline(always)]
pub(super) fn first_header<F: Frame, const LEVELS: usize>(
    frame: &F,
    link: Link,
    at: &mut Cursor,
    packet: &mut Packet,
) -> Result<Version, Refused> {
    match link {
        Link::Ethernet => ethernet::<F, LEVELS>(frame, at, packet),
        Link::RawIp => by_version(frame, *at),
        Link::LinuxSll => {
            let header: [u8; 16] = at.load(frame).ok_or(Refused::TruncatedLink)?;
            cooked::<F, LEVELS>(frame, at.skip(16), at, packet, be16(header, 2), be16(header, 14))
        }
        Link::LinuxSll2 => {
            let header: [u8; 20] = at.load(frame).ok_or(Refused::TruncatedLink)?;
            cooked::<F, LEVELS>(frame, at.skip(20), at, packet, be16(header, 8), be16(header, 0))
        }
        Link::Null => {
            let family: [u8; 4] = at.load(frame).ok_or(Refused::TruncatedLink)?;
            let family = match u32::from_be_bytes(family) {
                big if big < 0x1_0000 => big,
                other => other.swap_bytes(),
            };
            *at = at.skip(4);
            match family {
                2 => Ok(Version::Four),
                // Linux, NetBSD and OpenBSD, FreeBSD, macOS
                10 | 24 | 28 | 30 => Ok(Version::Six),
                _ => Err(Refused::OtherEtherType),
            }
        }
        Link::Ppp => {
            let start: [u8; 2] = at.load(frame).ok_or(Refused::TruncatedLink)?;
            if start == [0xff, 0x03] {
                *at = at.skip(2);
            }
            let ether_type = ppp(frame, at)?;
            ether::<F, LEVELS>(frame, ether_type, at, packet)
        }
    }
}

/// Ethernet II, or LLC/SNAP in 802.3.
#[inline(always)]
pub(super) fn ethernet<F: Frame, const LEVELS: usize>(
    frame: &F,
    at: &mut Cursor,
    packet: &mut Packet,
) -> Result<Version, Refused> {
    let ether_type: [u8; 2] = at.load_at(frame, 12).ok_or(Refused::TruncatedLink)?;
    *at = at.skip(14);
    ether::<F, LEVELS>(frame, u16::from_be_bytes(ether_type), at, packet)
}

/// Follows EtherTypes to an IP header.
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn ether<F: Frame, const LEVELS: usize>(
    frame: &F,
    ether_type: u16,
    at: &mut Cursor,
    packet: &mut Packet,
) -> Result<Version, Refused> {
    let mut ether_type = ether_type;
    for _ in 0..MAX_SHIMS {
        *at = at.forget(frame);
        match ether_type {
            IPV4 => return Ok(Version::Four),
            IPV6 => return Ok(Version::Six),
            VLAN | SERVICE_VLAN | OLD_QINQ => {
                let tag: [u8; 4] = at.load(frame).ok_or(Refused::TruncatedLink)?;
                push_vlan(packet, be16(tag, 0));
                ether_type = be16(tag, 2);
                *at = at.skip(4);
            }
            PPPOE_SESSION => {
                *at = at.skip(6);
                ether_type = ppp(frame, at)?;
            }
            MPLS | MPLS_MULTICAST => return labels::<F, LEVELS>(frame, at, packet),
            ARP => return Err(Refused::Arp),
            // 802.3 length: only SNAP with an Ethernet type can carry IP.
            length if length < 0x0600 => {
                let snap: [u8; 8] = at.load(frame).ok_or(Refused::OtherEtherType)?;
                if snap[0] != 0xaa || snap[1] != 0xaa || snap[2] != 3 || snap[3] | snap[4] | snap[5] != 0 {
                    return Err(Refused::OtherEtherType);
                }
                ether_type = be16(snap, 6);
                if ether_type < 0x0600 {
                    return Err(Refused::OtherEtherType);
                }
                *at = at.skip(8);
            }
            _ => return Err(Refused::OtherEtherType),
        }
    }
    Err(Refused::OtherEtherType)
}

/// Skips an MPLS label stack. What it carries is told by the first nibble (RFC 4928): an IP version, or 0 for the
/// control word of an Ethernet pseudowire (RFC 4448).
#[cfg_attr(target_arch = "bpf", inline(never))]
#[cfg_attr(not(target_arch = "bpf"), inline(always))]
pub(super) fn labels<F: Frame, const LEVELS: usize>(
    frame: &F,
    at: &mut Cursor,
    packet: &mut Packet,
) -> Result<Version, Refused> {
    for _ in 0..max_labels(LEVELS) {
        *at = at.forget(frame);
        let label: [u8; 4] = at.load(frame).ok_or(Refused::TruncatedLink)?;
        *at = at.skip(4);
        if label[2] & 1 != 0 {
            let first: [u8; 1] = at.load(frame).ok_or(Refused::TruncatedIp)?;
            return match first[0] >> 4 {
                4 => Ok(Version::Four),
                6 => Ok(Version::Six),
                0 => pseudowire(frame, at, packet),
                _ => Err(Refused::OtherEtherType),
            };
        }
    }
    Err(Refused::OtherEtherType)
}

/// Ethernet behind a control word. Its EtherType is read once, with at most one VLAN tag: a full chain inside the
/// chain would be recursion.
#[inline(always)]
fn pseudowire<F: Frame>(frame: &F, at: &mut Cursor, packet: &mut Packet) -> Result<Version, Refused> {
    let header: [u8; 2] = at.load_at(frame, 4 + 12).ok_or(Refused::OtherEtherType)?;
    *at = at.skip(4 + 14);
    let mut ether_type = be16(header, 0);
    if ether_type == VLAN {
        let tag: [u8; 4] = at.load(frame).ok_or(Refused::TruncatedLink)?;
        push_vlan(packet, be16(tag, 0));
        ether_type = be16(tag, 2);
        *at = at.skip(4);
    }
    match ether_type {
        IPV4 => Ok(Version::Four),
        IPV6 => Ok(Version::Six),
        ARP => Err(Refused::Arp),
        _ => Err(Refused::OtherEtherType),
    }
}

/// Reads a PPP protocol field as the EtherType that means the same.
#[inline(always)]
fn ppp<F: Frame>(frame: &F, at: &mut Cursor) -> Result<u16, Refused> {
    let protocol: [u8; 2] = at.load(frame).ok_or(Refused::TruncatedLink)?;
    *at = at.skip(2);
    match be16(protocol, 0) {
        0x0021 => Ok(IPV4),
        0x0057 => Ok(IPV6),
        0x0281 => Ok(MPLS),
        _ => Err(Refused::OtherEtherType),
    }
}

/// The rest of both Linux cooked headers.
#[inline(always)]
fn cooked<F: Frame, const LEVELS: usize>(
    frame: &F,
    after: Cursor,
    at: &mut Cursor,
    packet: &mut Packet,
    hardware: u16,
    protocol: u16,
) -> Result<Version, Refused> {
    if hardware == ARPHRD_NETLINK || protocol < 0x0600 {
        return Err(Refused::OtherEtherType);
    }
    *at = after;
    ether::<F, LEVELS>(frame, protocol, at, packet)
}

#[inline(always)]
pub(super) fn by_version<F: Frame>(frame: &F, at: Cursor) -> Result<Version, Refused> {
    let first: [u8; 1] = at.load(frame).ok_or(Refused::TruncatedIp)?;
    match first[0] >> 4 {
        4 => Ok(Version::Four),
        6 => Ok(Version::Six),
        _ => Err(Refused::BadIpHeader),
    }
}

/// The key keeps the two outermost tags; more are skipped.
#[inline(always)]
pub(super) fn push_vlan(packet: &mut Packet, tag_control: u16) {
    let tag = tag_control & 0x0fff | VLAN_PRESENT;
    if packet.key.vlan[0] == 0 {
        packet.key.vlan[0] = tag;
    } else if packet.key.vlan[1] == 0 {
        packet.key.vlan[1] = tag;
    }
}

/// Callers pass constant offsets inside the array.
#[inline(always)]
pub(super) const fn be16<const N: usize>(bytes: [u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
