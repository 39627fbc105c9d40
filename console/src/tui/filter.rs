//! What stands behind `/`: the query language of [`lynceus_view::search`], over what the lists show.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_model::evidence::ThreatLevel;
use lynceus_model::time::Timestamp;
use lynceus_view::search::{Field, Record, Search};

use crate::human::Clock;
use crate::peers::{Peer, Peers};

/// Characters of a filter: people type less.
pub(super) const MAX_LENGTH: usize = 256;
/// What the list of profiles does not come with: evidence, networks, countries.
pub(super) const OF_THE_INDEX: &[Field] = &[Field::Kind, Field::Level, Field::Asn, Field::Country];

/// What a line says of itself; what is absent or empty it does not have.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    /// Of any role.
    pub(super) ips: Vec<IpAddr>,
    pub(super) roles: Vec<(Field, IpAddr)>,
    pub(super) ports: Vec<u16>,
    pub(super) protocol: &'a str,
    /// Type of evidence, name of a service.
    pub(super) kinds: Vec<Cow<'a, str>>,
    pub(super) texts: Vec<Cow<'a, str>>,
    /// Domain, URL or hash that evidence is about.
    pub(super) about: Option<String>,
    pub(super) level: Option<ThreatLevel>,
    /// Confidence, bytes, packets, duration in seconds.
    pub(super) numbers: Vec<(Field, f64)>,
    /// First and last moment.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// The one of them that `after:` and `before:` look at; `None`: either.
    pub(super) moment: Option<Timestamp>,
    pub(super) flagged: bool,
    pub(super) me: bool,
    pub(super) established: Option<bool>,
}

/// What is known beside the lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) peers: &'a Peers,
    pub(super) names: &'a HashMap<IpAddr, String>,
    pub(super) clock: &'a Clock,
}

impl Known<'_> {
    pub(super) fn fits(self, search: &Search, subject: &Subject<'_>) -> bool {
        search.is_empty() || search.matches(&Line { subject, known: self }, self.clock)
    }
}

struct Line<'a> {
    subject: &'a Subject<'a>,
    known: Known<'a>,
}

impl Line<'_> {
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        let ips = self.subject.ips.iter();
        ips.filter_map(|ip| self.known.peers.get(ip))
    }
}

impl Record for Line<'_> {
    fn addresses(&self, field: Field) -> Vec<IpAddr> {
        if field == Field::Ip {
            return self.subject.ips.clone();
        }
        let roles = self.subject.roles.iter().filter(|(role, _)| *role == field);
        roles.map(|(_, ip)| *ip).collect()
    }

    fn numbers(&self, field: Field) -> Vec<f64> {
        let subject = self.subject;
        match field {
            Field::Port => subject.ports.iter().map(|port| f64::from(*port)).collect(),
            Field::Level => subject.level.map(ThreatLevel::weight).into_iter().collect(),
            Field::Established => subject
                .established
                .map(|own| f64::from(u8::from(own)))
                .into_iter()
                .collect(),
            Field::Time => match (subject.moment, subject.span) {
                (Some(moment), _) => vec![moment.as_secs_f64()],
                (None, Some((first, last))) => vec![first.as_secs_f64(), last.as_secs_f64()],
                (None, None) => Vec::new(),
            },
            _ => {
                let numbers = subject.numbers.iter().filter(|(own, _)| *own == field);
                numbers.map(|(_, number)| *number).collect()
            }
        }
    }

    fn words(&self, field: Field) -> Vec<Cow<'_, str>> {
        let subject = self.subject;
        let borrowed = |texts: &'_ [Cow<'_, str>]| texts.iter().map(|text| text.to_string().into()).collect();
        match field {
            Field::Kind | Field::Service => borrowed(&subject.kinds),
            Field::Text => borrowed(&subject.texts),
            Field::Subject => subject.about.as_deref().map(Cow::from).into_iter().collect(),
            Field::Protocol if !subject.protocol.is_empty() => vec![subject.protocol.into()],
            Field::Country => self
                .peers()
                .filter_map(|peer| peer.country.as_deref().map(Cow::from))
                .collect(),
            Field::Name => {
                let names = subject.ips.iter().filter_map(|ip| self.known.names.get(ip));
                names.map(|name| name.as_str().into()).collect()
            }
            Field::Is => [
                (subject.flagged, "flagged"),
                (subject.me, "me"),
                (subject.established == Some(true), "established"),
            ]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, word)| word.into())
            .collect(),
            _ => Vec::new(),
        }
    }

    fn systems(&self) -> Vec<(u32, Cow<'_, str>)> {
        let systems = self.peers().filter_map(|peer| peer.asn.as_ref());
        systems
            .map(|(number, name)| (*number, name.as_str().into()))
            .collect()
    }

    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.subject.span
    }
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
