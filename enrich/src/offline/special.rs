//! Blocks of addresses with a purpose of their own: the registries of RFC 6890 as IANA goes on with them, and multicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lynceus_model::address::Network;

/// What an address is for. The names of Know Your IP, and some more where it says only `reserved`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    Public,
    Private,
    Cgnat,
    Loopback,
    LinkLocal,
    Multicast,
    Unspecified,
    Documentation,
    Benchmarking,
    /// Anycast services and translation between IPv4 and IPv6, as far as they are no hosts of somebody.
    Protocol,
    Reserved,
}

impl Category {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Cgnat => "cgnat",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Protocol => "protocol",
            Self::Reserved => "reserved",
        }
    }
}

/// A block of a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    pub network: Network,
    pub category: Category,
    /// Name in the registry and the RFC.
    pub name: &'static str,
    /// The registry's column "globally reachable".
    pub global: bool,
}

/// The narrowest block that holds the address; `None`: ordinary public address space.
#[must_use]
pub fn special(ip: IpAddr) -> Option<Special> {
    let of_block = |(network, category, name, global): &(Network, Category, &'static str, bool)| Special {
        network: *network,
        category: *category,
        name,
        global: *global,
    };
    let holds = |block: &&(Network, Category, &'static str, bool)| block.0.contains(ip);
    let table = if ip.is_ipv4() { V4 } else { V6 };
    // Narrowest first.
    table.iter().find(holds).map(of_block)
}

/// What the address is for.
#[must_use]
pub fn category(ip: IpAddr) -> Category {
    special(ip).map_or(Category::Public, |special| special.category)
}

/// Globally reachable, and one host's: what providers can be asked about.
#[must_use]
pub fn is_routable(ip: IpAddr) -> bool {
    special(ip).is_none_or(|special| special.global && special.category != Category::Multicast)
}

type Block = (Network, Category, &'static str, bool);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Network {
    match Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix) {
        Some(network) => network,
        None => panic!("a prefix of at most 32 bits"),
    }
}

const fn v6(high: u64, prefix: u8) -> Network {
    match Network::new(IpAddr::V6(Ipv6Addr::from_bits((high as u128) << 64)), prefix) {
        Some(network) => network,
        None => panic!("a prefix of at most 128 bits"),
    }
}

const fn low(value: u128, prefix: u8) -> Network {
    match Network::new(IpAddr::V6(Ipv6Addr::from_bits(value)), prefix) {
        Some(network) => network,
        None => panic!("a prefix of at most 128 bits"),
    }
}

use Category::{
    Benchmarking, Cgnat, Documentation, LinkLocal, Loopback, Multicast, Private, Protocol, Public, Reserved,
    Unspecified,
};

#[rustfmt::skip]
const V4: &[Block] = &[
    (v4(0, 0, 0, 0, 32), Unspecified, "This host on this network (RFC 1122)", false),
    (v4(192, 0, 0, 8, 32), Protocol, "IPv4 dummy address (RFC 7600)", false),
    (v4(192, 0, 0, 9, 32), Protocol, "Port Control Protocol Anycast (RFC 7723)", true),
    (v4(192, 0, 0, 10, 32), Protocol, "TURN Anycast (RFC 8155)", true),
    (v4(192, 0, 0, 170, 32), Protocol, "NAT64/DNS64 Discovery (RFC 7050)", false),
    (v4(192, 0, 0, 171, 32), Protocol, "NAT64/DNS64 Discovery (RFC 7050)", false),
    (v4(255, 255, 255, 255, 32), Reserved, "Limited Broadcast (RFC 919)", false),
    (v4(192, 0, 0, 0, 29), Protocol, "IPv4 Service Continuity Prefix (RFC 7335)", false),
    (v4(192, 0, 0, 0, 24), Protocol, "IETF Protocol Assignments (RFC 6890)", false),
    (v4(192, 0, 2, 0, 24), Documentation, "TEST-NET-1 (RFC 5737)", false),
    (v4(192, 31, 196, 0, 24), Protocol, "AS112-v4 (RFC 7535)", true),
    (v4(192, 52, 193, 0, 24), Protocol, "AMT (RFC 7450)", true),
    (v4(192, 88, 99, 0, 24), Reserved, "Deprecated 6to4 Relay Anycast (RFC 7526)", false),
    (v4(192, 175, 48, 0, 24), Protocol, "Direct Delegation AS112 Service (RFC 7534)", true),
    (v4(198, 51, 100, 0, 24), Documentation, "TEST-NET-2 (RFC 5737)", false),
    (v4(203, 0, 113, 0, 24), Documentation, "TEST-NET-3 (RFC 5737)", false),
    (v4(233, 252, 0, 0, 24), Multicast, "MCAST-TEST-NET (RFC 6676)", false),
    (v4(169, 254, 0, 0, 16), LinkLocal, "Link Local (RFC 3927)", false),
    (v4(192, 168, 0, 0, 16), Private, "Private-Use (RFC 1918)", false),
    (v4(198, 18, 0, 0, 15), Benchmarking, "Benchmarking (RFC 2544)", false),
    (v4(172, 16, 0, 0, 12), Private, "Private-Use (RFC 1918)", false),
    (v4(100, 64, 0, 0, 10), Cgnat, "Shared Address Space (RFC 6598)", false),
    (v4(0, 0, 0, 0, 8), Reserved, "This network (RFC 791)", false),
    (v4(10, 0, 0, 0, 8), Private, "Private-Use (RFC 1918)", false),
    (v4(127, 0, 0, 0, 8), Loopback, "Loopback (RFC 1122)", false),
    (v4(224, 0, 0, 0, 4), Multicast, "Multicast (RFC 5771)", false),
    (v4(240, 0, 0, 0, 4), Reserved, "Reserved (RFC 1112)", false),
];

