//! Whose data comes with the program, and the lines that their licenses ask for. `NOTICE` says the same.

use serde::Serialize;

use super::container::{Container, Damaged};
use super::tables::Tables;
use super::zones;

/// Where a description stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the header of a table of ours, by its place in [`Tables::containers`].
    Table(usize),
    /// Boundaries of time zones, in a crate.
    Zones,
    /// The list of public suffixes, in a crate.
    Suffixes,
    /// Names of countries.
    Countries,
    /// Special-use blocks.
    SpecialUse,
    /// Blocks of the regional registries, and where they answer RDAP.
    Registries,
}

/// Day of the list of countries' names.
pub const COUNTRIES: &str = "2025-03-22";
/// Day on which the table of special-use blocks was compared with IANA's registries.
pub const SPECIAL_USE: &str = "2026-11-22";
/// Month of the allocations in the table of registries.
pub const REGISTRIES: &str = "2026-11-01";

/// Everything that is shipped.
pub const SOURCES: &[Source] = &[
    Source::Table(0),
    Source::Table(1),
    Source::Table(2),
    Source::Table(3),
    Source::Table(4),
    Source::Zones,
    Source::Countries,
    Source::SpecialUse,
    Source::Registries,
    Source::Suffixes,
];

/// One source as `lynceus about data` shows it.
#[derive(Debug, Serialize)]
pub struct Shipped<'a> {
    pub title: String,
    pub package: String,
    /// `YYYY-MM-DD`, or a version where no date is known.
    pub date: String,
    pub license: String,
    pub attribution: String,
    pub url: String,
    pub bytes: Option<u64>,
    pub records: Option<u64>,
    /// Getting old makes it wrong.
    pub ages: bool,
    #[serde(skip)]
    container: Option<&'a Container>,
}

impl Source {
    #[must_use]
    pub fn shipped(self, tables: &Tables) -> Shipped<'_> {
        let plain =
            |title: &str, package: &str, date: &str, license: &str, attribution: &str, url: &str| Shipped {
                title: title.to_owned(),
                package: package.to_owned(),
                date: date.to_owned(),
                license: license.to_owned(),
                attribution: attribution.to_owned(),
                url: url.to_owned(),
                bytes: None,
                records: None,
                ages: false,
                container: None,
            };
        match self {
            Self::Table(at) => {
                let container = tables.containers()[at % tables.containers().len()];
                let header = &container.header;
                Shipped {
                    bytes: Some(container.size() as u64),
                    records: Some(header.records),
                    ages: header.kind != "mac-vendor",
                    container: Some(container),
                    ..plain(
                        &header.title,
                        &format!("{} {}", header.package, header.version),
                        &header.date,
                        &header.license,
                        &header.attribution,
                        &header.url,
                    )
                }
            }
            Self::Zones => plain(
                "time zones",
                "tzf-dist (lite, unmodified)",
                zones::version(),
                "ODbL 1.0",
                "Contains information from OpenStreetMap by way of timezone-boundary-builder, which is made available \
                 under the Open Database License (ODbL).",
                "https://github.com/evansiroky/timezone-boundary-builder",
            ),
            Self::Suffixes => plain(
                "public suffixes",
                "psl",
                "–",
                "MPL 2.0",
                "Public Suffix List, Mozilla Foundation, under the Mozilla Public License 2.0.",
                "https://publicsuffix.org",
            ),
            Self::Countries => plain(
                "names of countries",
                "tzdata iso3166.tab",
                COUNTRIES,
                "public domain",
                "Names of countries from the time zone database, which is in the public domain.",
                "https://www.iana.org/time-zones",
            ),
            Self::SpecialUse => plain(
                "special-use addresses",
                "own table",
                SPECIAL_USE,
                "Apache-2.0 OR MIT",
                "Special-purpose address registries of IANA (RFC 6890), as a table of our own.",
                "https://www.iana.org/assignments/iana-ipv4-special-registry",
            ),
            Self::Registries => plain(
                "regional registries",
                "own table",
                REGISTRIES,
                "Apache-2.0 OR MIT",
                "Blocks that IANA gave to the regional registries, and their RDAP servers (RFC 9224), as a table of our own.",
                "https://www.iana.org/assignments/rdap-ipv4",
            ),
        }
    }
}

impl Shipped<'_> {
    /// Days between the date of the data and `today`; `None`: no date is known.
    #[must_use]
    pub fn age_days(&self, today: jiff::civil::Date) -> Option<i32> {
        let date: jiff::civil::Date = self.date.parse().ok()?;
        date.until(today).ok().map(|span| span.get_days())
    }

    /// Compares a table of ours with the hash in its header; others have none.
    ///
    /// # Errors
    /// The hash is another one.
    pub fn verify(&self) -> Result<(), Damaged> {
        let Some(container) = self.container else {
            return Ok(());
        };
        if container.hash() == container.header.payload_sha256 {
            return Ok(());
        }
        Err(Damaged::at(
            "payload",
            0,
            "is not what the hash in the header says",
        ))
    }
}
