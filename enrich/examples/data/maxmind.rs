//! Countries and cities from files in MaxMind's format with a flat schema.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context;
use lynceus_enrich::offline::country::Code;
use lynceus_enrich::offline::place::NOWHERE;
use lynceus_enrich::offline::write::{Writer, text};
use maxminddb::{Reader, WithinOptions};
use serde::Deserialize;

use crate::Cut;
use crate::spread::{self, Spread};

/// Numbers of country codes, AA to ZZ.
const MAX_CODE: u32 = 676;

#[derive(Deserialize)]
struct Country<'a> {
    country_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct City<'a> {
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    city: Option<&'a str>,
    latitude: Option<f32>,
    longitude: Option<f32>,
}

/// Country, region, city, hundredths of a degree.
type Place = (u16, String, String, i64, i64);

/// Networks of one file and where their data is.
struct File {
    reader: Reader<Vec<u8>>,
    networks: Vec<(IpAddr, IpAddr, usize)>,
}

impl File {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let reader = Reader::open_readfile(path).with_context(|| path.display().to_string())?;
        let wide = path.to_string_lossy().contains("ipv6");
        let mut networks = Vec::new();
        for found in reader.networks(WithinOptions::default())? {
            let found = found?;
            let network = found.network()?;
            if network.is_ipv6() == wide
                && let Some(offset) = found.offset()
            {
                networks.push((network.network(), network.broadcast(), offset));
            }
        }
        Ok(Self { reader, networks })
    }

    /// Decodes each record once.
    fn values<'a, T: Deserialize<'a>, V>(
        &'a self,
        convert: impl Fn(T) -> V,
    ) -> anyhow::Result<HashMap<usize, V>> {
        let mut values = HashMap::new();
        for (first, _, offset) in &self.networks {
            if values.contains_key(offset) {
                continue;
            }
            if let Some(value) = self.reader.lookup(*first)?.decode::<T>()? {
                values.insert(*offset, convert(value));
            }
        }
        Ok(values)
    }
}

pub(crate) fn countries(writer: &mut Writer, folder: &Path, source: &str) -> anyhow::Result<()> {
    let (mut small, mut large) = (Cut(Vec::new()), Cut(Vec::new()));
    for family in ["ipv4", "ipv6"] {
        let file = File::open(&folder.join(format!("{source}-country-{family}.mmdb")))?;
        let codes = file.values(|country: Country<'_>| code(country.country_code))?;
        add(&file, &mut small, &mut large, |offset| u32::from(codes[&offset]))?;
    }
    writer.ranges("v4", &small.0)?;
    writer.ranges("v6", &large.0)?;
    Ok(())
}

pub(crate) fn cities(writer: &mut Writer, folder: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for family in ["ipv4", "ipv6"] {
        files.push(File::open(&folder.join(format!("dbip-city-{family}.mmdb")))?);
    }
    let mut values = Vec::new();
    for file in &files {
        values.push(file.values(place)?);
    }
    let mut places: BTreeMap<&Place, u32> = values
        .iter()
        .flat_map(HashMap::values)
        .map(|place| (place, 0))
        .collect();
    for (at, number) in places.values_mut().enumerate() {
        *number = at as u32 + 1;
    }
    let (mut small, mut large) = (Cut(Vec::new()), Cut(Vec::new()));
    for (file, values) in files.iter().zip(&values) {
        add(file, &mut small, &mut large, |offset| places[&values[&offset]])?;
    }
    writer.ranges("v4", &small.0)?;
    writer.ranges("v6", &large.0)?;
    let names = |place: &Place| (place.0, place.1.clone(), place.2.clone());
    let spreads = spread::around(places.keys().map(|place| (names(place), point(place))));
    let rows: Vec<_> = places
        .keys()
        .map(|place| {
            let (country, region, city, latitude, longitude) = place;
            let spread = match (spreads.get(&names(place)), point(place)) {
                (Some(spread), Some(point)) => spread.from(point),
                _ => 0,
            };
            (
                vec![text(region), text(city)],
                vec![i64::from(*country), *latitude, *longitude, spread],
            )
        })
        .collect();
    writer.records("records", &rows, 2, 4)?;
    let extents = spread::around(places.keys().map(|place| (u32::from(place.0), point(place))));
    let rows: Vec<_> = (1..=MAX_CODE)
        .map(|number| {
            let integers = match extents.get(&number) {
                Some(Spread { center, radius_km }) => {
                    let hundredths = |degrees: f64| (degrees * 100.0).round() as i64;
                    vec![
                        hundredths(center.0),
                        hundredths(center.1),
                        radius_km.ceil() as i64,
                    ]
                }
                None => vec![NOWHERE, NOWHERE, 0],
            };
            (Vec::new(), integers)
        })
        .collect();
    writer.records("countries", &rows, 0, 3)?;
    Ok(())
}

fn point(place: &Place) -> Option<(f64, f64)> {
    (place.3 != NOWHERE && place.4 != NOWHERE).then_some((place.3 as f64 / 100.0, place.4 as f64 / 100.0))
}

fn add(
    file: &File,
    small: &mut Cut<u32>,
    large: &mut Cut<u128>,
    number: impl Fn(usize) -> u32,
) -> anyhow::Result<()> {
    for (first, last, offset) in &file.networks {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                small.add(first.to_bits(), last.to_bits(), number(*offset))?
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                large.add(first.to_bits(), last.to_bits(), number(*offset))?
            }
            _ => unreachable!("a network has one family"),
        }
    }
    Ok(())
}

fn code(text: Option<&str>) -> u16 {
    text.and_then(Code::parse).map_or(0, Code::number)
}

fn place(city: City<'_>) -> Place {
    let hundredths =
        |degrees: Option<f32>| degrees.map_or(NOWHERE, |degrees| (f64::from(degrees) * 100.0).round() as i64);
    (
        code(city.country_code),
        city.state1.unwrap_or_default().to_owned(),
        city.city.unwrap_or_default().to_owned(),
        hundredths(city.latitude),
        hundredths(city.longitude),
    )
}
