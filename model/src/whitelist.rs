//! The whitelist: what is left out, and how far. The file's grammar is that of Slips, with networks, `address:port`,
//! wildcards and JA4 besides.
//!
//! ```text
//! ; type, value, direction (src|dst|both), ignore (flows|alerts|both)
//! ip,192.0.2.1,both,alerts
//! ip,10.0.0.0/8,src,flows
//! ip,192.0.2.1:443,dst,both
//! domain,*.example.org,dst,alerts
//! mac,b1:b1:b1:c1:c2:c3,both,alerts
//! organization,google,dst,alerts
//! ja4,t13d1516h2_*,src,alerts
//! ```
//!
//! Lines that begin with `;` or `#` are comments. A bad line is reported with its number and never disables the rest. The
//! last line about a value wins.

mod organization;
mod parse;
mod pattern;

use std::collections::HashMap;
use std::net::IpAddr;

use crate::address::Network;
use pattern::Pattern;

pub use organization::Organization;
pub use parse::BadLine;

/// On which side of a flow, or of a finding, the value must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Source,
    Destination,
    Both,
}

/// How far something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignore {
    /// The flow is in no profile.
    Flows,
    /// Flows are in profiles and shown; evidence is not raised.
    Alerts,
    Both,
}

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A flow is about to be counted.
    Flow,
    /// An evidence is about to be raised.
    Evidence,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1.
    pub line: u32,
    pub text: String,
    pub direction: Direction,
    pub ignore: Ignore,
}

impl Entry {
    const fn holds(&self, act: Act, side: Direction) -> bool {
        let acts = matches!(
            (self.ignore, act),
            (Ignore::Both, _) | (Ignore::Flows, Act::Flow) | (Ignore::Alerts, Act::Evidence)
        );
        let sides = matches!(
            (self.direction, side),
            (Direction::Both, _)
                | (Direction::Source, Direction::Source)
                | (Direction::Destination, Direction::Destination)
        );
        acts && sides
    }
}

/// One side of a flow or of a finding, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Party<'a> {
    pub ip: Option<IpAddr>,
    pub port: Option<u16>,
    pub mac: Option<[u8; 6]>,
    /// Server name, host, questions whose answer was this address.
    pub names: &'a [&'a str],
    pub ja4: Option<&'a str>,
    pub autonomous_system: Option<u32>,
}

/// A read whitelist. Looking something up costs a few hash look-ups and one comparison for each network, wildcard and
/// organization.
#[derive(Clone, Debug, Default)]
pub struct Whitelist {
    ips: HashMap<IpAddr, Entry>,
    endpoints: HashMap<(IpAddr, u16), Entry>,
    macs: HashMap<[u8; 6], Entry>,
    /// Without wildcard; a domain stands for what is below it.
    domains: HashMap<String, Entry>,
    networks: Vec<(Network, Entry)>,
    ip_patterns: Vec<(Pattern, Entry)>,
    domain_patterns: Vec<(Pattern, Entry)>,
    ja4: Vec<(Pattern, Entry)>,
    organizations: Vec<(Organization, Entry)>,
}

impl Whitelist {
    /// Entries of one file. More are bad lines.
    pub const MAX_ENTRIES: usize = 1_000_000;
    /// Entries that must be compared one by one (networks, wildcards, JA4). More are bad lines.
    pub const MAX_LINEAR: usize = 10_000;

    /// Reads a file's text.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<BadLine>) {
        parse::parse(text)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn len(&self) -> usize {
        let hashed = self.ips.len() + self.endpoints.len() + self.macs.len() + self.domains.len();
        let linear = self.networks.len() + self.ip_patterns.len() + self.domain_patterns.len();
        hashed + linear + self.ja4.len() + self.organizations.len()
    }

    /// The entry because of which this is left out.
    #[must_use]
    pub fn matches(&self, act: Act, source: &Party<'_>, destination: &Party<'_>) -> Option<&Entry> {
        if self.is_empty() {
            return None;
        }
        self.side(act, Direction::Source, source)
            .or_else(|| self.side(act, Direction::Destination, destination))
    }

    fn side(&self, act: Act, side: Direction, party: &Party<'_>) -> Option<&Entry> {
        let address = party.ip.and_then(|ip| self.address(act, side, ip, party.port));
        let mac = || party.mac.and_then(|mac| self.macs.get(&mac));
        let fingerprint = || {
            let ja4 = party.ja4?;
            let mut patterns = self.ja4.iter();
            patterns
                .find(|(pattern, entry)| entry.holds(act, side) && pattern.matches(ja4))
                .map(|(_, entry)| entry)
        };
        let name = || party.names.iter().find_map(|name| self.domain(act, side, name));
        let organization = || {
            let mut all = self.organizations.iter();
            all.find(|(organization, entry)| entry.holds(act, side) && organization.has(party))
                .map(|(_, entry)| entry)
        };
        address
            .or_else(|| mac().filter(|entry| entry.holds(act, side)))
            .or_else(fingerprint)
            .or_else(name)
            .or_else(organization)
    }

