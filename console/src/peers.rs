//! What is known of an address without asking anybody: network, country, place; and what lists of bad ones said.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Deref;

use lynceus_enrich::offline::special::special;
use lynceus_enrich::offline::tables::Tables;
use lynceus_model::address;
use lynceus_model::evidence::{AttackerSide, Evidence, EvidenceType};

use crate::human;

/// Facts by address.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    known: HashMap<IpAddr, Peer>,
    /// Mentions of addresses beyond [`MAX_PEERS`], whose facts were not looked up.
    pub refused: u64,
}

impl Deref for Peers {
    type Target = HashMap<IpAddr, Peer>;

    fn deref(&self) -> &Self::Target {
        &self.known
    }
}

impl<const N: usize> From<[(IpAddr, Peer); N]> for Peers {
    fn from(known: [(IpAddr, Peer); N]) -> Self {
        Self {
            known: known.into(),
            refused: 0,
        }
    }
}

/// Addresses whose facts are kept for a window: those beyond stand without.
pub const MAX_PEERS: usize = 20_000;

/// `None`: not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// Number and name of the network.
    pub asn: Option<(u32, String)>,
    /// ISO 3166 code, two letters.
    pub country: Option<String>,
    pub city: Option<String>,
    /// Latitude and longitude in degrees.
    pub position: Option<(f64, f64)>,
    /// What a list of bad addresses or domains said of it, as evidence. `None` is not "good": nobody said anything.
    pub listed: Option<String>,
}

/// What the tables that come with the program say of an address. Nothing where they are damaged: `lynceus about data`
/// says so.
#[must_use]
pub fn look_up(ip: IpAddr) -> Peer {
    let Ok(tables) = Tables::embedded() else {
        return Peer::default();
    };
    let ip = ip.to_canonical();
    if special(ip).is_some_and(|block| !block.global) {
        // Tables have leftovers of such blocks; none of them is about the host at hand.
        return Peer::default();
    }
    // One by one: all at once also looks up time zones, which nobody asked for here.
    let system = tables.systems.find(ip).ok().flatten();
    let place = tables.places.find(ip).ok().flatten();
    let text = |text: &str| (!text.is_empty()).then(|| human::printable(text, 100));
    // The place's own country first: the cross on the map and the letters beside it must agree.
    let country = place
        .as_ref()
        .and_then(|place| place.country)
        .or_else(|| Some(tables.dbip.find(ip).ok()??.0))
        .or_else(|| Some(tables.iptoasn.find(ip).ok()??.0));
    Peer {
        asn: system.map(|system| (system.number, human::printable(system.organization, 100))),
        country: country.map(|code| code.to_string()),
        city: place.as_ref().and_then(|place| text(place.city)),
        position: place.and_then(|place| place.position),
        listed: None,
    }
}

/// Kind of an address by its range alone: `private`, `multicast`, …; `public` for the rest.
#[must_use]
pub fn category(ip: IpAddr) -> &'static str {
    match ip {
        _ if ip.is_loopback() => "loopback",
        _ if ip.is_multicast() => "multicast",
        _ if ip.is_unspecified() => "unspecified",
        IpAddr::V4(ip) if ip.is_broadcast() => "broadcast",
        IpAddr::V4(v4) if v4.is_link_local() => "link-local",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link-local",
        _ if address::is_private(ip) => "private",
        _ if address::is_public(ip) => "public",
        _ => "special",
    }
}

/// Facts of many addresses, each looked up once; then what evidence says of them.
#[must_use]
pub fn of(ips: impl IntoIterator<Item = IpAddr>, evidence: &[Evidence]) -> Peers {
    let mut peers = Peers::default();
    for ip in ips {
        if peers.len() < MAX_PEERS {
            peers.known.entry(ip).or_insert_with(|| look_up(ip));
        } else if !peers.contains_key(&ip) {
            peers.refused += 1;
        }
    }
    for found in evidence.iter().filter(|found| is_listing(found.kind)) {
        if let Some(peer) = other_side(found).and_then(|ip| peers.known.get_mut(&ip)) {
            peer.listed
                .get_or_insert_with(|| human::printable(&found.description, 200));
        }
    }
    peers
}

/// Evidence that says a list of bad ones has the other side.
const fn is_listing(kind: EvidenceType) -> bool {
    matches!(
        kind,
        EvidenceType::ThreatIntelligenceToBlacklistedIp
            | EvidenceType::ThreatIntelligenceFromBlacklistedIp
            | EvidenceType::ThreatIntelligenceBlacklistedDnsAnswer
            | EvidenceType::ThreatIntelligenceBlacklistedDomain
            | EvidenceType::ThreatIntelligenceBlacklistedAsn
            | EvidenceType::ThreatIntelligenceMaliciousUrl
            | EvidenceType::ThreatIntelligenceMaliciousIpFromP2pNetwork
            | EvidenceType::TorExitNode
    )
}

/// The address that an evidence is about beside the profile it stands in.
#[must_use]
pub fn other_side(found: &Evidence) -> Option<IpAddr> {
    match found.attacker_side {
        AttackerSide::Destination => Some(found.attacker),
        AttackerSide::Source => found
            .victim
            .or_else(|| (found.attacker != found.profile).then_some(found.attacker)),
    }
    .filter(|ip| *ip != found.profile)
}

impl Peer {
    /// `AS15169 Google LLC`, empty where it is not known.
    #[must_use]
    pub fn network(&self) -> String {
        self.asn
            .as_ref()
            .map_or_else(String::new, |(number, name)| format!("AS{number} {name}"))
    }

    /// `US Mountain View`, `US`, empty.
    #[must_use]
    pub fn place(&self) -> String {
        let parts = [self.country.as_deref(), self.city.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_know_network_and_country() {
        let peer = look_up("8.8.8.8".parse().unwrap());
        assert_eq!(peer.asn.as_ref().map(|(number, _)| *number), Some(15169));
        assert_eq!(peer.country.as_deref(), Some("US"));
        assert!(peer.network().starts_with("AS15169 ") && peer.place().starts_with("US"));
        assert_eq!(look_up("192.168.1.1".parse().unwrap()), Peer::default());
    }

    #[test]
    fn addresses_beyond_the_bound_are_counted() {
        let ips = (0..MAX_PEERS as u32 + 3).map(|n| IpAddr::from(n.to_be_bytes()));
        let peers = of(ips.chain(["0.0.0.1".parse().unwrap()]), &[]);
        assert_eq!((peers.len(), peers.refused), (MAX_PEERS, 3));
    }

    #[test]
    fn ranges_have_their_names() {
        for (ip, expected) in [
            ("192.168.1.1", "private"),
            ("fd00::1", "private"),
            ("8.8.8.8", "public"),
            ("224.0.0.251", "multicast"),
            ("ff02::fb", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("169.254.3.4", "link-local"),
            ("fe80::1", "link-local"),
            ("127.0.0.1", "loopback"),
            ("0.0.0.0", "unspecified"),
        ] {
            assert_eq!(category(ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
