//! Durations and sizes as people write them in a configuration: `10s`, `72h`, `512MiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(pub Duration);

/// A number of bytes: a whole number and `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// The text is none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct BadUnit {
    text: String,
    what: &'static str,
}

const SPANS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];
const SIZES: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for Span {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let millis = parse(text, &SPANS).ok_or_else(|| BadUnit {
            text: text.to_owned(),
            what: "a duration such as 500ms, 10s, 5m, 72h or 7d",
        })?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl FromStr for Size {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        parse(text, &SIZES).map(Self).ok_or_else(|| BadUnit {
            text: text.to_owned(),
            what: "a size such as 512KiB, 64MiB or 2GiB",
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        show(formatter, millis, &SPANS)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(formatter, self.0, &SIZES)
    }
}

impl TryFrom<String> for Span {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}

impl TryFrom<String> for Size {
    type Error = BadUnit;

    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// In the largest unit that needs no fraction.
fn show(formatter: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let whole = units
        .iter()
        .find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    match whole.or_else(|| units.last()) {
        Some((name, factor)) => write!(formatter, "{}{name}", value / factor),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_back_as_written() {
        for text in ["500ms", "10s", "5m", "3h", "7d", "0ms"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["512KiB", "64MiB", "2GiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        assert_eq!("60 s".parse::<Span>().unwrap().to_string(), "1m");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10x",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!(
            "5MB".parse::<Size>().unwrap_err().to_string(),
            "`5MB` is not a size such as 512KiB, 64MiB or 2GiB"
        );
    }
}
