//! The query language: behind `/` in every list of the terminal UI, in the search of the page, and in the HTTP API.
//!
//! ```text
//! type:horizontal_port_scan level>=high ip:10.0.0.0/8 -port:443 country:CN,RU time:20:50..20:59 "some words"
//! ```
//!
//! Words are joined by AND. `field:a,b` matches either value, `-` in front negates, `>`, `>=`, `<`, `<=` compare numbers,
//! levels and sizes (`10k`, `5M`), with or without the colon; `1-1023` is a range. A word without a field is an address or
//! prefix if it reads as one, else a part of the text or of an address, without regard to case. A field that a record does
//! not have, or that is not known of it, never matches; its negation always does.

mod read;
mod records;

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;

use crate::human::Clock;

pub use read::{MAX_LENGTH, MAX_TERMS, NotASearch, moment};
pub use records::{FlowWithNotes, kind as kind_words};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Any address of the record.
    Ip,
    Profile,
    Attacker,
    Victim,
    /// Originator and responder of a flow.
    Source,
    Destination,
    /// Destination port of evidence, responder's port of a flow.
    Port,
    SourcePort,
    Protocol,
    Kind,
    Level,
    Confidence,
    /// Domain, URL, fingerprint or hash that evidence is about.
    Subject,
    /// Zeek's state of a connection.
    State,
    Established,
    /// Name of the service.
    Service,
    /// Of both sides.
    Bytes,
    Packets,
    /// Seconds.
    Duration,
    /// Last packet (evidence, alerts) or first packet (flows).
    Time,
    /// When it was, as it is shown.
    Shown,
    /// Number and name of the network of any address of the record.
    Asn,
    Country,
    /// Of a host.
    Name,
    /// `flagged`, `me`, `established`.
    Is,
    Text,
}

impl Field {
    /// Names as they are typed, with what they take.
    pub const NAMES: [(&'static str, Self, &'static str); 27] = [
        (
            "ip",
            Self::Ip,
            "address or prefix of either side, or a part of one",
        ),
        ("port", Self::Port, "443, 1-1023, >1023: destination port"),
        ("proto", Self::Protocol, "tcp, udp, icmp, arp or a number"),
        ("asn", Self::Asn, "number of the network, or a part of its name"),
        ("country", Self::Country, "two letters; more with commas"),
        ("name", Self::Name, "a part of a host name"),
        (
            "type",
            Self::Kind,
            "type of evidence or service, or a part: scan, dns",
        ),
        ("level", Self::Level, "info, low, medium, high, critical; >=high"),
        (
            "time",
            Self::Shown,
            "20:50..20:59, 2018-03-09, as times are shown",
        ),
        (
            "after",
            Self::Time,
            "2026-01-31, 2026-01-31T10:00 (UTC) or seconds since 1970",
        ),
        ("before", Self::Time, "the same"),
        ("is", Self::Is, "flagged, me, established"),
        ("profile", Self::Profile, "address whose profile it stands in"),
        ("attacker", Self::Attacker, "address or prefix"),
        ("victim", Self::Victim, "address or prefix"),
        ("src", Self::Source, "originator of a flow"),
        ("dst", Self::Destination, "responder of a flow"),
        ("sport", Self::SourcePort, "source port of a flow"),
        ("service", Self::Service, "http, dns, … by port"),
        (
            "state",
            Self::State,
            "of a connection as Zeek names it: S0, SF, REJ …",
        ),
        ("established", Self::Established, "yes or no"),
        ("bytes", Self::Bytes, "of both sides; >10k, 5M"),
        ("packets", Self::Packets, "of both sides; >100"),
        ("duration", Self::Duration, "seconds; >60"),
        ("confidence", Self::Confidence, "0 to 1; >=0.5"),
        ("subject", Self::Subject, "domain, URL or hash, or a part of it"),
        ("text", Self::Text, "words of the description or of the messages"),
    ];
}

const DAY_NANOS: i64 = 86_400_000_000_000;

/// How a value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Is,
    Less,
    LessOrIs,
    More,
    MoreOrIs,
}

impl Compare {
    fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Self::Is => a == b,
            Self::Less => a < b,
            Self::LessOrIs => a <= b,
            Self::More => a > b,
            Self::MoreOrIs => a >= b,
        }
    }
}

/// A number that is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Compared(Compare, f64),
    /// Both included.
    Between(f64, f64),
}

impl Number {
    fn holds(self, number: f64) -> bool {
        match self {
            Self::Compared(compare, value) => compare.holds(number, value),
            Self::Between(from, to) => from <= number && number <= to,
        }
    }
}

/// What a term compares with; any of several values. Words are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Networks {
        networks: Vec<Network>,
        /// Of the text of an address.
        parts: Vec<String>,
    },
    Numbers(Vec<Number>),
    /// Parts of words.
    Words(Vec<String>),
    /// Whole words.
    Exact(Vec<String>),
    /// Numbers of networks, or parts of their names.
    Asn(Vec<String>),
    /// From and to as times are shown; the flag: of the day alone.
    Shown {
        from: String,
        to: String,
        of_day: bool,
    },
}

