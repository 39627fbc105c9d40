//! Landmarks: machines whose place is known. They stand in a CSV file with a header:
//!
//! ```csv
//! id,latitude,longitude,error_km,address,address6,city,country,source
//! sof1,42.6977,23.3219,5,198.51.100.7,,Sofia,BG,own
//! ```
//!
//! `id`, `latitude` and `longitude` are required; other columns may be missing, be empty, stand in any order, or be
//! somebody's own. A sensor is a landmark whose id is the sensor's name or UUID.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::sphere::LatLon;

/// Most landmarks of a file: forty times the RIPE Atlas anchors.
pub const MAX_LANDMARKS: usize = 65_536;
/// Longest value, in bytes: names, not texts.
const MAX_FIELD: usize = 256;

/// Columns as [`write()`] orders them.
const COLUMNS: [&str; 9] = [
    "id",
    "latitude",
    "longitude",
    "error_km",
    "address",
    "address6",
    "city",
    "country",
    "source",
];

#[derive(Clone, Debug, PartialEq)]
pub struct Landmark {
    pub id: String,
    pub place: LatLon,
    /// How far it may be from `place`, in km.
    pub error_km: f64,
    pub address: Option<Ipv4Addr>,
    pub address6: Option<Ipv6Addr>,
    pub city: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Who says so.
    pub source: String,
}

impl Landmark {
    /// A landmark of which only the place is known.
    #[must_use]
    pub fn new(id: impl Into<String>, place: LatLon) -> Self {
        Self {
            id: id.into(),
            place,
            error_km: 0.0,
            address: None,
            address6: None,
            city: String::new(),
            country: String::new(),
            source: String::new(),
        }
    }

    #[must_use]
    pub fn has_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(four) => self.address == Some(four),
            IpAddr::V6(six) => self.address6 == Some(six),
        }
    }

    /// The address of the same family.
    #[must_use]
    pub fn address_like(&self, like: IpAddr) -> Option<IpAddr> {
        match like {
            IpAddr::V4(_) => self.address.map(IpAddr::V4),
            IpAddr::V6(_) => self.address6.map(IpAddr::V6),
        }
    }
}

