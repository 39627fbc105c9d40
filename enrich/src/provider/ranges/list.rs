//! Spans of addresses out of whatever a publisher writes: JSON, CSV or a plain list.

use std::net::{IpAddr, SocketAddr};

use lynceus_model::address::Network;
use serde_json::Value;

/// Disjoint spans, sorted; IPv4 and IPv6 apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spans {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// Networks of one list; Amazon's has some 10,000.
const MAX_NETWORKS: usize = 1 << 20;
/// Nesting of a list; deeper is not looked at.
const MAX_DEPTH: usize = 12;

impl Spans {
    /// Every text of a JSON document, or every first field of a line, that is an address, a network, or an address with
    /// port. What is none is passed over: all these lists have other fields beside.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut networks = Vec::new();
        match serde_json::from_slice::<Value>(bytes) {
            Ok(document) if document.is_object() || document.is_array() => {
                collect(&document, &mut networks, 0)
            }
            _ => {
                let text = String::from_utf8_lossy(bytes);
                for line in text.lines().take(MAX_NETWORKS) {
                    let line = line.split(['#', ';', ',']).next().unwrap_or_default();
                    networks.extend(network(line.trim()));
                }
            }
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            // Wider than any provider: an error, or an attempt to list everybody.
            let least = if network.is_ipv4() { 6 } else { 16 };
            if network.prefix() < least {
                continue;
            }
            match network.address() {
                IpAddr::V4(ip) => {
                    let hosts = u32::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    v4.push((ip.to_bits() & !hosts, ip.to_bits() | hosts));
                }
                IpAddr::V6(ip) => {
                    let hosts = u128::MAX.checked_shr(network.prefix().into()).unwrap_or(0);
                    v6.push((ip.to_bits() & !hosts, ip.to_bits() | hosts));
                }
            }
        }
        Self {
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => within(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => within(&self.v6, ip.to_bits()),
        }
    }
}

fn collect(value: &Value, networks: &mut Vec<Network>, depth: usize) {
    if depth > MAX_DEPTH || networks.len() >= MAX_NETWORKS {
        return;
    }
    match value {
        Value::String(text) => networks.extend(network(text)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, networks, depth + 1)),
        Value::Object(fields) => fields
            .values()
            .for_each(|item| collect(item, networks, depth + 1)),
        _ => {}
    }
}

fn network(text: &str) -> Option<Network> {
    let by_port = || {
        text.parse::<SocketAddr>()
            .ok()
            .map(|place| Network::host(place.ip()))
    };
    text.parse().ok().or_else(by_port)
}

fn merged<T: Copy + Ord>(mut spans: Vec<(T, T)>) -> Vec<(T, T)> {
    spans.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<T: Copy + Ord>(spans: &[(T, T)], ip: T) -> bool {
    let after = spans.partition_point(|(first, _)| *first <= ip);
    after > 0 && spans[after - 1].1 >= ip
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn publishers_formats_are_read() {
        for text in [
            r#"{"syncToken":"1","prefixes":[{"ip_prefix":"192.0.2.0/24","region":"x"}],"ipv6_prefixes":[{"ipv6_prefix":"2001:db8::/32"}]}"#,
            r#"{"prefixes":[{"ipv4Prefix":"192.0.2.0/24"},{"ipv6Prefix":"2001:db8::/32"}]}"#,
            r#"{"regions":[{"cidrs":[{"cidr":"192.0.2.0/24"},{"cidr":"2001:db8::/32"}]}]}"#,
            r#"{"addresses":["192.0.2.0/24"],"ipv6_addresses":["2001:db8::/32"]}"#,
            r#"{"relays":[{"or_addresses":["192.0.2.1:443","[2001:db8::1]:9001"]}]}"#,
            "# list\n192.0.2.0/24\n2001:db8::/32\n",
            "192.0.2.1,US\n2001:db8::/32,US\n",
        ] {
            let spans = Spans::read(text.as_bytes());
            assert!(spans.contains("192.0.2.1".parse().unwrap()), "{text}");
            assert!(spans.contains("2001:db8::1".parse().unwrap()), "{text}");
            assert!(!spans.contains("192.0.3.1".parse().unwrap()), "{text}");
            assert!(!spans.contains("2001:db9::1".parse().unwrap()), "{text}");
        }
        assert!(Spans::read(b"<html>blocked</html>").is_empty());
        assert!(
            Spans::read(b"0.0.0.0/0\n::/0\n").is_empty(),
            "nobody has all addresses"
        );
    }

    proptest! {
        #[test]
        fn look_ups_agree_with_the_networks(
            nets in proptest::collection::vec((any::<u32>(), 6_u8..=32), 0..40), ip: u32
        ) {
            let ip = IpAddr::from(ip.to_be_bytes());
            let networks: Vec<Network> = nets
                .iter()
                .map(|(net, prefix)| Network::new(IpAddr::from(net.to_be_bytes()), *prefix).unwrap())
                .collect();
            let text = networks.iter().map(|net| format!("{net}\n")).collect::<String>();
            let spans = Spans::read(text.as_bytes());
            prop_assert_eq!(spans.contains(ip), networks.iter().any(|net| net.contains(ip)));
            for net in &networks {
                prop_assert!(spans.contains(net.address()));
            }
        }

        #[test]
        fn any_bytes_are_a_list_of_some_length(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Spans::read(&bytes);
        }
    }
}
