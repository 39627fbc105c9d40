//! Places of addresses: country, region, city and a position that is rounded to 0.01°, about a kilometre.

use std::net::IpAddr;
use std::sync::Arc;

use super::container::{Container, Damaged};
use super::country::{Code, Families};
use super::records::{Record, Records};
use crate::fact::Matched;

/// Where a coordinate would stand if there were one, hundredths of a degree.
pub const NOWHERE: i64 = 1 << 20;

/// The least error that we state, kilometres: what the slides that introduced Know Your IP allow (30 miles). The makers of
/// the table state none.
pub const LEAST_ERROR_KM: f64 = 48.0;

/// Where the table puts an address.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Number of the place in the table.
    pub number: u32,
    pub country: Option<Code>,
    /// State or province; empty where the table names none.
    pub region: &'a str,
    pub city: &'a str,
    /// Degrees north and east.
    pub position: Option<(f64, f64)>,
    /// Kilometres from the position that hold 90 % of all positions that the table gives under the same names. Where the
    /// table names no city that is the size of the region or country.
    pub spread_km: f64,
    pub matched: Matched,
}

/// Where the addresses of a country are, by the same table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    pub center: (f64, f64),
    /// Kilometres from the center that hold 90 % of its places.
    pub radius_km: f64,
}

/// A table of places.
#[derive(Debug)]
pub struct Places {
    pub container: Arc<Container>,
    families: Families,
    records: Records,
    extents: Records,
}

impl Places {
    /// # Errors
    /// It is no such table.
    pub fn open(container: Container) -> Result<Self, Damaged> {
        let container = Arc::new(container);
        Ok(Self {
            families: Families::open(&container)?,
            records: Records::open(Arc::clone(&container), "records", 2, 4)?,
            extents: Records::open(Arc::clone(&container), "countries", 0, 3)?,
            container,
        })
    }

    /// `None`: no entry.
    ///
    /// # Errors
    /// The table is damaged there.
    pub fn find(&self, ip: IpAddr) -> Result<Option<Place<'_>>, Damaged> {
        let Some((number, matched)) = self.families.find(ip)? else {
            return Ok(None);
        };
        let record = self.records.get(number)?;
        Ok(Some(Place {
            number,
            country: u32::try_from(record.integer(0)).ok().and_then(Code::from_number),
            region: record.text(0),
            city: record.text(1),
            position: position(record, 1),
            spread_km: record.integer(3) as f64,
            matched,
        }))
    }

    /// `None`: the table has no place in the country.
    ///
    /// # Errors
    /// The table is damaged there.
    pub fn extent(&self, country: Code) -> Result<Option<Extent>, Damaged> {
        let record = self.extents.get(country.number().into())?;
        Ok(position(record, 0).map(|center| Extent {
            center,
            radius_km: record.integer(2) as f64,
        }))
    }

    /// Places in the table; their numbers begin with 1.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.count()
    }
}

fn position(record: Record<'_>, column: usize) -> Option<(f64, f64)> {
    let degrees = |column: usize, limit: i64| {
        let hundredths = record.integer(column);
        (hundredths.abs() <= limit * 100).then(|| hundredths as f64 / 100.0)
    };
    Some((degrees(column, 90)?, degrees(column + 1, 180)?))
}
