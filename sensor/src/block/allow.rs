//! Addresses that are never blocked: this machine, its gateways and name servers, the collector, what is local to the
//! machine or the link, and what the configuration names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lynceus_model::address::Network;
use lynceus_model::block::{allow_list_wins, never_blocked};

use crate::own;

/// Where name servers stand; the second one is systemd-resolved's list behind its stub.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    entries: Vec<(Network, &'static str)>,
}

impl AllowList {
    /// What is true on every machine, and the configured networks.
    #[must_use]
    pub fn fixed(configured: &[Network]) -> Self {
        let configured = configured
            .iter()
            .filter_map(|network| Network::new(network.address(), network.prefix()))
            .map(|network| (network, "in block.never of the sensor"));
        Self {
            entries: never_blocked().chain(configured).collect(),
        }
    }

    /// Adds what the kernel's tables (of this thread's network namespace) and the resolver's files say now.
    #[must_use]
    pub fn with_system(mut self, collector: &[IpAddr]) -> Self {
        let table =
            |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        let mut hosts: BTreeSet<(IpAddr, &'static str)> = BTreeSet::new();
        hosts.extend(
            own::addresses()
                .into_iter()
                .map(|ip| (ip, "an address of the sensor")),
        );
        hosts.extend(gateways_v4(&table("route")).map(|ip| (ip, "a gateway of the sensor")));
        hosts.extend(gateways_v6(&table("ipv6_route")).map(|ip| (ip, "a gateway of the sensor")));
        for path in RESOLVERS {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            hosts.extend(name_servers(&text).map(|ip| (ip, "a name server of the sensor")));
        }
        hosts.extend(collector.iter().map(|ip| (ip.to_canonical(), "the collector")));
        let hosts = hosts.into_iter().map(|(ip, why)| (Network::host(ip), why));
        self.entries.extend(hosts);
        self
    }

    /// Why a network is not blocked: an entry covers all of it. Entries inside of it are exceptions of the block.
    #[must_use]
    pub fn why_not(&self, network: Network) -> Option<String> {
        let covering = self.entries.iter().find(|(allowed, _)| allowed.covers(&network));
        covering.map(|(allowed, what)| allow_list_wins(*allowed, what))
    }

    pub(super) fn networks(&self) -> impl Iterator<Item = Network> {
        self.entries.iter().map(|(network, _)| *network)
    }
}

/// Gateways of `/proc/net/route`: the third column, hexadecimal in the machine's byte order.
fn gateways_v4(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().skip(1).filter_map(|line| {
        let word = u32::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
        (word != 0).then(|| Ipv4Addr::from(word.to_ne_bytes()).into())
    })
}

/// Next hops of `/proc/net/ipv6_route`: the fifth column, hexadecimal in network order.
fn gateways_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let bits = u128::from_str_radix(line.split_whitespace().nth(4)?, 16).ok()?;
        (bits != 0).then(|| Ipv6Addr::from_bits(bits).into())
    })
}

/// `nameserver ADDRESS`, perhaps with `%zone`.
fn name_servers(text: &str) -> impl Iterator<Item = IpAddr> {
    text.lines().filter_map(|line| {
        let address = line
            .trim()
            .strip_prefix("nameserver")?
            .split_whitespace()
            .next()?;
        address.split('%').next()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_and_name_servers_are_read_from_the_systems_tables() {
        let word = u32::from_ne_bytes([10, 0, 0, 1]);
        let route = format!(
            "Iface Destination Gateway Flags\neth0 00000000 {word:08X} 0003\neth0 0000000A 00000000 0001\nx\n"
        );
        let gateway: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(gateways_v4(&route).collect::<Vec<_>>(), [gateway]);
        let zero = "0".repeat(32);
        let hop = "fe800000000000000000000000000001";
        let table = format!("{zero} 00 {zero} 00 {hop} 0400 eth0\n{zero} 00 {zero} 00 {zero} 0 lo\nx\n");
        assert_eq!(
            gateways_v6(&table).collect::<Vec<_>>(),
            ["fe80::1".parse::<IpAddr>().unwrap()]
        );
        let resolv = "# x\nnameserver 192.0.2.53\nnameserver fe80::2%eth0\nsearch a\nnameserver x\n";
        let expected: [IpAddr; 2] = ["192.0.2.53".parse().unwrap(), "fe80::2".parse().unwrap()];
        assert_eq!(name_servers(resolv).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_covered_is_refused_with_its_reason() {
        let never: Network = "198.51.100.7/24".parse().unwrap();
        let allow = AllowList::fixed(&[never]).with_system(&["203.0.113.9".parse().unwrap()]);
        let why = |text: &str| allow.why_not(text.parse().unwrap());
        for (network, entry) in [
            ("127.0.0.1", "127.0.0.0/8 (loopback)"),
            ("fe80::1", "fe80::/10 (link-local)"),
            (
                "198.51.100.0/25",
                "198.51.100.0/24 (in block.never of the sensor)",
            ),
            ("203.0.113.9", "203.0.113.9/32 (the collector)"),
        ] {
            assert_eq!(why(network), Some(format!("the allow-list wins: {entry}")));
        }
        assert_eq!(why("203.0.113.0/24"), None, "the collector is an exception of it");
    }
}
