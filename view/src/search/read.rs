//! From what is typed to a search.

use lynceus_model::address::Network;
use lynceus_model::evidence::ThreatLevel;

use super::{Compare, Field, Search, Term, Test};

/// Characters and words of a search: people type less; what is longer is no search.
pub const MAX_LENGTH: usize = 1000;
pub const MAX_TERMS: usize = 32;
/// Values of one word.
const MAX_VALUES: usize = 64;

/// Why a search was not understood, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotASearch {
    /// The word as typed.
    pub word: String,
    pub why: String,
}

impl std::fmt::Display for NotASearch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.word, self.why)
    }
}

impl std::error::Error for NotASearch {}

impl std::str::FromStr for Search {
    type Err = NotASearch;

    fn from_str(text: &str) -> Result<Self, NotASearch> {
        let refused = |word: &str, why: &str| NotASearch {
            word: word.chars().take(60).collect(),
            why: why.to_owned(),
        };
        if text.len() > MAX_LENGTH {
            return Err(refused(
                text,
                &format!("a search has at most {MAX_LENGTH} characters"),
            ));
        }
        let mut terms = Vec::new();
        for word in words(text).map_err(|word| refused(&word, "the closing quote is missing"))? {
            if terms.len() == MAX_TERMS {
                return Err(refused(
                    &word.text,
                    &format!("a search has at most {MAX_TERMS} words"),
                ));
            }
            terms.push(term(&word).map_err(|why| refused(&word.text, &why))?);
        }
        Ok(Self { terms })
    }
}

/// A word and whether it began with a quote: then it is text, whatever it holds.
struct Word {
    text: String,
    quoted: bool,
}

/// Words between white space; quotes keep white space together. `Err`: the word whose quote is open.
fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut current: Option<Word> = None;
    let mut inside = false;
    for c in text.chars() {
        match c {
            '"' => {
                inside = !inside;
                current.get_or_insert_with(|| Word {
                    text: String::new(),
                    quoted: true,
                });
            }
            c if c.is_whitespace() && !inside => words.extend(current.take()),
            c => current
                .get_or_insert_with(|| Word {
                    text: String::new(),
                    quoted: false,
                })
                .text
                .push(c),
        }
    }
    words.extend(current);
    if inside {
        return Err(words.pop().map(|word| word.text).unwrap_or_default());
    }
    words.retain(|word| !word.text.is_empty());
    Ok(words)
}

fn term(word: &Word) -> Result<Term, String> {
    let text = |negated, text: &str| Term {
        negated,
        field: Field::Text,
        test: Test::Words(vec![text.to_lowercase()]),
    };
    if word.quoted {
        return Ok(text(false, &word.text));
    }
    let (negated, rest) = match word.text.strip_prefix('-') {
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, word.text.as_str()),
    };
    // An IPv6 address has colons, too.
    if let Ok(network) = rest.parse::<Network>() {
        return Ok(Term {
            negated,
            field: Field::Ip,
            test: Test::Networks(vec![network]),
        });
    }
    let Some(at) = rest.find([':', '=', '<', '>']) else {
        return Ok(text(negated, rest));
    };
    let (name, rest) = rest.split_at(at);
    let (compare, values) = match rest.as_bytes() {
        [b'>', b'=', ..] => (Compare::MoreOrIs, &rest[2..]),
        [b'<', b'=', ..] => (Compare::LessOrIs, &rest[2..]),
        [b'>', ..] => (Compare::More, &rest[1..]),
        [b'<', ..] => (Compare::Less, &rest[1..]),
        _ => (Compare::Is, &rest[1..]),
    };
    let name = name.to_lowercase();
    let Some((_, field, _)) = Field::NAMES.iter().find(|(known, ..)| *known == name) else {
        let names: Vec<&str> = Field::NAMES.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "there is no field `{name}`; fields are {}",
            names.join(", ")
        ));
    };
    if values.is_empty() {
        return Err("a value is missing".to_owned());
    }
    let values: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(format!("between 1 and {MAX_VALUES} values"));
    }
    let test = test(*field, &name, compare, &values)?;
    Ok(Term {
        negated,
        field: *field,
        test,
    })
}

fn test(field: Field, name: &str, compare: Compare, values: &[&str]) -> Result<Test, String> {
    let numbers = |read: fn(&str) -> Option<f64>, what: &str| {
        let numbers: Option<Vec<f64>> = values.iter().map(|value| read(value)).collect();
        numbers
            .map(|numbers| Test::Numbers(compare, numbers))
            .ok_or_else(|| format!("{what} is wanted"))
    };
    match field {
        Field::Ip | Field::Profile | Field::Attacker | Field::Victim | Field::Source | Field::Destination => {
            is_equal(compare)?;
            let networks: Result<_, _> = values.iter().map(|value| value.parse::<Network>()).collect();
            networks
                .map(Test::Networks)
                .map_err(|_| "an address or prefix is wanted".to_owned())
        }
        Field::Port | Field::SourcePort => numbers(|text| text.parse::<u16>().ok().map(f64::from), "a port"),
        Field::Protocol => numbers(protocol, "tcp, udp, icmp or a number"),
        Field::Level => numbers(level, "info, low, medium, high or critical"),
        Field::Bytes | Field::Packets => numbers(size, "a number, as 1500, 10k or 5M"),
        Field::Confidence | Field::Duration => numbers(
            |text| text.parse().ok().filter(|number: &f64| number.is_finite()),
            "a number",
        ),
        Field::Time => {
            is_equal(compare)?;
            let seconds = match values {
                [one] => time(one).ok_or("a time is wanted, as 2026-01-31 or 2026-01-31T10:00")?,
                _ => return Err("one time is wanted".to_owned()),
            };
            let compare = if name == "after" {
                Compare::MoreOrIs
            } else {
                Compare::Less
            };
            Ok(Test::Numbers(compare, vec![seconds]))
        }
        Field::Established => match values {
            ["yes" | "true"] => Ok(Test::Flag(true)),
            ["no" | "false"] => Ok(Test::Flag(false)),
            _ => Err("yes or no".to_owned()),
        },
        Field::Kind | Field::Subject | Field::State | Field::Service | Field::Text => {
            is_equal(compare)?;
            Ok(Test::Words(
                values.iter().map(|value| value.to_lowercase()).collect(),
            ))
        }
    }
}

