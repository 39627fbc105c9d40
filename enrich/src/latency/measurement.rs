//! Round-trip times as people and programs write them down, and what is made of them for one target.
//!
//! ```csv
//! landmark,target,rtt_ms
//! sof1,192.0.2.7,3.1
//! sof1,198.51.100.9,21.4
//! ```
//!
//! A target that is itself a landmark's address calibrates: its distance is known, so it goes into the bestline of the
//! landmark that measured it.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;

use super::cap::Observation;
use super::landmark::{FileError, Landmark, Table};
use super::{Bestline, Settings};

/// Most rows of a file: every landmark to every target of an afternoon.
pub const MAX_MEASUREMENTS: usize = 1 << 20;

/// One round-trip time.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Identifier of the landmark.
    pub landmark: String,
    pub target: IpAddr,
    pub rtt_ms: f64,
}

/// Reads `landmark,target,rtt_ms`; further columns are skipped.
///
/// # Errors
/// A column is missing, a value is not what its column holds, or there are more than 1,048,576 rows. The error names
/// line and field.
pub fn read(input: impl Read) -> Result<Vec<Measurement>, FileError> {
    let mut table = Table::open(input)?;
    let mut columns = [None; 3];
    for (column, name) in columns.iter_mut().zip(["landmark", "target", "rtt_ms"]) {
        *column = Some(table.column(name).ok_or(FileError::NoColumn(name))?);
    }
    let mut measurements = Vec::new();
    while let Some(row) = table.next()? {
        if measurements.len() == MAX_MEASUREMENTS {
            return Err(FileError::TooMany(MAX_MEASUREMENTS));
        }
        let wanted = "a round-trip time in ms";
        let rtt_ms = row.number(columns[2], "rtt_ms", wanted)?;
        if rtt_ms < 0.0 {
            return Err(row.fault("rtt_ms", &rtt_ms.to_string(), wanted));
        }
        let target = row.text(columns[1], "target")?;
        let target = row.parsed(target, "target", "an IP address")?;
        measurements.push(Measurement {
            landmark: row.text(columns[0], "landmark")?.to_owned(),
            target: target.ok_or_else(|| row.fault("target", "", "an IP address"))?,
            rtt_ms,
        });
    }
    Ok(measurements)
}

/// What was measured of one target, ready for [`super::locate`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// In the order of landmark ids, each with its smallest round-trip time.
    pub observations: Vec<Observation>,
    pub bestlines: Vec<Option<Bestline>>,
    /// Landmarks in measurements whose place nobody knows, in order, each once.
    pub unknown: Vec<String>,
}

/// Picks the smallest round-trip time of each landmark to the target, and fits the bestlines of those landmarks that
/// measured at least `MIN_CALIBRATION` others.
#[must_use]
pub fn gather(
    target: IpAddr,
    measurements: &[Measurement],
    landmarks: &[Landmark],
    settings: &Settings,
) -> Gathered {
    let places: BTreeMap<&str, &Landmark> = landmarks.iter().map(|one| (one.id.as_str(), one)).collect();
    let by_address: BTreeMap<IpAddr, &Landmark> = landmarks
        .iter()
        .flat_map(|one| {
            let addresses = [one.address.map(IpAddr::V4), one.address6.map(IpAddr::V6)];
            addresses.into_iter().flatten().map(move |address| (address, one))
        })
        .collect();
    let mut smallest: BTreeMap<&str, f64> = BTreeMap::new();
    let mut calibration: BTreeMap<&str, BTreeMap<&str, (f64, f64)>> = BTreeMap::new();
    let mut unknown = std::collections::BTreeSet::new();
    for measurement in measurements {
        let Some(from) = places.get(measurement.landmark.as_str()) else {
            unknown.insert(measurement.landmark.clone());
            continue;
        };
        if measurement.target == target {
            let known = smallest.entry(&from.id).or_insert(f64::INFINITY);
            *known = known.min(measurement.rtt_ms);
        } else if let Some(to) = by_address.get(&measurement.target)
            && to.id != from.id
        {
            let pair = calibration.entry(&from.id).or_default();
            let known = pair
                .entry(&to.id)
                .or_insert_with(|| (from.place.distance_km(to.place), f64::INFINITY));
            known.1 = known.1.min(measurement.rtt_ms);
        }
    }
    let mut gathered = Gathered {
        unknown: unknown.into_iter().collect(),
        ..Gathered::default()
    };
    for (id, rtt_ms) in smallest {
        let landmark = places[id];
        gathered.observations.push(Observation {
            landmark: id.to_owned(),
            place: landmark.place,
            error_km: landmark.error_km,
            rtt_ms,
            floor_ms: 0.0,
        });
        // A point below light's own line has a wrong position, and would leave the landmark without a line.
        let honest = |(km, ms): &&(f64, f64)| *ms >= km * 2.0 / settings.speed_km_per_ms;
        let points: Vec<(f64, f64)> = calibration
            .get(id)
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(honest)
            .copied()
            .collect();
        let line =
            (points.len() >= MIN_CALIBRATION).then(|| Bestline::fit(&points, settings.speed_km_per_ms));
        gathered.bestlines.push(line.flatten());
    }
    gathered
}

/// Known places that a landmark must have measured before its own line means anything.
const MIN_CALIBRATION: usize = 3;
