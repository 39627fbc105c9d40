//! Countries of addresses, as two letters (ISO 3166-1 alpha-2) in 16 bits.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::container::{Container, Damaged};
use super::ranges::{Found, Ranges};
use crate::fact::Matched;

/// Two letters; ordered as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; 2]);

impl Code {
    /// Two ASCII letters, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            [one, two] if one.is_ascii_alphabetic() && two.is_ascii_alphabetic() => {
                Some(Self([one.to_ascii_uppercase(), two.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// 1 for AA to 676 for ZZ.
    #[must_use]
    pub fn number(self) -> u16 {
        let [one, two] = self.0.map(|letter| u16::from(letter - b'A'));
        one * 26 + two + 1
    }

    /// `None`: no code has this number, as 0.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let number = u16::try_from(number.checked_sub(1)?)
            .ok()
            .filter(|number| *number < 676)?;
        Some(Self([b'A' + (number / 26) as u8, b'A' + (number % 26) as u8]))
    }

    #[must_use]
    pub fn text(&self) -> &str {
        // Two ASCII letters.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// English name, as the time zone database lists it.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        let mut lines = include_str!("../../data/countries.tsv").lines();
        lines.find_map(|line| line.strip_prefix(self.text())?.strip_prefix('\t'))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// A table of countries.
#[derive(Debug)]
pub struct Countries {
    pub container: Arc<Container>,
    families: Families,
}

impl Countries {
    /// # Errors
    /// It is no such table.
    pub fn open(container: Container) -> Result<Self, Damaged> {
        let container = Arc::new(container);
        Ok(Self {
            families: Families::open(&container)?,
            container,
        })
    }

    /// `None`: no entry.
    ///
    /// # Errors
    /// The table is damaged there.
    pub fn find(&self, ip: IpAddr) -> Result<Option<(Code, Matched)>, Damaged> {
        let found = self.families.find(ip)?;
        Ok(found.and_then(|(number, matched)| Some((Code::from_number(number)?, matched))))
    }
}

/// Ranges of both families.
#[derive(Debug)]
pub(super) struct Families {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Families {
    pub(super) fn open(container: &Arc<Container>) -> Result<Self, Damaged> {
        Ok(Self {
            v4: Ranges::open(Arc::clone(container), "v4")?,
            v6: Ranges::open(Arc::clone(container), "v6")?,
        })
    }

    /// Number and range; `None`: no entry.
    pub(super) fn find(&self, ip: IpAddr) -> Result<Option<(u32, Matched)>, Damaged> {
        Ok(match ip {
            IpAddr::V4(ip) => self.v4.find(ip.to_bits())?.and_then(|found| {
                let Found { first, last, number } = found;
                let matched = Matched {
                    first: IpAddr::V4(first.into()),
                    last: IpAddr::V4(last.into()),
                };
                (number != 0).then_some((number, matched))
            }),
            IpAddr::V6(ip) => self.v6.find(ip.to_bits())?.and_then(|found| {
                let Found { first, last, number } = found;
                let matched = Matched {
                    first: IpAddr::V6(first.into()),
                    last: IpAddr::V6(last.into()),
                };
                (number != 0).then_some((number, matched))
            }),
        })
    }
}
