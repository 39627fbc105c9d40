//! Values of facts, and why there may be none.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

/// What a fact says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Integer(i64),
    Real(f64),
    /// Yes or no. Only a source that would know a yes may say no.
    Flag(bool),
    /// Numbers in order, then texts in order.
    Set(BTreeSet<Item>),
    Unknown(Reason),
}

/// A member of a set. Numbers sort as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    Integer(i64),
    Text(String),
}

/// Why a source has no answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The list or table that would say it is not here: what it is.
    NoData(Cow<'static, str>),
    /// The table is here and has no entry for the address.
    NoEntry,
    /// Not in the lists that are here, whose they are, while others exist: no *no* follows from that.
    InNoneOf(Cow<'static, str>),
    /// Nobody can know it of an address that is not globally routed.
    NotRoutable,
    /// Nobody asked: asking would need what it says, a key, a flag or leave to send packets.
    NotAsked(Cow<'static, str>),
    /// Asked, and no usable answer: the error.
    Failed(String),
}

impl Value {
    #[must_use]
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }

    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    #[must_use]
    pub const fn real(&self) -> Option<f64> {
        match self {
            Self::Real(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// `None`: unknown, or no yes-or-no value.
    #[must_use]
    pub const fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(value) => Some(*value),
            _ => None,
        }
    }

    /// The same for voting: letter case and blanks at the ends do not make two opinions.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one.trim().to_lowercase() == other.trim().to_lowercase(),
            (Self::Real(_) | Self::Integer(_), Self::Real(_) | Self::Integer(_)) => {
                self.real() == other.real()
            }
            _ => self == other,
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(value)
    }
}

impl FromIterator<Item> for Value {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        Self::Set(items.into_iter().collect())
    }
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<&str> for Item {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(formatter),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

/// For people; members of sets between commas.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Integer(value) => value.fmt(formatter),
            Self::Real(value) => value.fmt(formatter),
            Self::Flag(value) => formatter.write_str(if *value { "yes" } else { "no" }),
            Self::Set(items) if items.is_empty() => formatter.write_str("none"),
            Self::Set(items) => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        formatter.write_str(", ")?;
                    }
                    item.fmt(formatter)?;
                }
                Ok(())
            }
            Self::Unknown(reason) => write!(formatter, "unknown ({reason})"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData(what) => write!(formatter, "no {what} here"),
            Self::NoEntry => formatter.write_str("no entry"),
            Self::InNoneOf(whose) => write!(formatter, "in none of {whose}"),
            Self::NotRoutable => formatter.write_str("not globally routable"),
            Self::NotAsked(need) => write!(formatter, "not asked: {need}"),
            Self::Failed(error) => formatter.write_str(error),
        }
    }
}
