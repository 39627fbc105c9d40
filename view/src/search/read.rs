//! From what is typed to a search.

mod values;

use lynceus_model::address::Network;

pub(super) use self::values::day;
pub use self::values::moment;
use self::values::{level, number, shown, size, time};
use super::{Compare, Field, Number, Search, Term, Test};
use crate::service;

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
        read(text, false)
    }
}

impl Search {
    /// What is typed so far: `port:`, `-` and a quote that is still open are no mistakes yet.
    ///
    /// # Errors
    /// What was not understood.
    pub fn typed(text: &str) -> Result<Self, NotASearch> {
        read(text, true)
    }
}

fn read(text: &str, typing: bool) -> Result<Search, NotASearch> {
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
    let (words, open) = words(text);
    if open && !typing {
        let word = words.last().map_or("", |word| &word.text);
        return Err(refused(word, "the closing quote is missing"));
    }
    let mut terms = Vec::new();
    for word in words {
        if terms.len() == MAX_TERMS {
            return Err(refused(
                &word.text,
                &format!("a search has at most {MAX_TERMS} words"),
            ));
        }
        match term(&word) {
            Ok(Some(term)) => terms.push(term),
            Ok(None) if typing => {}
            Ok(None) => return Err(refused(&word.text, "a value is missing")),
            Err(why) => return Err(refused(&word.text, &why)),
        }
    }
    Ok(Search { terms })
}

/// A word and whether it began with a quote: then it is text, whatever it holds.
struct Word {
    text: String,
    quoted: bool,
}

