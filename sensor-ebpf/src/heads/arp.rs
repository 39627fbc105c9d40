//! Heads of ARP packets, which have no flow: each goes up, as far as the bucket of its sender allows.

use super::{Choice, HeadRefused};
use crate::parse::{Frame, Link};

/// Decides about an ARP packet.
#[inline(always)]
pub fn select_arp(admit: impl FnOnce() -> bool) -> Choice {
    if admit() {
        Choice::Take {
            bytes: ARP_HEAD_BYTES,
        }
    } else {
        Choice::Refuse(HeadRefused::SourceRate)
    }
}

/// Bytes of an ARP head: the link addresses ([`ARP_LINK_BYTES`]) and an ARP packet for Ethernet and IPv4.
pub const ARP_HEAD_BYTES: u16 = ARP_LINK_BYTES + 28;
/// Destination and source of the Ethernet frame.
pub const ARP_LINK_BYTES: u16 = 12;
/// `low_port` of the key of an ARP head (its EtherType); the key's `protocol` is 0. `high_port` says how many bytes of
/// link addresses stand before the ARP packet: [`ARP_LINK_BYTES`], or 0 where the link has none.
pub const ARP_ETHER_TYPE: u16 = 0x0806;

/// Where an ARP packet begins in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArpPlace {
    pub offset: usize,
    /// Whose bucket pays: the frame's source address.
    pub source: [u8; 16],
    /// The frame begins with Ethernet addresses.
    pub ethernet: bool,
}

/// Finds the ARP packet in a frame that the parser refused as [`crate::parse::Refused::Arp`]; up to two VLAN tags.
#[inline(always)]
pub fn arp_place<F: Frame>(frame: &F, link: Link) -> Option<ArpPlace> {
    let mut source = [0u8; 16];
    let (mut at, ethernet) = match link {
        Link::Ethernet => {
            let mac = frame.load::<6>(6)?;
            source[10] = mac[0];
            source[11] = mac[1];
            source[12] = mac[2];
            source[13] = mac[3];
            source[14] = mac[4];
            source[15] = mac[5];
            (12, true)
        }
        Link::LinuxSll => (14, false),
        Link::LinuxSll2 => {
            let protocol = u16::from_be_bytes(frame.load::<2>(0)?);
            return (protocol == ARP_ETHER_TYPE).then_some(ArpPlace {
                offset: 20,
                source,
                ethernet: false,
            });
        }
        Link::RawIp | Link::Null | Link::Ppp => return None,
    };
    for _ in 0..3 {
        match u16::from_be_bytes(frame.load::<2>(at)?) {
            ARP_ETHER_TYPE => {
                return Some(ArpPlace {
                    offset: at + 2,
                    source,
                    ethernet,
                });
            }
            0x8100 | 0x88a8 | 0x9100 => at += 4,
            _ => return None,
        }
    }
    None
}