    fn address(&self, act: Act, side: Direction, ip: IpAddr, port: Option<u16>) -> Option<&Entry> {
        let exact = [
            port.and_then(|port| self.endpoints.get(&(ip, port))),
            self.ips.get(&ip),
        ];
        exact
            .into_iter()
            .flatten()
            .find(|entry| entry.holds(act, side))
            .or_else(|| {
                let mut networks = self.networks.iter();
                networks
                    .find(|(network, entry)| entry.holds(act, side) && network.contains(ip))
                    .map(|(_, entry)| entry)
            })
            .or_else(|| {
                let text = (!self.ip_patterns.is_empty()).then(|| ip.to_string())?;
                let mut patterns = self.ip_patterns.iter();
                patterns
                    .find(|(pattern, entry)| entry.holds(act, side) && pattern.matches(&text))
                    .map(|(_, entry)| entry)
            })
    }

    fn domain(&self, act: Act, side: Direction, name: &str) -> Option<&Entry> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let parents = std::iter::successors(Some(name.as_str()), |name| {
            name.split_once('.').map(|(_, parent)| parent)
        });
        let mut listed = parents.filter_map(|parent| self.domains.get(parent));
        listed.find(|entry| entry.holds(act, side)).or_else(|| {
            let mut patterns = self.domain_patterns.iter();
            patterns
                .find(|(pattern, entry)| entry.holds(act, side) && pattern.matches(&name))
                .map(|(_, entry)| entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Whitelist {
        let (list, bad) = Whitelist::parse(text);
        assert!(bad.is_empty(), "{bad:?}");
        list
    }

    fn party(ip: &str, port: u16) -> Party<'static> {
        Party {
            ip: Some(ip.parse().unwrap()),
            port: Some(port),
            ..Party::default()
        }
    }

    #[test]
    fn direction_and_extent_are_kept_apart() {
        let list = list("ip,192.0.2.1,src,alerts\nip,198.51.100.0/24,dst,flows\nip,2001:db8::/32,both,both");
        let (a, b, c) = (
            party("192.0.2.1", 1),
            party("198.51.100.9", 2),
            party("203.0.113.1", 3),
        );
        assert!(list.matches(Act::Evidence, &a, &c).is_some());
        assert!(
            list.matches(Act::Flow, &a, &c).is_none(),
            "flows are still counted"
        );
        assert!(
            list.matches(Act::Evidence, &c, &a).is_none(),
            "the other way round"
        );
        assert!(list.matches(Act::Flow, &c, &b).is_some());
        assert!(list.matches(Act::Flow, &b, &c).is_none());
        assert_eq!(
            list.matches(Act::Flow, &party("2001:db8::5", 1), &c)
                .unwrap()
                .line,
            3
        );
    }

    #[test]
    fn ports_wildcards_macs_and_fingerprints() {
        let list = list(
            "ip,192.0.2.1:443,dst,both\nip,10.1.*,both,both\nmac,B1:b1:b1:c1:c2:c3,both,flows\nja4,t13d*,src,both\n\
             ip,[2001:db8::1]:53,dst,both",
        );
        let other = party("203.0.113.1", 3);
        assert!(
            list.matches(Act::Flow, &other, &party("192.0.2.1", 443))
                .is_some()
        );
        assert!(list.matches(Act::Flow, &other, &party("192.0.2.1", 80)).is_none());
        assert!(
            list.matches(Act::Flow, &other, &party("2001:db8::1", 53))
                .is_some()
        );
        assert!(
            list.matches(Act::Evidence, &party("10.1.2.3", 1), &other)
                .is_some()
        );
        assert!(
            list.matches(Act::Evidence, &party("10.11.2.3", 1), &other)
                .is_none()
        );
        let card = Party {
            mac: Some([0xb1, 0xb1, 0xb1, 0xc1, 0xc2, 0xc3]),
            ..other
        };
        assert!(list.matches(Act::Flow, &card, &other).is_some());
        let client = Party {
            ja4: Some("t13d1516h2_8daaf6152771_02713d6af862"),
            ..other
        };
        assert!(list.matches(Act::Evidence, &client, &other).is_some());
    }

    #[test]
    fn a_domain_stands_for_what_is_below_it() {
        let list = list("domain,example.org,dst,alerts\ndomain,cdn-*.example.net,dst,alerts");
        let asked = |name: &'static str| {
            let names = [name];
            let server = Party {
                names: &names,
                ..party("192.0.2.1", 443)
            };
            list.matches(Act::Evidence, &party("10.0.0.1", 1), &server)
                .is_some()
        };
        assert!(asked("example.org") && asked("WWW.Example.org.") && asked("cdn-7.example.net"));
        assert!(!asked("notexample.org") && !asked("org") && !asked("cdn.example.net"));
    }

    #[test]
    fn an_organization_is_its_domains_and_systems() {
        let list = list("organization,google,dst,alerts");
        let names = ["www.youtube.com"];
        let by_name = Party {
            names: &names,
            ..party("192.0.2.1", 443)
        };
        let by_system = Party {
            autonomous_system: Some(15_169),
            ..party("192.0.2.1", 443)
        };
        let client = party("10.0.0.1", 1);
        assert!(list.matches(Act::Evidence, &client, &by_name).is_some());
        assert!(list.matches(Act::Evidence, &client, &by_system).is_some());
        assert!(
            list.matches(Act::Evidence, &client, &party("192.0.2.1", 443))
                .is_none()
        );
    }
}
