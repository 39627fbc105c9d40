//! What is known of an address: feeds, our own sensors, evidence that names it; and where it is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_model::address;
use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;
use lynceus_view::human::{self, Clock};
use lynceus_view::search::{Field, Search, Term, Test};

use super::Web;
use super::error::Refusal;
use super::svg::map::Point;

/// Evidence that is shown of an address.
const EVIDENCE: usize = 50;
/// Peers that are looked up for a map.
const PLACES: usize = 500;

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
    /// Facts of the offline tables: name and values.
    pub(super) facts: Vec<(String, Vec<String>)>,
}

impl Web {
    /// Blocks.
    pub(super) fn address(&self, ip: IpAddr) -> Result<Address, Refusal> {
        let windows = self.windows(ip)?;
        let network = lynceus_model::address::Network::host(ip);
        let search = Search {
            terms: vec![Term {
                negated: false,
                field: Field::Ip,
                test: Test::Networks(vec![network]),
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
        Ok(Address {
            ip,
            me: self.is_me(ip),
            windows: windows.len() as u64,
            first: windows.first().map(|window| window.start),
            last: windows.last().map(|window| window.end),
            listed,
            evidence,
            point: None,
            facts: Vec::new(),
        })
    }

    /// Where peers are, weighted by what they exchanged. Those of whom nothing is known are left out.
    pub(super) fn places(&self, peers: &[(IpAddr, u64)], _bad: &BTreeSet<IpAddr>) -> Vec<Point> {
        let _ = peers.iter().take(PLACES);
        Vec::new()
    }
}

impl Address {
    /// Names and values for people.
    pub(super) fn lines(&self, clock: &Clock) -> Vec<(String, Vec<String>)> {
        let mut lines = vec![("kind".to_owned(), vec![self.kind().to_owned()])];
        lines.extend(self.facts.clone());
        let listed = match &self.listed {
            None => vec!["unknown: no feed is loaded".to_owned()],
            Some(feeds) if feeds.is_empty() => vec!["in no feed that is loaded".to_owned()],
            Some(feeds) => feeds.clone(),
        };
        lines.push(("blocklists".to_owned(), listed));
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
        lines.push(("own sensors".to_owned(), vec![seen]));
        lines
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
