//! The query language of searches over flows, evidence and alerts, the same wherever it is typed.
//!
//! ```text
//! type:horizontal_port_scan level>=high ip:10.0.0.0/8 -port:443 after:2026-01-31 "some words"
//! ```
//!
//! Words are joined by AND. `field:a,b` matches either value, `-` in front negates, `>`, `>=`, `<`, `<=` compare numbers,
//! levels and sizes (`10k`, `5M`). A word without a field is an address or prefix if it reads as one, else a part of the
//! text, without regard to case. A field that a record does not have never matches; its negation always does.

mod read;
mod records;

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;

pub use read::{MAX_LENGTH, MAX_TERMS, NotASearch};
pub use records::FlowWithNotes;

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
    Text,
}

impl Field {
    /// Names as they are typed, with what they take.
    pub const NAMES: [(&'static str, Self, &'static str); 22] = [
        ("ip", Self::Ip, "an address or prefix of either side"),
        ("profile", Self::Profile, "the address whose profile it stands in"),
        ("attacker", Self::Attacker, "an address or prefix"),
        ("victim", Self::Victim, "an address or prefix"),
        ("src", Self::Source, "originator of a flow"),
        ("dst", Self::Destination, "responder of a flow"),
        ("port", Self::Port, "destination port; also > and <"),
        ("sport", Self::SourcePort, "source port of a flow"),
        ("proto", Self::Protocol, "tcp, udp, icmp or a number"),
        ("type", Self::Kind, "type of evidence, or a part of it"),
        ("level", Self::Level, "info, low, medium, high, critical; also >="),
        ("confidence", Self::Confidence, "0 to 1; also >="),
        ("subject", Self::Subject, "domain, URL or hash, or a part of it"),
        (
            "state",
            Self::State,
            "state of a connection as Zeek names it: S0, SF, REJ …",
        ),
        ("established", Self::Established, "yes or no"),
        ("service", Self::Service, "http, dns, … by port"),
        ("bytes", Self::Bytes, "of both sides; 10k, 5M; also >"),
        ("packets", Self::Packets, "of both sides; also >"),
        ("duration", Self::Duration, "seconds; also >"),
        (
            "after",
            Self::Time,
            "2026-01-31, 2026-01-31T10:00 (UTC) or seconds since 1970",
        ),
        ("before", Self::Time, "the same"),
        ("text", Self::Text, "words of the description or of the messages"),
    ];
}

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

/// What a term compares with; any of several values.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Networks(Vec<Network>),
    Numbers(Compare, Vec<f64>),
    /// Lower case.
    Words(Vec<String>),
    Flag(bool),
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

/// What a record says of a field.
pub trait Record {
    fn addresses(&self, field: Field) -> Vec<IpAddr>;

    fn number(&self, field: Field) -> Option<f64>;

    fn words(&self, field: Field) -> Vec<Cow<'_, str>>;
}

impl Search {
    #[must_use]
    pub fn matches(&self, record: &impl Record) -> bool {
        self.terms.iter().all(|term| term.matches(record) != term.negated)
    }

    /// The one profile or address that every match has, so that an index can be used.
    #[must_use]
    pub fn address(&self, fields: &[Field]) -> Option<IpAddr> {
        self.terms.iter().find_map(|term| match &term.test {
            Test::Networks(networks) if !term.negated && fields.contains(&term.field) => {
                match &networks[..] {
                    [one] if one.prefix() == if one.is_ipv4() { 32 } else { 128 } => Some(one.address()),
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
            let Test::Numbers(compare, values) = &term.test else {
                continue;
            };
            if let (Field::Time, [seconds]) = (term.field, &values[..]) {
                // The cast keeps to the ends of the range.
                let time = Timestamp((seconds * 1e9) as i64);
                match compare {
                    Compare::More | Compare::MoreOrIs => from = from.max(time),
                    Compare::Less | Compare::LessOrIs => to = to.min(time),
                    Compare::Is => {}
                }
            }
        }
        (from > Timestamp::MIN || to < Timestamp::MAX).then_some((from, to))
    }
}

impl Term {
    fn matches(&self, record: &impl Record) -> bool {
        match &self.test {
            Test::Networks(networks) => record
                .addresses(self.field)
                .iter()
                .any(|ip| networks.iter().any(|network| network.contains(*ip))),
            Test::Numbers(compare, values) => record
                .number(self.field)
                .is_some_and(|number| values.iter().any(|value| compare.holds(number, *value))),
            Test::Words(words) => record.words(self.field).iter().any(|text| {
                let text = text.to_lowercase();
                words.iter().any(|word| text.contains(word.as_str()))
            }),
            Test::Flag(flag) => record
                .number(self.field)
                .is_some_and(|number| (number != 0.0) == *flag),
        }
    }
}
