//! What stands behind `/`: words joined by AND, the same in every list.
//!
//! ```text
//! ip:10.0.0.0/8 -port:443 country:CN,RU type:scan level:>=high time:20:50..20:59 "some words"
//! ```
//!
//! `-` in front negates, `,` joins alternatives. A word without a field is an address or prefix if it reads as one, else a
//! part of the text. A field that a line does not have, or that is not known of it, never matches; its negation always
//! does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use lynceus_model::address::Network;
use lynceus_model::evidence::ThreatLevel;
use lynceus_model::time::Timestamp;

use crate::human::Clock;
use crate::peers::Peers;

/// Fields with what they take, as the help prints them.
pub(super) const FIELDS: &[(&str, &str)] = &[
    ("ip:", "address, prefix, or the beginning of one"),
    ("port:", "443 · 1-1023 · >1023"),
    ("proto:", "tcp udp icmp arp"),
    ("asn:", "number of the network, or a part of its name"),
    ("country:", "two letters; more with commas"),
    ("name:", "a part of a host name"),
    ("type:", "type of evidence, or service: scan, dns"),
    ("level:", "info low medium high critical; >=high"),
    ("time:", "20:50..20:59 or 2018-03-09 20:50..21:10 in quotes"),
    ("is:", "flagged me established"),
];
/// Characters of a filter: people type less.
pub(super) const MAX_LENGTH: usize = 256;

/// What a line says of itself.
#[derive(Debug, Default)]
pub(super) struct Subject<'a> {
    pub(super) ips: Vec<IpAddr>,
    pub(super) ports: Vec<u16>,
    pub(super) protocol: &'a str,
    /// Type of evidence, name of a service.
    pub(super) kinds: Vec<Cow<'a, str>>,
    pub(super) texts: Vec<Cow<'a, str>>,
    pub(super) level: Option<ThreatLevel>,
    /// First and last moment.
    pub(super) span: Option<(Timestamp, Timestamp)>,
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

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Network(Network),
    /// Of the text of an address.
    Address(String),
    Ports(u16, u16),
    Protocol(String),
    Asn(String),
    Country(String),
    Name(String),
    Kind(String),
    Level(ThreatLevel, Compare),
    /// From and to as they are shown; the flag: of the day alone.
    Time(String, String, bool),
    Is(Flag),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Is,
    AtLeast,
    AtMost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Flagged,
    Me,
    Established,
}

#[derive(Clone, Debug, PartialEq)]
struct Term {
    negated: bool,
    any: Vec<Test>,
}

/// A filter that was understood; the empty one lets everything through.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

impl Filter {
    /// # Errors
    /// What was not understood, for people.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for word in words(text) {
            let (negated, rest) = match word.strip_prefix('-') {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, word.as_str()),
            };
            let any = match rest.split_once(':') {
                Some((field, value)) if known_field(field) => {
                    let values = value.split(',').filter(|value| !value.is_empty());
                    values.map(|value| test(field, value)).collect::<Result<_, _>>()?
                }
                // As while it is being typed.
                _ if "-".starts_with(rest) => continue,
                _ => vec![word_test(rest)],
            };
            terms.push(Term { negated, any });
        }
        // `port:` alone is being typed: it does not hide everything.
        terms.retain(|term| !term.any.is_empty());
        Ok(Self { terms })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether it asks for what the list of profiles does not come with: evidence, networks, countries.
    pub(super) fn asks_for_index(&self) -> bool {
        let mut tests = self.terms.iter().flat_map(|term| &term.any);
        tests.any(|test| {
            matches!(
                test,
                Test::Kind(_) | Test::Level(..) | Test::Asn(_) | Test::Country(_)
            )
        })
    }

    pub(super) fn matches(&self, subject: &Subject<'_>, known: Known<'_>) -> bool {
        self.terms
            .iter()
            .all(|term| term.any.iter().any(|test| test.holds(subject, known)) != term.negated)
    }
}

