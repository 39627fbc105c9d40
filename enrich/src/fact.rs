//! One source's word on one property of an address: what, by whom, of when, for which range.
//!
//! Three-valued: a fact may say yes, no, or *unknown* with the reason. What nobody could answer is never printed as no.

mod field;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;

pub use field::{CANONICAL, Field, Group, SEPARATE_BY_DESIGN, Shape, field_of, speaker};
pub use value::{Item, Reason, Value};

/// Who says it: the short name that columns and tie orders use (`dbip`, `iptoasn`, `maxmind`, `censys`, `network`).
///
/// One maker of data is one source, however many of its files were read: two files of one maker are not two votes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub Cow<'static, str>);

impl Source {
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// As people write it.
    #[must_use]
    pub fn title(&self) -> &str {
        match self.name() {
            "abuseipdb" => "AbuseIPDB",
            "apivoid" => "APIVoid",
            "asn" => "RouteViews",
            "censys" => "Censys",
            "computed" => "computed",
            "crowdsec" => "CrowdSec",
            "cymru" => "Team Cymru",
            "dbip" => "DB-IP",
            "dnsbl" => "DNS block lists",
            "feeds" => "feeds",
            "geonames" => "GeoNames",
            "greynoise" => "GreyNoise",
            "handshakes" => "handshakes of own sensors",
            "iana" => "IANA",
            "internetdb" => "InternetDB",
            "ipfire" => "IPFire",
            "ipinfo" => "IPinfo",
            "iptoasn" => "IPtoASN",
            "maxmind" => "MaxMind",
            "network" => "address itself",
            "ranges" => "published ranges",
            "rdap" => "RDAP",
            "reverse_dns" => "reverse DNS",
            "scan" => "scan from here",
            "sensors" => "own sensors",
            "shodan" => "Shodan",
            "timezone" => "OpenStreetMap zones 2026f",
            "virustotal" => "VirusTotal",
            other => other,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The range that a table matched: every address from `first` to `last` gets the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Matched {
    pub first: IpAddr,
    pub last: IpAddr,
}

impl Matched {
    /// The range as one network, where it is one.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        let (first, last, bits) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                (u128::from(first.to_bits()), u128::from(last.to_bits()), 32)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits(), 128),
            _ => return None,
        };
        let host = (first ^ last).count_ones();
        // One network: the bits that differ are the lowest ones, all 0 in the first and all 1 in the last address.
        let mask = 1_u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
        if first & mask != 0 || last != first | mask {
            return None;
        }
        Network::new(self.first, u8::try_from(bits - host).ok()?)
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.first.is_ipv4() == ip.is_ipv4() && self.first <= ip && ip <= self.last
    }
}

impl From<Network> for Matched {
    fn from(network: Network) -> Self {
        let last = match network.address() {
            IpAddr::V4(ip) => {
                let host = u32::MAX.checked_shr(u32::from(network.prefix())).unwrap_or(0);
                IpAddr::V4((ip.to_bits() | host).into())
            }
            IpAddr::V6(ip) => {
                let host = u128::MAX.checked_shr(u32::from(network.prefix())).unwrap_or(0);
                IpAddr::V6((ip.to_bits() | host).into())
            }
        };
        let first = Network::new(network.address(), network.prefix()).unwrap_or(network);
        Self {
            first: first.address(),
            last,
        }
    }
}

/// `8.8.8.0/24`, or `94.31.29.0–94.31.43.255` where it is no network.
impl fmt::Display for Matched {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.network() {
            Some(network) => network.fmt(formatter),
            None => write!(formatter, "{}–{}", self.first, self.last),
        }
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub field: Field,
    pub value: Value,
    pub source: Source,
    /// When this held: the date of the data, or when a service was asked. `None`: not known.
    pub as_of: Option<Timestamp>,
    /// The range that the answer is for. `None`: this address alone, or not known.
    pub matched: Option<Matched>,
}

impl Fact {
    #[must_use]
    pub fn new(field: Field, value: impl Into<Value>, source: Source) -> Self {
        Self {
            field,
            value: value.into(),
            source,
            as_of: None,
            matched: None,
        }
    }

    /// The source was asked, or would have to be, and cannot say.
    #[must_use]
    pub fn unknown(field: Field, reason: Reason, source: Source) -> Self {
        Self::new(field, Value::Unknown(reason), source)
    }

    #[must_use]
    pub fn as_of(self, time: impl Into<Option<Timestamp>>) -> Self {
        Self {
            as_of: time.into(),
            ..self
        }
    }

    #[must_use]
    pub fn matched(self, range: impl Into<Option<Matched>>) -> Self {
        Self {
            matched: range.into(),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(first: &str, last: &str) -> Matched {
        Matched {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
        }
    }

    #[test]
    fn a_range_is_a_network_only_where_it_is_one() {
        for (first, last, text) in [
            ("8.8.8.0", "8.8.8.255", "8.8.8.0/24"),
            ("94.31.29.0", "94.31.43.255", "94.31.29.0–94.31.43.255"),
            ("10.0.1.0", "10.0.2.255", "10.0.1.0–10.0.2.255"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
            (
                "2001:db8::",
                "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db8::/32",
            ),
        ] {
            assert_eq!(matched(first, last).to_string(), text);
        }
    }

    #[test]
    fn a_network_is_a_range_that_holds_its_ends() {
        for text in ["8.8.8.0/24", "0.0.0.0/0", "::/0", "192.0.2.1/32", "2001:db8::/33"] {
            let range = Matched::from(text.parse::<Network>().unwrap());
            assert_eq!(range.to_string(), text);
            assert!(range.contains(range.first) && range.contains(range.last));
        }
        assert!(!matched("8.8.8.0", "8.8.8.255").contains("8.8.9.0".parse().unwrap()));
        assert!(!matched("0.0.0.0", "255.255.255.255").contains("::1".parse().unwrap()));
    }
}
