//! What is known of an address: feeds, our own sensors, evidence that names it; and where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_enrich::dossier::{Dossier, PARTS};
use lynceus_enrich::fact::{Field as DossierField, Group};
use lynceus_enrich::offline::tables::Tables;
use lynceus_model::address;
use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;
use lynceus_view::human::{self, Clock};
use lynceus_view::search::{Field, Search, Term, Test};

use super::error::Refusal;
use super::svg::map::Point;
use super::{Web, link};

/// Evidence that is shown of an address.
const EVIDENCE: usize = 50;
/// Peers that are looked up for a map.
const PLACES: usize = 500;

/// Fields that are shown as unknown, too, with the reason.
const LOOKED_FOR: [DossierField; 9] = [
    DossierField::CountryCode,
    DossierField::LightLatitude,
    DossierField::Asn,
    DossierField::ReverseDns,
    DossierField::Ports,
    DossierField::Services,
    DossierField::Feeds,
    DossierField::DnsblListed,
    DossierField::Reputation,
];
/// Longest value that a page shows.
const MAX_VALUE: usize = 200;
/// A way has many steps.
const MAX_ROUTE: usize = 4000;

/// A name, its value, and what stands behind it.
type Line = (String, Vec<String>);

/// What is known of one address.
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) me: bool,
    /// Windows of its own profile.
    pub(super) windows: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    /// Feeds that list it; `None`: no feed is loaded, so nothing is known.
    pub(super) listed: Option<Vec<String>>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) point: Option<Point>,
    /// All that the collector knows, field by field.
    pub(super) dossier: Arc<Dossier>,
}

impl Web {
    /// Blocks.
    pub(super) fn address(&self, ip: IpAddr) -> Result<Address, Refusal> {
        let windows = self.windows(ip)?;
        let search = Search {
            terms: vec![Term {
                negated: false,
                field: Field::Ip,
                test: Test::host(ip),
            }],
        };
        let evidence = self.find_evidence(&search, Vec::new(), EVIDENCE)?.items;
        let feeds = self.0.query.facts();
        let loaded = feeds.known().iter().any(|feed| feed.taken.is_some());
        let listed = loaded.then(|| {
            let mut names: Vec<String> = feeds
                .feeds()
                .ip(ip)
                .into_iter()
                .flatten()
                .map(|hit| hit.feed.to_string())
                .collect();
            names.sort();
            names.dedup();
            names
        });
        let dossier = self.0.query.dossier(ip)?;
        Ok(Address {
            ip,
            me: self.is_me(ip),
            windows: windows.len() as u64,
            first: windows.first().map(|window| window.start),
            last: windows.last().map(|window| window.end),
            listed,
            evidence,
            point: dossier.position().map(|(latitude, longitude)| Point {
                longitude,
                latitude,
                title: ip.to_string(),
                href: String::new(),
                weight: 1.0,
                bad: false,
            }),
            dossier,
        })
    }

    /// Where peers are by the program's tables, weighted by what they exchanged. Those of whom no place is known are left
    /// out.
    pub(super) fn places(&self, peers: &[(IpAddr, u64)], bad: &BTreeSet<IpAddr>) -> Vec<Point> {
        let Ok(tables) = Tables::embedded() else {
            return Vec::new();
        };
        let most = peers.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0).max(1) as f64;
        let place = |(ip, bytes): &(IpAddr, u64)| {
            let place = tables.find(*ip).place?;
            let (latitude, longitude) = place.position?;
            let country = place
                .country
                .map_or_else(String::new, |code| code.text().to_owned());
            let names: Vec<&str> = [place.city, place.region, &country]
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect();
            Some(Point {
                longitude,
                latitude,
                title: format!("{ip}: {}, {}", names.join(", "), human::bytes(*bytes)),
                href: link::ip(*ip),
                weight: (1.0 + *bytes as f64).ln() / (1.0 + most).ln(),
                bad: bad.contains(ip),
            })
        };
        peers.iter().take(PLACES).filter_map(place).collect()
    }
}

