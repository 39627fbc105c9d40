//! Neighbour discovery (RFC 4861): solicitations and advertisements, what ARP is to IPv4. Checked as a host has to check
//! them (§7.1): what a host would not believe says nothing about it.

use std::net::{IpAddr, Ipv6Addr};

use lynceus_model::app::{Arp, Discovery};
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::heads::{ADVERTISEMENT, SOLICITATION};

/// Type, code, checksum, flags, target (§4.3, §4.4).
const FIXED_BYTES: usize = 24;
/// The hop limit of what no router passed on.
const OWN_LINK: u8 = 255;
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Source and destination of the IPv6 packet.
    pub from: Ipv6Addr,
    pub to: Ipv6Addr,
    pub hop_limit: u8,
    /// See [`Discovery::link`].
    pub link: u64,
    /// From the ICMPv6 type on, as far as it is there.
    pub bytes: &'a [u8],
    /// Length that the IPv6 header states for it.
    pub length: usize,
}

impl<'a> Message<'a> {
    /// Of a head that the selector chose.
    #[must_use]
    pub fn of(head: &Head<'a>) -> Self {
        let (low, high) = (Ipv6Addr::from(head.key.low), Ipv6Addr::from(head.key.high));
        let (from, to) = match head.sender {
            Side::Low => (low, high),
            Side::High => (high, low),
        };
        Self {
            from,
            to,
            hop_limit: head.tcp_flags,
            link: link(head.point.ifindex, &head.key),
            bytes: head.bytes,
            length: head.payload_len as usize,
        }
    }
}

/// Why a message says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// Neither a solicitation nor an advertisement.
    Type,
    /// Not 255: it came through a router, so nobody on the link believes it.
    HopLimit,
    /// Not 0.
    Code,
    /// Not all of it is in the capture, or it is longer than a head.
    Cut,
    /// Shorter than its fixed part.
    Short,
    /// The target is a group.
    Target,
    /// An option without length, or one that is longer than the rest.
    Option,
    /// From `::`, but not to the group of the target's last 24 bits, or with a link-layer address.
    Unspecified,
    /// An answer to one, sent to a group.
    Solicited,
}

impl Refused {
    pub const COUNT: usize = 9;
    pub const ALL: [Self; Self::COUNT] = [
        Self::Type,
        Self::HopLimit,
        Self::Code,
        Self::Cut,
        Self::Short,
        Self::Target,
        Self::Option,
        Self::Unspecified,
        Self::Solicited,
    ];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Type => "neighbour_type",
            Self::HopLimit => "neighbour_hop_limit",
            Self::Code => "neighbour_code",
            Self::Cut => "neighbour_cut",
            Self::Short => "neighbour_short",
            Self::Target => "neighbour_target",
            Self::Option => "neighbour_option",
            Self::Unspecified => "neighbour_unspecified",
            Self::Solicited => "neighbour_solicited",
        }
    }
}

/// Reads a message. An address without a link-layer address of six bytes beside it has the card 0: none is known.
///
/// # Errors
/// The first rule of §7.1 that it breaks.
pub fn read(message: &Message<'_>) -> Result<Arp, Refused> {
    let bytes = message.bytes.get(..message.length).ok_or(Refused::Cut)?;
    let (fixed, options) = bytes.split_first_chunk::<FIXED_BYTES>().ok_or(Refused::Short)?;
    let solicits = match fixed[0] {
        SOLICITATION => true,
        ADVERTISEMENT => false,
        _ => return Err(Refused::Type),
    };
    if message.hop_limit != OWN_LINK {
        return Err(Refused::HopLimit);
    }
    if fixed[1] != 0 {
        return Err(Refused::Code);
    }
    let target = Ipv6Addr::from_segments(std::array::from_fn(|at| {
        u16::from_be_bytes([fixed[8 + at * 2], fixed[9 + at * 2]])
    }));
    if target.is_multicast() {
        return Err(Refused::Target);
    }
    let wanted = if solicits {
        SOURCE_LINK_ADDRESS
    } else {
        TARGET_LINK_ADDRESS
    };
    let card = link_address(options, wanted)?;
    // RFC 4861 §4.4: router, solicited, override are the first bits of an advertisement; of a solicitation they are reserved.
    let flag = |bit: u8| !solicits && fixed[4] & bit != 0;
    let discovery = Discovery {
        from: message.from,
        to: message.to,
        router: flag(0x80),
        solicited: flag(0x40),
        overrides: flag(0x20),
        link: message.link,
    };
    if solicits && message.from.is_unspecified() && (message.to != group_of(target) || card.is_some()) {
        return Err(Refused::Unspecified);
    }
    if discovery.solicited && message.to.is_multicast() {
        return Err(Refused::Solicited);
    }
    let (sender, asked) = if solicits {
        (message.from, target)
    } else {
        (target, message.to)
    };
    Ok(Arp {
        operation: if solicits { REQUEST } else { REPLY },
        sender_mac: card.unwrap_or_default(),
        sender: IpAddr::V6(sender),
        target_mac: [0; 6],
        target: IpAddr::V6(asked),
        frame_destination: None,
        discovery: Some(discovery),
    })
}

/// The link-layer address of an option, where it is one of Ethernet. All options are checked.
fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<[u8; 6]>, Refused> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        if length == 0 {
            return Err(Refused::Option);
        }
        let (option, rest) = options.split_at_checked(length).ok_or(Refused::Option)?;
        if kind == wanted && length == 8 && found.is_none() {
            found = option[2..].first_chunk::<6>().copied();
        }
        options = rest;
    }
    if options.is_empty() {
        Ok(found)
    } else {
        Err(Refused::Option)
    }
}

/// The solicited-node group of an address (RFC 4291 §2.7.1).
fn group_of(target: Ipv6Addr) -> Ipv6Addr {
    const GROUP: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
    Ipv6Addr::from_bits(GROUP | target.to_bits() & 0x00ff_ffff)
}

/// A number for the link that a head came from: interface, VLAN, tunnel. FNV-1a, so that it is the same at every start.
fn link(interface: u32, key: &FlowKey) -> u64 {
    let parts = [
        interface,
        u32::from(key.vlan[0]),
        u32::from(key.vlan[1]),
        u32::from(key.tunnel),
        key.vni,
    ];
    let bytes = parts.into_iter().flat_map(u32::to_be_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