#[rustfmt::skip]
const V6: &[Block] = &[
    (low(0, 128), Unspecified, "Unspecified Address (RFC 4291)", false),
    (low(1, 128), Loopback, "Loopback Address (RFC 4291)", false),
    (low(0x2001_0001_0000_0000_0000_0000_0000_0001, 128), Protocol, "Port Control Protocol Anycast (RFC 7723)", true),
    (low(0x2001_0001_0000_0000_0000_0000_0000_0002, 128), Protocol, "TURN Anycast (RFC 8155)", true),
    (low(0xffff_0000_0000, 96), Reserved, "IPv4-mapped Address (RFC 4291)", false),
    (low(0x0064_ff9b_0000_0000_0000_0000_0000_0000, 96), Protocol, "IPv4-IPv6 Translation (RFC 6052)", true),
    (v6(0x0100_0000_0000_0000, 64), Reserved, "Discard-Only Address Block (RFC 6666)", false),
    (v6(0x0064_ff9b_0001_0000, 48), Private, "IPv4-IPv6 Translation (RFC 8215)", false),
    (v6(0x2001_0002_0000_0000, 48), Benchmarking, "Benchmarking (RFC 5180)", false),
    (v6(0x2001_0004_0112_0000, 48), Protocol, "AS112-v6 (RFC 7535)", true),
    (v6(0x2620_004f_8000_0000, 48), Protocol, "Direct Delegation AS112 Service (RFC 7534)", true),
    (v6(0x2001_0000_0000_0000, 32), Protocol, "TEREDO (RFC 4380)", false),
    (v6(0x2001_0003_0000_0000, 32), Protocol, "AMT (RFC 7450)", true),
    (v6(0x2001_0db8_0000_0000, 32), Documentation, "Documentation (RFC 3849)", false),
    (v6(0x2001_0010_0000_0000, 28), Reserved, "Deprecated ORCHID (RFC 4843)", false),
    (v6(0x2001_0020_0000_0000, 28), Protocol, "ORCHIDv2 (RFC 7343)", true),
    (v6(0x2001_0030_0000_0000, 28), Protocol, "Drone Remote ID (RFC 9374)", true),
    (v6(0x2001_0000_0000_0000, 23), Protocol, "IETF Protocol Assignments (RFC 2928)", false),
    (v6(0x3fff_0000_0000_0000, 20), Documentation, "Documentation (RFC 9637)", false),
    (v6(0x2002_0000_0000_0000, 16), Protocol, "6to4 (RFC 3056)", false),
    (v6(0x5f00_0000_0000_0000, 16), Protocol, "Segment Routing SIDs (RFC 9602)", false),
    (v6(0xfe80_0000_0000_0000, 10), LinkLocal, "Link-Local Unicast (RFC 4291)", false),
    (v6(0xff00_0000_0000_0000, 8), Multicast, "Multicast (RFC 4291)", false),
    (v6(0xfc00_0000_0000_0000, 7), Private, "Unique-Local (RFC 4193)", false),
    (v6(0x2000_0000_0000_0000, 3), Public, "Global Unicast (RFC 4291)", true),
    (v6(0, 0), Reserved, "Not assigned to global unicast (RFC 4291)", false),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_by_their_purpose() {
        for (text, expected, routable) in [
            ("8.8.8.8", Public, true),
            ("94.31.29.154", Public, true),
            ("10.1.2.3", Private, false),
            ("172.31.255.255", Private, false),
            ("172.32.0.0", Public, true),
            ("192.168.0.1", Private, false),
            ("100.64.0.1", Cgnat, false),
            ("100.128.0.1", Public, true),
            ("127.0.0.1", Loopback, false),
            ("169.254.169.254", LinkLocal, false),
            ("192.0.0.9", Protocol, true),
            ("192.0.0.11", Protocol, false),
            ("192.0.2.1", Documentation, false),
            ("198.19.255.255", Benchmarking, false),
            ("224.0.0.251", Multicast, false),
            ("0.0.0.0", Unspecified, false),
            ("0.1.2.3", Reserved, false),
            ("255.255.255.255", Reserved, false),
            ("2001:4860:4860::8888", Public, true),
            ("2001:db8::1", Documentation, false),
            ("3fff:1::1", Documentation, false),
            ("2001::1", Protocol, false),
            ("64:ff9b::808:808", Protocol, true),
            ("fd00::1", Private, false),
            ("fe80::1", LinkLocal, false),
            ("ff02::fb", Multicast, false),
            ("::1", Loopback, false),
            ("::", Unspecified, false),
            ("4000::1", Reserved, false),
        ] {
            let ip = text.parse().unwrap();
            assert_eq!((category(ip), is_routable(ip)), (expected, routable), "{text}");
        }
    }

    #[test]
    fn narrower_blocks_stand_first() {
        for table in [V4, V6] {
            assert!(table.is_sorted_by_key(|block| std::cmp::Reverse(block.0.prefix())));
        }
    }
}
