//! Regional registry of an address, by the whole blocks that IANA gave to the registries. A part of a block may have moved
//! to another registry since: the registry itself knows (RDAP).

use std::net::IpAddr;
use std::sync::OnceLock;

use lynceus_model::address::Network;
use serde_json::Value;

/// Name of the registry in the form that the others use, and its block; `None`: no registry's block.
#[must_use]
pub fn registry(ip: IpAddr) -> Option<(&'static str, Network)> {
    let blocks = blocks().iter().filter(|(network, _)| network.contains(ip));
    let narrowest = blocks.max_by_key(|(network, _)| network.prefix())?;
    Some((narrowest.1, narrowest.0))
}

fn blocks() -> &'static [(Network, &'static str)] {
    static BLOCKS: OnceLock<Vec<(Network, &'static str)>> = OnceLock::new();
    BLOCKS.get_or_init(|| {
        let mut blocks = read(include_str!("../../data/rdap/ipv4.json"));
        blocks.extend(read(include_str!("../../data/rdap/ipv6.json")));
        blocks
    })
}

/// Blocks in the form of RFC 9224: `services` is a list of pairs, networks and addresses of servers.
fn read(text: &str) -> Vec<(Network, &'static str)> {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let mut blocks = Vec::new();
    for service in json["services"].as_array().into_iter().flatten() {
        let texts = |at: usize| {
            service[at]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
        };
        let Some(name) = texts(1).find_map(name) else {
            continue;
        };
        blocks.extend(texts(0).filter_map(|network| Some((network.parse().ok()?, name))));
    }
    blocks
}

fn name(server: &str) -> Option<&'static str> {
    let registries = [
        ("arin.net", "arin"),
        ("ripe.net", "ripencc"),
        ("apnic.net", "apnic"),
        ("lacnic.net", "lacnic"),
        ("afrinic.net", "afrinic"),
    ];
    let host = server.split('/').nth(2)?;
    let mut found = registries.iter().filter(|(domain, _)| {
        let rest = host.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    found.next().map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_whole_blocks() {
        for (ip, expected) in [
            ("8.8.8.8", Some("arin")),
            ("94.31.29.154", Some("ripencc")),
            ("1.1.1.1", Some("apnic")),
            ("200.1.1.1", Some("lacnic")),
            ("41.1.1.1", Some("afrinic")),
            ("2001:4860:4860::8888", Some("arin")),
            ("2a00::1", Some("ripencc")),
            ("10.0.0.1", None),
            ("4000::", None),
        ] {
            assert_eq!(
                registry(ip.parse().unwrap()).map(|(name, _)| name),
                expected,
                "{ip}"
            );
        }
    }
}
