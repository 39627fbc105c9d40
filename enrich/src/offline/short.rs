//! The short form of a dossier that stands with evidence, alerts and flows.
//!
//! Made of the program's tables alone, in less than a microsecond: nobody waits for it, and the same address gives the same words.

use std::fmt;
use std::net::IpAddr;

use super::country::Code;
use super::special::{Category, is_routable};
use super::tables::Tables;

/// Who an address belongs to, in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    pub ip: IpAddr,
    pub category: Category,
    /// DB-IP's word, else IPtoASN's; `None`: unknown, or nobody routes the address.
    pub country: Option<Code>,
    /// Whether both say the same; `None` with fewer than two.
    pub agree: Option<bool>,
    pub asn: Option<u32>,
    pub organization: Option<&'static str>,
}

impl Short {
    /// Looks the address up in the program's tables. Without them everything but the category is unknown.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        let Ok(tables) = Tables::embedded() else {
            return Self {
                ip,
                category: super::special::category(ip.to_canonical()),
                country: None,
                agree: None,
                asn: None,
                organization: None,
            };
        };
        let found = tables.find_owner(ip);
        let (dbip, iptoasn) = (
            found.dbip.map(|(code, _)| code),
            found.iptoasn.map(|(code, _)| code),
        );
        Self {
            ip,
            category: found.special.map_or(Category::Public, |special| special.category),
            country: dbip.or(iptoasn),
            agree: dbip.zip(iptoasn).map(|(one, other)| one == other),
            asn: found.system.map(|system| system.number),
            organization: found.system.map(|system| system.organization),
        }
    }

    /// Something that [`Self`] could say of it: public addresses.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        is_routable(self.ip.to_canonical())
    }
}

/// `GB?, AS6461 Zayo Bandwidth`: a question mark where the sources do not agree. `private` and so on for other addresses.
impl fmt::Display for Short {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.category != Category::Public {
            return formatter.write_str(self.category.name());
        }
        match self.country {
            Some(country) => write!(formatter, "{country}")?,
            None => formatter.write_str("country unknown")?,
        }
        if self.agree == Some(false) {
            formatter.write_str("?")?;
        }
        match (self.asn, self.organization) {
            (Some(asn), Some(organization)) => write!(formatter, ", AS{asn} {organization}"),
            _ => formatter.write_str(", AS unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ip: &str) -> Short {
        Short::of(ip.parse().unwrap())
    }

    #[test]
    fn a_line_says_whose_it_is_and_doubts() {
        assert_eq!(of("8.8.8.8").to_string(), "US, AS15169 Google LLC");
        assert_eq!(of("94.31.29.154").to_string(), "GB?, AS6461 Zayo Bandwidth");
        assert_eq!(of("192.168.1.7").to_string(), "private");
        assert_eq!(of("::ffff:8.8.8.8").asn, Some(15169));
        assert_eq!(of("4000::").to_string(), "reserved");
    }
}
