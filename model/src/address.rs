//! Kinds of addresses that rules ask for, IPv4 and IPv6 alike.

use std::net::IpAddr;
use std::str::FromStr;

/// Networks as `address/prefix`: home networks, gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Not `address/prefix` with a prefix that the address has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotANetwork(pub String);

impl Network {
    /// The network of an address, bits behind the prefix cleared; `None` where the address has no room for the prefix.
    #[must_use]
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(ip) if prefix <= 32 => {
                let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) };
                IpAddr::V4(std::net::Ipv4Addr::from_bits(ip.to_bits() & mask))
            }
            IpAddr::V6(ip) if prefix <= 128 => {
                let mask = if prefix == 0 {
                    0
                } else {
                    u128::MAX << (128 - prefix)
                };
                IpAddr::V6(std::net::Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { address, prefix })
    }

    /// A network of one.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        Self { address, prefix }
    }

    /// As written: bits behind the prefix may be set unless [`Self::new`] made it.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Every address of the other one is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                same(own.to_bits().into(), ip.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => same(own.to_bits(), ip.to_bits(), 128, self.prefix),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    /// `192.168.0.0/16`, `fd00::/8`; an address alone is a network of one. Bits behind the prefix are ignored.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let fault = || NotANetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| fault())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(fault)?,
            None => bits,
        };
        Ok(Self { address, prefix })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl std::fmt::Display for NotANetwork {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "`{}` is not a network such as 192.168.0.0/16 or fd00::/8",
            self.0
        )
    }
}

impl std::error::Error for NotANetwork {}

/// An address of one host: not multicast, not broadcast, not unspecified.
#[must_use]
pub fn is_host(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}

/// A host that a scan or an upload can aim at: not multicast, broadcast, link-local, loopback or reserved.
#[must_use]
pub fn is_target(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            // 0/8 "this network", 127/8, 169.254/16, 224/4 multicast, 240/4 reserved with the broadcast address.
            first != 0 && first < 224 && !ip.is_loopback() && !ip.is_link_local()
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_target(IpAddr::V4(ip)),
            None => {
                !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unicast_link_local()
            }
        },
    }
}

/// An address that only means something inside a network: 10/8, 172.16/12, 192.168/16 (RFC 1918), fc00::/7 (RFC 4193).
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_private(),
            None => ip.is_unique_local(),
        },
    }
}

/// A host of the Internet: a target that is neither private nor behind a carrier's translation (100.64/10, RFC 6598).
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    let shared = matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64);
    is_target(ip) && !is_private(ip) && !shared
}

/// The private range an address lies in: its RFC 1918 block, or the /48 of a site (RFC 4193 §3.1). `None` for others.
#[must_use]
pub fn private_range(ip: IpAddr) -> Option<Network> {
    let prefix = match ip {
        IpAddr::V4(v4) if v4.is_private() => match v4.octets()[0] {
            10 => 8,
            172 => 12,
            _ => 16,
        },
        IpAddr::V6(v6) if v6.is_unique_local() => 48,
        _ => return None,
    };
    let address = match ip {
        IpAddr::V4(v4) => IpAddr::from((v4.to_bits() & (u32::MAX << (32 - prefix))).to_be_bytes()),
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() & (u128::MAX << (128 - prefix))).to_be_bytes()),
    };
    Some(Network {
        address,
        prefix: prefix as u8,
    })
}

fn same(a: u128, b: u128, bits: u32, prefix: u8) -> bool {
    (a ^ b).checked_shr(bits - u32::from(prefix)).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks() {
        let home: Network = "192.168.7.9/16".parse().unwrap();
        assert!(home.contains(ip("192.168.255.1")) && !home.contains(ip("192.169.0.1")));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains(ip("2001:db8::1")) && !all.contains(ip("10.0.0.1")));
        let one: Network = "fe80::1".parse().unwrap();
        assert!(one.contains(ip("fe80::1")) && !one.contains(ip("fe80::2")));
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/", "host/8"] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork(text.to_owned())));
        }
    }

    #[test]
    fn private_and_public() {
        let range = |text| private_range(ip(text)).map(|range| range.to_string());
        assert_eq!(range("172.20.1.2").as_deref(), Some("172.16.0.0/12"));
        assert_eq!(range("192.168.9.9").as_deref(), Some("192.168.0.0/16"));
        assert_eq!(
            range("fd12:3456:789a:1::5").as_deref(),
            Some("fd12:3456:789a::/48")
        );
        assert_eq!(range("8.8.8.8"), None);
        for text in ["8.8.8.8", "2001:db8::1", "100.128.0.1"] {
            assert!(is_public(ip(text)) && !is_private(ip(text)), "{text}");
        }
        for text in [
            "10.1.1.1",
            "fd00::1",
            "100.64.0.1",
            "169.254.0.1",
            "224.0.0.1",
            "fe80::1",
        ] {
            assert!(!is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn targets() {
        for text in ["10.0.0.1", "8.8.8.8", "2001:db8::1", "fd00::1", "::ffff:1.2.3.4"] {
            assert!(is_target(ip(text)), "{text}");
        }
        let others = [
            "0.0.0.0",
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.251",
            "255.255.255.255",
            "240.0.0.1",
            "::",
        ];
        for text in others
            .into_iter()
            .chain(["::1", "fe80::1", "ff02::fb", "::ffff:127.0.0.1"])
        {
            assert!(!is_target(ip(text)), "{text}");
        }
    }
}