impl Address {
    /// Names and values for people, by what they are about.
    pub(super) fn lines(&self, clock: &Clock) -> BTreeMap<Group, Vec<Line>> {
        let mut parts = BTreeMap::new();
        parts.insert(
            Group::Address,
            vec![("kind".to_owned(), vec![self.kind().to_owned()])],
        );
        for merged in self.dossier.fields() {
            if PARTS.contains(&merged.field) {
                continue;
            }
            let room = if merged.field == DossierField::Route {
                MAX_ROUTE
            } else {
                MAX_VALUE
            };
            let mut values = match self.dossier.words(&merged) {
                Some(words) => vec![human::printable(&words, room)],
                // Of most fields only who can say matters; these a reader looks for.
                None if LOOKED_FOR.contains(&merged.field) => vec!["unknown".to_owned()],
                None => continue,
            };
            let doubt = merged.agreement().or_else(|| {
                let (_, reason) = merged.unknown.first()?;
                merged.value.is_none().then(|| reason.to_string())
            });
            let said = merged.sources.first().map(|fact| {
                let date = fact.as_of.map(|time| clock.date_minute(time));
                let date = date.as_deref().and_then(|date| date.split(' ').next());
                let of = date.map_or_else(String::new, |date| format!(" of {date}"));
                format!("{}{of}", fact.source.title())
            });
            let about = said.into_iter().chain(doubt).collect::<Vec<_>>().join("; ");
            if !about.is_empty() {
                values.push(human::printable(&about, 300));
            }
            let lines = parts.entry(merged.field.group()).or_insert_with(Vec::new);
            lines.push((merged.field.title().to_owned(), values));
        }
        let seen = match (self.first, self.last) {
            (Some(first), Some(last)) => format!(
                "has a profile of {} between {} and {} {}",
                human::plural(self.windows, "window", "windows"),
                clock.date_minute(first),
                clock.date_minute(last),
                clock.label()
            ),
            _ => "has no profile of its own: no sensor watched it, or it expired".to_owned(),
        };
        let own = parts.entry(Group::Address).or_default();
        own.push(("own sensors".to_owned(), vec![seen]));
        parts
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.ip {
            _ if self.me => "this machine",
            ip if !address::is_host(ip) => "a group, not a host",
            ip if address::is_private(ip) => "private: inside some network, not on the Internet",
            ip if address::is_public(ip) => "public",
            _ => "special use",
        }
    }
}

#[cfg(test)]
mod tests {
    use lynceus_enrich::fact::{Fact, Reason, Source};

    use super::*;

    #[test]
    fn what_others_said_stands_apart() {
        let ip = "192.0.2.1".parse().unwrap();
        let mut dossier = Dossier::new(ip, Timestamp(0));
        let at = Some(Timestamp::from_secs(1_782_907_200));
        let said = [
            Fact::new(DossierField::Asn, 64_496_u32, Source::new("asn")),
            Fact::new(DossierField::Reputation, "malicious", Source::new("greynoise")),
            Fact::new(DossierField::Route, "192.0.2.9 1.0 ms", Source::new("traceroute")),
        ];
        dossier.extend(said.map(|fact| fact.as_of(at)));
        let no_answer = Reason::NotAsked("needs a key".into());
        dossier.add(Fact::unknown(
            DossierField::Feeds,
            no_answer,
            Source::new("feeds"),
        ));
        let address = Address {
            ip,
            me: false,
            windows: 0,
            first: None,
            last: None,
            listed: None,
            evidence: Vec::new(),
            point: None,
            dossier: Arc::new(dossier),
        };
        let parts = address.lines(&Clock::utc());
        let headings: Vec<Option<&str>> = parts.keys().map(|group| group.heading()).collect();
        assert_eq!(
            headings,
            [None, Some("what others said"), Some("what probes found")]
        );
        let names = |group| {
            parts[&group]
                .iter()
                .map(|line: &Line| line.0.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Group::Address), ["kind", "ASN", "feeds", "own sensors"]);
        let reputation = (
            "reputation".to_owned(),
            vec!["malicious".to_owned(), "GreyNoise of 2026-07-01".to_owned()],
        );
        assert_eq!(parts[&Group::Said], [reputation]);
    }
}