impl Test {
    /// One host.
    #[must_use]
    pub fn host(ip: IpAddr) -> Self {
        Self::Networks {
            networks: vec![Network::host(ip)],
            parts: Vec::new(),
        }
    }
}

/// One word of a search.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub negated: bool,
    pub field: Field,
    pub test: Test,
}

/// A search that was understood. The empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    pub terms: Vec<Term>,
}

/// What a record says of a field: nothing where it does not have it, or where it is not known.
pub trait Record {
    fn addresses(&self, field: Field) -> Vec<IpAddr>;

    fn numbers(&self, field: Field) -> Vec<f64>;

    fn words(&self, field: Field) -> Vec<Cow<'_, str>>;

    /// Networks of its addresses: number and name.
    fn systems(&self) -> Vec<(u32, Cow<'_, str>)> {
        Vec::new()
    }

    /// First and last moment.
    fn span(&self) -> Option<(Timestamp, Timestamp)>;
}

impl Search {
    /// `clock` is that with which the record's times are shown.
    #[must_use]
    pub fn matches(&self, record: &impl Record, clock: &Clock) -> bool {
        self.terms
            .iter()
            .all(|term| term.matches(record, clock) != term.negated)
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether any word is about one of these fields.
    #[must_use]
    pub fn asks_for(&self, fields: &[Field]) -> bool {
        self.terms.iter().any(|term| fields.contains(&term.field))
    }

    /// The one profile or address that every match has, so that an index can be used.
    #[must_use]
    pub fn address(&self, fields: &[Field]) -> Option<IpAddr> {
        self.terms.iter().find_map(|term| match &term.test {
            Test::Networks { networks, parts } if !term.negated && fields.contains(&term.field) => {
                match &networks[..] {
                    [one] if parts.is_empty() && one.prefix() == if one.is_ipv4() { 32 } else { 128 } => {
                        Some(one.address())
                    }
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// Times that every match lies in, both inclusive.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let (mut from, mut to) = (Timestamp::MIN, Timestamp::MAX);
        for term in self.terms.iter().filter(|term| !term.negated) {
            match &term.test {
                Test::Numbers(numbers) if term.field == Field::Time => {
                    if let [Number::Compared(compare, seconds)] = numbers[..] {
                        // The cast keeps to the ends of the range.
                        let time = Timestamp((seconds * 1e9) as i64);
                        match compare {
                            Compare::More | Compare::MoreOrIs => from = from.max(time),
                            Compare::Less | Compare::LessOrIs => to = to.min(time),
                            Compare::Is => {}
                        }
                    }
                }
                // In whatever zone it is shown, a day lies within the three days around it.
                Test::Shown { from: first, .. } => {
                    if let Some(day) = read::day(first) {
                        from = from.max(Timestamp(day.0.saturating_sub(DAY_NANOS)));
                    }
                }
                _ => {}
            }
        }
        (from > Timestamp::MIN || to < Timestamp::MAX).then_some((from, to))
    }
}

impl Term {
    fn matches(&self, record: &impl Record, clock: &Clock) -> bool {
        let field = self.field;
        match &self.test {
            Test::Networks { networks, parts } => record.addresses(field).iter().any(|ip| {
                networks.iter().any(|network| network.contains(*ip)) || has_part(&ip.to_string(), parts)
            }),
            Test::Numbers(numbers) => record
                .numbers(field)
                .iter()
                .any(|own| numbers.iter().any(|number| number.holds(*own))),
            Test::Words(words) => {
                record.words(field).iter().any(|text| has_part(text, words))
                    || field == Field::Text && says(record, words)
            }
            Test::Exact(words) => record
                .words(field)
                .iter()
                .any(|own| words.iter().any(|word| own.eq_ignore_ascii_case(word))),
            Test::Asn(wanted) => record.systems().iter().any(|(number, name)| {
                let number = number.to_string();
                wanted
                    .iter()
                    .any(|wanted| wanted.strip_prefix("as").unwrap_or(wanted) == number)
                    || has_part(name, wanted)
            }),
            Test::Shown { from, to, of_day } => record.span().is_some_and(|(first, last)| {
                shown(last, from, *of_day, clock) >= *from && shown(first, to, *of_day, clock) <= *to
            }),
        }
    }
}

/// Whether any of `parts`, which are in lower case, is in the text.
fn has_part(text: &str, parts: &[String]) -> bool {
    let text = text.to_lowercase();
    parts.iter().any(|part| text.contains(part.as_str()))
}

/// What a reader would call its text beside the text itself.
fn says(record: &impl Record, words: &[String]) -> bool {
    [Field::Kind, Field::Name]
        .iter()
        .any(|field| record.words(*field).iter().any(|text| has_part(text, words)))
        || record
            .addresses(Field::Ip)
            .iter()
            .any(|ip| has_part(&ip.to_string(), words))
}

/// A time as it is shown, as far as `like` was typed: `20:59` takes the whole minute.
fn shown(time: Timestamp, like: &str, of_day: bool, clock: &Clock) -> String {
    let text = clock.date_time(time);
    let text = match text.split_once(' ') {
        Some((_, of_the_day)) if of_day => of_the_day,
        _ => &text,
    };
    text.chars().take(like.chars().count()).collect()
}