fn is_equal(compare: Compare) -> Result<(), String> {
    if compare == Compare::Is {
        Ok(())
    } else {
        Err("this field cannot be greater or less".to_owned())
    }
}

fn level(text: &str) -> Option<f64> {
    let level = [
        ThreatLevel::Info,
        ThreatLevel::Low,
        ThreatLevel::Medium,
        ThreatLevel::High,
        ThreatLevel::Critical,
    ];
    let level = level.into_iter().find(|level| level.name() == text)?;
    Some(level.weight())
}

fn protocol(text: &str) -> Option<f64> {
    let number = match text {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "icmp6" => 58,
        "igmp" => 2,
        "gre" => 47,
        "sctp" => 132,
        number => number.parse::<u8>().ok()?,
    };
    Some(f64::from(number))
}

/// `1500`, `10k`, `5M`, `2G`.
fn size(text: &str) -> Option<f64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1e3),
        b'M' => (&text[..text.len() - 1], 1e6),
        b'G' => (&text[..text.len() - 1], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

/// Seconds since the epoch: as such, a date, or a date with a time of day, in UTC.
fn time(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds.is_finite().then_some(seconds);
    }
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant.as_second() as f64);
    }
    let civil = text
        .parse::<jiff::civil::DateTime>()
        .or_else(|_| text.parse::<jiff::civil::Date>().map(Into::into))
        .ok()?;
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(instant.timestamp().as_second() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Search {
        text.parse().unwrap()
    }

    #[test]
    fn words_become_terms() {
        let search = parse("type:port_scan level>=high -port:443,80 10.0.0.0/8 \"two words\" 2001:db8::1");
        let fields: Vec<(bool, Field)> = search
            .terms
            .iter()
            .map(|term| (term.negated, term.field))
            .collect();
        assert_eq!(
            fields,
            [
                (false, Field::Kind),
                (false, Field::Level),
                (true, Field::Port),
                (false, Field::Ip),
                (false, Field::Text),
                (false, Field::Ip),
            ]
        );
        assert_eq!(search.terms[1].test, Test::Numbers(Compare::MoreOrIs, vec![0.8]));
        assert_eq!(
            search.terms[2].test,
            Test::Numbers(Compare::Is, vec![443.0, 80.0])
        );
        assert_eq!(
            parse("bytes>5M").terms[0].test,
            Test::Numbers(Compare::More, vec![5e6])
        );
    }

    #[test]
    fn times_become_a_span() {
        let search = parse("after:2017-05-02 before:2017-05-02T10:00");
        let (from, to) = search.span().unwrap();
        assert_eq!(from.as_secs_f64(), 1_493_683_200.0);
        assert_eq!(to.as_secs_f64(), 1_493_719_200.0);
        assert_eq!(parse("port:1").span(), None);
    }

    #[test]
    fn an_index_is_used_for_one_address_only() {
        let fields = [Field::Ip, Field::Profile];
        assert_eq!(parse("10.0.0.5").address(&fields), "10.0.0.5".parse().ok());
        for text in [
            "10.0.0.0/8",
            "-10.0.0.5",
            "ip:10.0.0.5,10.0.0.6",
            "attacker:10.0.0.5",
            "",
        ] {
            assert_eq!(parse(text).address(&fields), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, part) in [
            ("colour:red", "no field `colour`"),
            ("port:x", "a port"),
            ("port:", "value is missing"),
            ("type>scan", "cannot be greater"),
            ("\"open", "closing quote"),
            ("established:maybe", "yes or no"),
            ("after:yesterday", "a time is wanted"),
            ("ip:nowhere", "an address"),
        ] {
            let error = text.parse::<Search>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("a ".repeat(33).parse::<Search>().is_err());
        assert!("a".repeat(1001).parse::<Search>().is_err());
    }

    proptest! {
        #[test]
        fn nothing_typed_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Search>();
        }

        #[test]
        fn near_misses_do_not_panic(
            text in prop::collection::vec(
                prop::sample::select(vec!["ip", "port", "level", "after", ":", ">", "=", "-", "\"", " ", ",", "5M", "é", "1"]),
                0..20,
            )
        ) {
            let _ = text.concat().parse::<Search>();
        }
    }
}
