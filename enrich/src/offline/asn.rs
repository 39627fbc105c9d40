//! Autonomous systems: who announces an address.

use std::net::IpAddr;
use std::sync::Arc;

use super::container::{Container, Damaged};
use super::country::Families;
use super::records::Records;
use crate::fact::Matched;

/// An autonomous system and the range of the table that led to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System<'a> {
    pub number: u32,
    /// As the table writes it.
    pub organization: &'a str,
    pub matched: Matched,
}

/// A table of autonomous systems.
#[derive(Debug)]
pub struct Systems {
    pub container: Arc<Container>,
    families: Families,
    records: Records,
}

impl Systems {
    /// # Errors
    /// It is no such table.
    pub fn open(container: Container) -> Result<Self, Damaged> {
        let container = Arc::new(container);
        Ok(Self {
            families: Families::open(&container)?,
            records: Records::open(Arc::clone(&container), "records", 1, 1)?,
            container,
        })
    }

    /// `None`: the table has no entry, which does not say that nobody announces it.
    ///
    /// # Errors
    /// The table is damaged there.
    pub fn find(&self, ip: IpAddr) -> Result<Option<System<'_>>, Damaged> {
        let Some((number, matched)) = self.families.find(ip)? else {
            return Ok(None);
        };
        let record = self.records.get(number)?;
        Ok(Some(System {
            number: u32::try_from(record.integer(0)).unwrap_or(0),
            organization: record.text(0),
            matched,
        }))
    }
}
