//! The addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of this machine in the network namespace of this thread, without loopback; empty where the kernel does
/// not tell.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let read =
        |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let mut addresses: Vec<IpAddr> = local_v4(&read("fib_trie"))
        .into_iter()
        .map(IpAddr::from)
        .collect();
    addresses.extend(local_v6(&read("if_inet6")).into_iter().map(IpAddr::from));
    addresses.retain(|address| !address.is_loopback());
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Leaves of the routing trie that are local hosts: `|-- 10.0.0.5` followed by `/32 host LOCAL`.
fn local_v4(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut found = Vec::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf);
        }
    }
    found
}

/// Lines begin with 32 hexadecimal digits.
fn local_v6(if_inet6: &str) -> Vec<Ipv6Addr> {
    if_inet6
        .lines()
        .filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok())
        .map(Ipv6Addr::from_bits)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_read_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::new(10, 0, 0, 5)]);
        let table = "fe8000000000000000a4d18cfffe1fce 02 40 20 80     eth0\nnonsense\n";
        assert_eq!(
            local_v6(table),
            ["fe80::a4:d18c:fffe:1fce".parse::<Ipv6Addr>().unwrap()]
        );
    }
}