/// A file that cannot be taken. Lines are counted from 1, the header among them.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("line {line}: {field}: `{value}` is not {wanted}")]
    Field {
        line: u64,
        field: &'static str,
        value: String,
        wanted: &'static str,
    },
    #[error("line {line}: a second {field} `{value}`")]
    Twice {
        line: u64,
        field: &'static str,
        value: String,
    },
    #[error("line 1: there is no column `{0}`")]
    NoColumn(&'static str),
    #[error("more than {0} lines")]
    TooMany(usize),
    #[error(transparent)]
    Csv(#[from] csv::Error),
}

/// Reads a landmark file.
///
/// # Errors
/// A required column is missing, a value is not what its column holds, an id comes twice, or there are more than
/// 65,536. The error names line and field.
pub fn read(input: impl Read) -> Result<Vec<Landmark>, FileError> {
    let mut table = Table::open(input)?;
    let columns = COLUMNS.map(|name| table.column(name));
    for (at, column) in columns.iter().enumerate().take(3) {
        if column.is_none() {
            return Err(FileError::NoColumn(COLUMNS[at]));
        }
    }
    let mut landmarks = Vec::new();
    let mut known = std::collections::HashSet::new();
    while let Some(row) = table.next()? {
        if landmarks.len() == MAX_LANDMARKS {
            return Err(FileError::TooMany(MAX_LANDMARKS));
        }
        let text = |at: usize| row.text(columns[at], COLUMNS[at]);
        let place = || -> Result<LatLon, FileError> {
            let lat = row.number(columns[1], "latitude", "a latitude in degrees")?;
            let lon = row.number(columns[2], "longitude", "a longitude in degrees")?;
            LatLon::new(lat, lon).ok_or_else(|| row.fault("latitude", &format!("{lat}, {lon}"), "a place"))
        };
        let mut landmark = Landmark::new(text(0)?, place()?);
        if landmark.id.is_empty() {
            return Err(row.fault("id", "", "a name"));
        }
        if columns[3].is_some() && !text(3)?.is_empty() {
            landmark.error_km = row.number(columns[3], "error_km", "a distance in km")?;
            if landmark.error_km < 0.0 {
                return Err(row.fault("error_km", text(3)?, "a distance in km"));
            }
        }
        landmark.address = row.parsed(text(4)?, "address", "an IPv4 address")?;
        landmark.address6 = row.parsed(text(5)?, "address6", "an IPv6 address")?;
        landmark.city = text(6)?.to_owned();
        landmark.country = text(7)?.to_owned();
        landmark.source = text(8)?.to_owned();
        if !known.insert(landmark.id.clone()) {
            let (line, value) = (row.line, landmark.id);
            return Err(FileError::Twice {
                line,
                field: "id",
                value,
            });
        }
        landmarks.push(landmark);
    }
    Ok(landmarks)
}

/// Writes a landmark file that [`read()`] takes.
///
/// # Errors
/// The output cannot be written.
pub fn write(landmarks: &[Landmark], output: impl Write) -> Result<(), csv::Error> {
    let mut rows = csv::WriterBuilder::new().comment(Some(b'#')).from_writer(output);
    rows.write_record(COLUMNS)?;
    for landmark in landmarks {
        let address = landmark.address.map(|address| address.to_string());
        let address6 = landmark.address6.map(|address| address.to_string());
        rows.write_record([
            &landmark.id,
            &shortest(landmark.place.lat()),
            &shortest(landmark.place.lon()),
            &shortest(landmark.error_km),
            &address.unwrap_or_default(),
            &address6.unwrap_or_default(),
            &landmark.city,
            &landmark.country,
            &landmark.source,
        ])?;
    }
    rows.flush()?;
    Ok(())
}

/// The shortest text that reads back as the same number; with an exponent where zeros would fill the field.
fn shortest(number: f64) -> String {
    format!("{number:?}")
}

/// A CSV file with a header, read row by row.
pub(super) struct Table<R> {
    rows: csv::Reader<R>,
    header: csv::StringRecord,
    record: csv::StringRecord,
}

impl<R: Read> Table<R> {
    pub(super) fn open(input: R) -> Result<Self, FileError> {
        let mut rows = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(input);
        let header = rows.headers()?.clone();
        Ok(Self {
            rows,
            header,
            record: csv::StringRecord::new(),
        })
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, FileError> {
        if !self.rows.read_record(&mut self.record)? {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        Ok(Some(Row {
            line,
            record: &self.record,
        }))
    }
}

pub(super) struct Row<'a> {
    pub(super) line: u64,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    pub(super) fn fault(&self, field: &'static str, value: &str, wanted: &'static str) -> FileError {
        FileError::Field {
            line: self.line,
            field,
            value: value.chars().take(64).collect(),
            wanted,
        }
    }

    /// Empty where there is no such column.
    pub(super) fn text(&self, column: Option<usize>, field: &'static str) -> Result<&str, FileError> {
        let text = column.and_then(|at| self.record.get(at)).unwrap_or("");
        if text.len() > MAX_FIELD {
            return Err(self.fault(field, text, "short: at most 256 bytes"));
        }
        Ok(text)
    }

    pub(super) fn number(
        &self,
        column: Option<usize>,
        field: &'static str,
        wanted: &'static str,
    ) -> Result<f64, FileError> {
        let text = self.text(column, field)?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.fault(field, text, wanted))
    }

    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        text: &str,
        field: &'static str,
        wanted: &'static str,
    ) -> Result<Option<T>, FileError> {
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text.parse().map_err(|_| self.fault(field, text, wanted));
        parsed.map(Some)
    }
}