/// Words between white space, and whether a quote is open at the end; quotes keep white space together.
fn words(text: &str) -> (Vec<Word>, bool) {
    let mut words = Vec::new();
    let mut current: Option<Word> = None;
    let mut inside = false;
    for c in text.chars() {
        match c {
            '"' => {
                inside = !inside;
                let word = current.get_or_insert_with(|| Word {
                    text: String::new(),
                    quoted: true,
                });
                word.quoted |= word.text == "-";
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
    words.retain(|word| !word.text.is_empty());
    (words, inside)
}

/// `None`: there is no value (yet).
fn term(word: &Word) -> Result<Option<Term>, String> {
    let (negated, rest) = match word.text.strip_prefix('-') {
        Some("") => return Ok(None),
        Some(rest) => (true, rest),
        None => (false, word.text.as_str()),
    };
    let of = |field, test| Ok(Some(Term { negated, field, test }));
    let part = || vec![rest.to_lowercase()];
    if word.quoted {
        return of(Field::Text, Test::Words(part()));
    }
    // An IPv6 address has colons, too.
    if let Ok(network) = rest.parse::<Network>() {
        return of(
            Field::Ip,
            Test::Networks {
                networks: vec![network],
                parts: Vec::new(),
            },
        );
    }
    let Some(at) = rest.find([':', '=', '<', '>']) else {
        return of(Field::Text, Test::Words(part()));
    };
    let (name, values) = rest.split_at(at);
    let name = name.to_lowercase();
    let Some((_, field, _)) = Field::NAMES.iter().find(|(known, ..)| *known == name) else {
        if is_part_of_address(rest) {
            return of(Field::Text, Test::Words(part()));
        }
        let names: Vec<&str> = Field::NAMES.iter().map(|(name, ..)| *name).collect();
        return Err(format!(
            "there is no field `{name}`; fields are {}",
            names.join(", ")
        ));
    };
    let values = values.strip_prefix([':', '=']).unwrap_or(values);
    let (compare, values) = compared(values);
    let values: Vec<&str> = values.split(',').filter(|value| !value.is_empty()).collect();
    if values.is_empty() {
        return Ok(None);
    }
    if values.len() > MAX_VALUES {
        return Err(format!("between 1 and {MAX_VALUES} values"));
    }
    of(*field, test(*field, &name, compare, &values)?)
}

/// `>=5` is at least 5.
fn compared(values: &str) -> (Compare, &str) {
    let signs = [
        (">=", Compare::MoreOrIs),
        ("<=", Compare::LessOrIs),
        (">", Compare::More),
        ("<", Compare::Less),
    ];
    let found = signs
        .iter()
        .find_map(|(sign, compare)| Some((*compare, values.strip_prefix(sign)?)));
    found.unwrap_or((Compare::Is, values))
}

fn is_part_of_address(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':'))
}

fn test(field: Field, name: &str, compare: Compare, values: &[&str]) -> Result<Test, String> {
    let numbers = |read: fn(&str) -> Option<f64>, what: &str| {
        let numbers: Option<Vec<Number>> = values.iter().map(|value| number(compare, value, read)).collect();
        numbers
            .map(Test::Numbers)
            .ok_or_else(|| format!("{what} is wanted"))
    };
    let lower = || values.iter().map(|value| value.to_lowercase());
    match field {
        Field::Ip | Field::Profile | Field::Attacker | Field::Victim | Field::Source | Field::Destination => {
            is_equal(compare)?;
            let (mut networks, mut parts) = (Vec::new(), Vec::new());
            for value in values {
                match value.parse::<Network>() {
                    Ok(network) => networks.push(network),
                    Err(_) if is_part_of_address(value) => parts.push(value.to_lowercase()),
                    Err(_) => return Err("an address or prefix, or a part of one, is wanted".to_owned()),
                }
            }
            Ok(Test::Networks { networks, parts })
        }
        Field::Port | Field::SourcePort => numbers(
            |text| text.parse::<u16>().ok().map(f64::from),
            "a port from 0 to 65535",
        ),
        Field::Protocol => {
            is_equal(compare)?;
            let known = |value: &String| {
                value.parse::<u8>().is_ok()
                    || (0..=u8::MAX).any(|number| service::protocol_name(number) == value)
            };
            let protocols: Vec<String> = lower().collect();
            if protocols.iter().all(known) {
                Ok(Test::Exact(protocols))
            } else {
                Err("tcp, udp, icmp, arp or a number is wanted".to_owned())
            }
        }
        Field::Level => numbers(level, "info, low, medium, high or critical"),
        Field::Bytes | Field::Packets => numbers(size, "a number, as 1500, 10k or 5M,"),
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
            Ok(Test::Numbers(vec![Number::Compared(compare, seconds)]))
        }
        Field::Shown => {
            is_equal(compare)?;
            match values {
                [one] => {
                    shown(one).ok_or_else(|| "a time is wanted, as 20:50..20:59 or 2018-03-09".to_owned())
                }
                _ => Err("one time is wanted".to_owned()),
            }
        }
        Field::Established => match values {
            ["yes" | "true"] => Ok(Test::Numbers(vec![Number::Compared(Compare::Is, 1.0)])),
            ["no" | "false"] => Ok(Test::Numbers(vec![Number::Compared(Compare::Is, 0.0)])),
            _ => Err("yes or no".to_owned()),
        },
        Field::Is => {
            is_equal(compare)?;
            let flags: Vec<String> = lower().collect();
            let known = |flag: &String| ["flagged", "me", "established"].contains(&flag.as_str());
            if flags.iter().all(known) {
                Ok(Test::Exact(flags))
            } else {
                Err("flagged, me or established".to_owned())
            }
        }
        Field::Asn => {
            is_equal(compare)?;
            Ok(Test::Asn(lower().collect()))
        }
        Field::Country => {
            is_equal(compare)?;
            Ok(Test::Exact(lower().collect()))
        }
        Field::Kind | Field::Name | Field::Subject | Field::State | Field::Service | Field::Text => {
            is_equal(compare)?;
            Ok(Test::Words(lower().collect()))
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

#[cfg(test)]
mod tests {
    use lynceus_model::time::Timestamp;
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
        let compared = |compare, number| Number::Compared(compare, number);
        assert_eq!(
            search.terms[1].test,
            Test::Numbers(vec![compared(Compare::MoreOrIs, 0.8)])
        );
        assert_eq!(
            search.terms[2].test,
            Test::Numbers(vec![compared(Compare::Is, 443.0), compared(Compare::Is, 80.0)])
        );
        for text in ["bytes>5M", "bytes:>5M"] {
            assert_eq!(
                parse(text).terms[0].test,
                Test::Numbers(vec![compared(Compare::More, 5e6)])
            );
        }
        assert_eq!(
            parse("port:1-1023").terms[0].test,
            Test::Numbers(vec![Number::Between(1.0, 1023.0)])
        );
        let minus = parse("-\"two words\"");
        assert!(minus.terms[0].negated && minus.terms[0].test == Test::Words(vec!["two words".into()]));
    }

    #[test]
    fn times_become_a_span() {
        let search = parse("after:2017-05-02 before:2017-05-02T10:00");
        let (from, to) = search.span().unwrap();
        assert_eq!(from.as_secs_f64(), 1_493_683_200.0);
        assert_eq!(to.as_secs_f64(), 1_493_719_200.0);
        assert_eq!(parse("port:1").span(), None);
        // What is shown in any zone as this day.
        let (from, to) = parse("time:2017-05-02..2017-05-03").span().unwrap();
        assert_eq!((from.as_secs_f64(), to), (1_493_596_800.0, Timestamp::MAX));
        assert_eq!(parse("time:20:50..20:59").span(), None);
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
            ("proto:apr", "tcp, udp"),
            ("level:awful", "critical"),
            ("time:soon", "a time"),
            ("is:bad", "flagged"),
            ("port:70000", "a port"),
        ] {
            let error = text.parse::<Search>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("a ".repeat(33).parse::<Search>().is_err());
        assert!("a".repeat(1001).parse::<Search>().is_err());
    }

    #[test]
    fn what_is_still_typed_is_no_mistake() {
        for (text, terms) in [
            ("port:", 0),
            ("-", 0),
            ("port:443 level:>=", 1),
            ("\"two wor", 1),
            ("fe80:", 1),
        ] {
            assert_eq!(Search::typed(text).unwrap().terms.len(), terms, "{text}");
        }
        assert!(Search::typed("port:http").is_err());
    }

    proptest! {
        #[test]
        fn nothing_typed_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Search>();
            let _ = Search::typed(&text);
        }

        #[test]
        fn near_misses_do_not_panic(
            text in prop::collection::vec(
                prop::sample::select(vec!["ip", "port", "level", "after", "time", "is", "asn", "..", ":", ">", "=", "-", "\"", " ", ",", "5M", "é", "1"]),
                0..20,
            )
        ) {
            let _ = text.concat().parse::<Search>();
            let _ = Search::typed(&text.concat());
        }
    }
}
