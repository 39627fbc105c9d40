//! Makers of network cards, by the first 24 to 36 bits of a MAC address.

use std::sync::Arc;

use super::container::{Container, Damaged};
use super::ranges::Ranges;
use super::records::Records;

/// A table of makers.
#[derive(Debug)]
pub struct Vendors {
    pub container: Arc<Container>,
    ranges: Ranges<u64>,
    records: Records,
}

impl Vendors {
    /// # Errors
    /// It is no such table.
    pub fn open(container: Container) -> Result<Self, Damaged> {
        let container = Arc::new(container);
        Ok(Self {
            ranges: Ranges::open(Arc::clone(&container), "mac")?,
            records: Records::open(Arc::clone(&container), "records", 1, 0)?,
            container,
        })
    }

    /// The maker; `None`: not registered, or an address that software made up (the locally administered bit) or a group.
    ///
    /// # Errors
    /// The table is damaged there.
    pub fn find(&self, mac: [u8; 6]) -> Result<Option<&str>, Damaged> {
        if mac[0] & 0b11 != 0 {
            return Ok(None);
        }
        let [a, b, c, d, e, f] = mac;
        let Some(found) = self.ranges.find(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))? else {
            return Ok(None);
        };
        if found.number == 0 {
            return Ok(None);
        }
        Ok(Some(self.records.get(found.number)?.text(0)))
    }
}