impl Test {
    fn holds(&self, subject: &Subject<'_>, known: Known<'_>) -> bool {
        let peers = || subject.ips.iter().filter_map(|ip| known.peers.get(ip));
        match self {
            Self::Network(network) => subject.ips.iter().any(|ip| network.contains(*ip)),
            Self::Address(text) => subject.ips.iter().any(|ip| ip.to_string().contains(text)),
            Self::Ports(from, to) => subject.ports.iter().any(|port| (from..=to).contains(&port)),
            Self::Protocol(name) => subject.protocol == name,
            Self::Asn(text) => peers().any(|peer| {
                peer.asn.as_ref().is_some_and(|(number, name)| {
                    number.to_string() == text.trim_start_matches("as") || has(name, text)
                })
            }),
            Self::Country(code) => peers().any(|peer| {
                peer.country
                    .as_ref()
                    .is_some_and(|own| own.eq_ignore_ascii_case(code))
            }),
            Self::Name(text) => subject
                .ips
                .iter()
                .any(|ip| known.names.get(ip).is_some_and(|name| has(name, text))),
            Self::Kind(text) => subject.kinds.iter().any(|kind| {
                let kind = kind.to_lowercase();
                kind.contains(text) || kind.replace('_', " ").contains(text)
            }),
            Self::Level(level, compare) => subject.level.is_some_and(|own| match compare {
                Compare::Is => own == *level,
                Compare::AtLeast => own >= *level,
                Compare::AtMost => own <= *level,
            }),
            Self::Time(from, to, of_day) => subject.span.is_some_and(|(first, last)| {
                let shown = |time| {
                    let text = known.clock.date_time(time);
                    let at = if *of_day {
                        text.find(' ').map_or(0, |blank| blank + 1)
                    } else {
                        0
                    };
                    text.get(at..).unwrap_or_default().to_owned()
                };
                // What is shown is compared as far as it was typed: `20:59` takes the whole minute.
                let cut =
                    |text: String, like: &str| text.chars().take(like.chars().count()).collect::<String>();
                cut(shown(last), from) >= *from && cut(shown(first), to) <= *to
            }),
            Self::Is(Flag::Flagged) => subject.flagged,
            Self::Is(Flag::Me) => subject.me,
            Self::Is(Flag::Established) => subject.established == Some(true),
            Self::Text(text) => {
                subject
                    .texts
                    .iter()
                    .chain(&subject.kinds)
                    .any(|own| has(own, text))
                    || subject.ips.iter().any(|ip| {
                        ip.to_string().contains(text)
                            || known.names.get(ip).is_some_and(|name| has(name, text))
                    })
            }
        }
    }
}

/// `part` is in lower case.
fn has(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(part)
}

fn known_field(name: &str) -> bool {
    FIELDS
        .iter()
        .any(|(field, _)| field.trim_end_matches(':') == name)
}

fn test(field: &str, value: &str) -> Result<Test, String> {
    let lower = value.to_lowercase();
    Ok(match field {
        "ip" => match network(value) {
            Some(network) => Test::Network(network),
            None => Test::Address(lower),
        },
        "port" => {
            let (from, to) = ports(value).ok_or_else(|| format!("port:{value} is no port"))?;
            Test::Ports(from, to)
        }
        "proto" => Test::Protocol(lower),
        "asn" => Test::Asn(lower),
        "country" => Test::Country(lower),
        "name" => Test::Name(lower),
        "type" => Test::Kind(lower),
        "level" => {
            let (compare, name) = match lower.strip_prefix(['>', '<']) {
                Some(rest) => {
                    let compare = if lower.starts_with('>') {
                        Compare::AtLeast
                    } else {
                        Compare::AtMost
                    };
                    (compare, rest.trim_start_matches('='))
                }
                None => (Compare::Is, lower.as_str()),
            };
            let level = LEVELS
                .iter()
                .find(|level| !name.is_empty() && level.name().starts_with(name));
            Test::Level(
                *level.ok_or_else(|| format!("level:{value} is no level"))?,
                compare,
            )
        }
        "time" => {
            let (from, to) = value.split_once("..").unwrap_or((value, value));
            let clean = |text: &str| text.replace(['T', 't'], " ").trim().to_owned();
            let (from, mut to) = (clean(from), clean(to));
            let well = |text: &str| {
                text.starts_with(|c: char| c.is_ascii_digit())
                    && text
                        .chars()
                        .all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | ' '))
            };
            if !well(&from) || !(to.is_empty() || well(&to)) {
                return Err(format!("time:{value} is no time"));
            }
            let of_day = !from.contains('-');
            // `2018-03-09 20:50..21:10`: the day holds for both.
            if let (false, false, Some((day, _))) =
                (of_day, to.contains('-') || to.is_empty(), from.split_once(' '))
            {
                to = format!("{day} {to}");
            }
            if to.is_empty() {
                to = "9".repeat(4);
            }
            Test::Time(from, to, of_day)
        }
        "is" => Test::Is(match lower.as_str() {
            "flagged" => Flag::Flagged,
            "me" => Flag::Me,
            "established" => Flag::Established,
            _ => return Err(format!("is:{value}: flagged, me or established")),
        }),
        _ => word_test(value),
    })
}

const LEVELS: [ThreatLevel; 5] = [
    ThreatLevel::Info,
    ThreatLevel::Low,
    ThreatLevel::Medium,
    ThreatLevel::High,
    ThreatLevel::Critical,
];

fn word_test(word: &str) -> Test {
    network(word).map_or_else(|| Test::Text(word.to_lowercase()), Test::Network)
}

/// A whole address, or one with a prefix.
fn network(text: &str) -> Option<Network> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(Network::host(ip)),
        Err(_) => text.contains('/').then(|| text.parse().ok()).flatten(),
    }
}

/// `443`, `1-1023`, `>1023`, `<1024`.
fn ports(text: &str) -> Option<(u16, u16)> {
    if let Some(above) = text.strip_prefix('>') {
        return Some((above.parse::<u16>().ok()?.checked_add(1)?, u16::MAX));
    }
    if let Some(below) = text.strip_prefix('<') {
        return Some((0, below.parse::<u16>().ok()?.checked_sub(1)?));
    }
    match text.split_once('-') {
        Some((from, to)) => Some((from.parse().ok()?, to.parse().ok()?)),
        None => text.parse().ok().map(|port| (port, port)),
    }
}

/// Words between blanks; quotes keep blanks, an open one goes to the end.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars().take(MAX_LENGTH) {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
