//! Who we are: identity of the sensor, and the addresses of this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use anyhow::Context;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;

/// Identity of the sensor, which stays with its store, and of this start.
pub(super) struct Identity {
    pub(super) sensor: SensorId,
    pub(super) boot: BootId,
}

impl Identity {
    /// Reads the identity that is kept beside the store, or makes a new one.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("sensor-id");
        let sensor = match std::fs::read_to_string(&path) {
            Ok(text) => uuid::Uuid::parse_str(text.trim()).with_context(|| format!("{}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let new = uuid::Uuid::new_v4();
                std::fs::write(&path, format!("{new}\n"))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                new
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self {
            sensor: SensorId(sensor.into_bytes()),
            boot: BootId(uuid::Uuid::new_v4().into_bytes()),
        })
    }
}

/// Addresses of this machine in the network namespace of this thread, without loopback; empty where the kernel does
/// not tell.
pub(super) fn addresses() -> Vec<IpAddr> {
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

    #[test]
    fn the_identity_stays_with_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::of(folder.path()).unwrap();
        let second = Identity::of(folder.path()).unwrap();
        assert_eq!(first.sensor, second.sensor);
        assert_ne!(first.boot, second.boot);
        std::fs::write(folder.path().join("sensor-id"), "what").unwrap();
        assert!(Identity::of(folder.path()).is_err());
    }
}
