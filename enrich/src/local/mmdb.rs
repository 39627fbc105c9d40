//! The user's own files in MaxMind's format, with the nested schema of MaxMind or a flat one as of DB-IP and IPinfo.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lynceus_model::time::Timestamp;
use serde_json::Value as Json;

use crate::fact::{Fact, Field, Matched, Reason, Source, Value};

/// Longest file: the largest commercial ones have about 1 GiB.
pub const MAX_BYTES: u64 = 2 << 30;
/// Longest text of a record that is kept, characters.
const MAX_TEXT: usize = 256;

/// One file.
#[derive(Debug)]
pub struct Mmdb {
    pub path: PathBuf,
    pub source: Source,
    /// As the file calls itself: `GeoLite2-City`.
    pub kind: String,
    /// When it was made.
    pub date: Timestamp,
    reader: maxminddb::Reader<Vec<u8>>,
}

/// Where a field may stand: nested first, then flat.
#[rustfmt::skip]
const PATHS: &[(Field, &[&[&str]])] = &[
    (Field::CountryCode, &[&["country", "iso_code"], &["country_code"], &["country"]]),
    (Field::CountryName, &[&["country", "names", "en"], &["country_name"], &["country"]]),
    (Field::RegisteredCountryCode, &[&["registered_country", "iso_code"]]),
    (Field::Region, &[&["subdivisions", "0", "names", "en"], &["region"], &["state1"]]),
    (Field::City, &[&["city", "names", "en"], &["city"]]),
    (Field::PostalCode, &[&["postal", "code"], &["postal_code"], &["postal"], &["postcode"]]),
    (Field::Latitude, &[&["location", "latitude"], &["latitude"], &["lat"]]),
    (Field::Longitude, &[&["location", "longitude"], &["longitude"], &["lng"], &["lon"]]),
    (Field::ErrorRadius, &[&["location", "accuracy_radius"], &["accuracy_radius"], &["radius"]]),
    (Field::Timezone, &[&["location", "time_zone"], &["timezone"], &["time_zone"]]),
    (Field::Asn, &[&["autonomous_system_number"], &["asn"], &["as_number"]]),
    (Field::AsName, &[&["autonomous_system_organization"], &["as_name"], &["organization"], &["as_organization"]]),
    (Field::Isp, &[&["isp"]]),
];

impl Mmdb {
    /// Reads a file as a whole.
    ///
    /// # Errors
    /// It cannot be read, is longer than [`MAX_BYTES`], or is no such file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > MAX_BYTES {
            return Err(format!("longer than {MAX_BYTES} bytes"));
        }
        let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
        Self::read(path.to_owned(), bytes)
    }

    /// # Errors
    /// It is no such file.
    pub fn read(path: PathBuf, bytes: Vec<u8>) -> Result<Self, String> {
        let reader = maxminddb::Reader::from_source(bytes).map_err(|error| error.to_string())?;
        let metadata = reader.metadata();
        let kind: String = metadata.database_type.chars().take(MAX_TEXT).collect();
        Ok(Self {
            source: source(&kind, &path),
            date: Timestamp::from_secs(i64::try_from(metadata.build_epoch).unwrap_or(i64::MAX)),
            kind,
            path,
            reader,
        })
    }

    /// What the file says of an address. A file that cannot be read there says so.
    #[must_use]
    pub fn facts(&self, ip: IpAddr) -> Vec<Fact> {
        match self.look_up(ip) {
            Ok(facts) => facts,
            Err(error) => {
                let reason = Reason::Failed(format!("{}: {error}", self.kind));
                vec![Fact::unknown(self.main_field(), reason, self.source.clone())]
            }
        }
    }

    /// What a file of this kind is asked for.
    fn main_field(&self) -> Field {
        let kind = self.kind.to_ascii_lowercase();
        if kind.contains("asn") || kind.contains("isp") {
            Field::Asn
        } else {
            Field::CountryCode
        }
    }

    fn look_up(&self, ip: IpAddr) -> Result<Vec<Fact>, maxminddb::MaxMindDbError> {
        // IPv4 addresses have no answer in a file of IPv6 networks alone, and the other way round an error.
        let found = self.reader.lookup(ip)?;
        let Some(record) = found.decode::<Json>()? else {
            let fact = Fact::unknown(self.main_field(), Reason::NoEntry, self.source.clone());
            return Ok(vec![fact.as_of(self.date)]);
        };
        let network = found.network()?;
        let matched = Some(Matched {
            first: network.network(),
            last: network.broadcast(),
        });
        let mut facts = Vec::new();
        for (field, paths) in PATHS {
            let mut values = paths.iter().filter_map(|path| value(*field, at(&record, path)?));
            if let Some(value) = values.next() {
                facts.push(
                    Fact::new(*field, value, self.source.clone())
                        .as_of(self.date)
                        .matched(matched.filter(|matched| matched.contains(ip))),
                );
            }
        }
        Ok(facts)
    }
}

/// The maker, by what the file calls itself; else the file's own name.
fn source(kind: &str, path: &Path) -> Source {
    let lower = kind.to_ascii_lowercase();
    for (begin, name) in [
        ("geolite2", "maxmind"),
        ("geoip2", "maxmind"),
        ("dbip", "dbip"),
        ("db-ip", "dbip"),
        ("ipinfo", "ipinfo"),
    ] {
        if lower.starts_with(begin) {
            return Source::new(name);
        }
    }
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name: String = stem
        .unwrap_or(lower)
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    Source(name.into())
}

fn at<'a>(record: &'a Json, path: &[&str]) -> Option<&'a Json> {
    path.iter().try_fold(record, |value, name| match value {
        Json::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => value.get(name),
    })
}

/// The value in the form of the field; `None`: it has another form, as a country's name where a code may stand.
fn value(field: Field, found: &Json) -> Option<Value> {
    let text = found.as_str().map(str::trim).filter(|text| !text.is_empty());
    match field {
        Field::CountryCode | Field::RegisteredCountryCode => {
            let code = text.filter(|text| text.len() == 2)?;
            crate::offline::country::Code::parse(code).map(|code| code.text().to_owned().into())
        }
        Field::CountryName => text.filter(|text| text.len() > 2).map(short),
        Field::Asn => {
            let number = found.as_u64().or_else(|| {
                let text = text?;
                let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
                digits.unwrap_or(text).parse().ok()
            })?;
            u32::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .map(Value::from)
        }
        Field::Latitude | Field::Longitude | Field::ErrorRadius => {
            let number = found.as_f64().or_else(|| text?.parse().ok())?;
            let limit = match field {
                Field::Latitude => 90.0,
                Field::Longitude => 180.0,
                // Half around the earth.
                _ => 20_016.0,
            };
            (-limit..=limit).contains(&number).then_some(Value::Real(number))
        }
        _ => text.map(short),
    }
}

fn short(text: &str) -> Value {
    text.chars().take(MAX_TEXT).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use lynceus_model::address::Network;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A small file in MaxMind's format (version 2.0, IPv4 only, records of 24 bits), made by its public specification.
    fn file(kind: &str, networks: &[(&str, Json)]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut nodes: Vec<[Option<Next>; 2]> = vec![[None, None]];
        for (network, record) in networks {
            let network: Network = network.parse().unwrap();
            let IpAddr::V4(ip) = network.address() else {
                panic!("IPv4 only")
            };
            let mut node = 0;
            for bit in 0..network.prefix() {
                let side = usize::from(ip.to_bits() >> (31 - bit) & 1 == 1);
                if bit + 1 == network.prefix() {
                    nodes[node][side] = Some(Next::Data(data.len()));
                } else {
                    node = match nodes[node][side] {
                        Some(Next::Node(next)) => next,
                        _ => {
                            nodes.push([None, None]);
                            let next = nodes.len() - 1;
                            nodes[node][side] = Some(Next::Node(next));
                            next
                        }
                    };
                }
            }
            encode(record, &mut data);
        }
        let count = nodes.len();
        let mut out = Vec::new();
        for side in nodes.iter().flatten() {
            let value = match side {
                None => count,
                Some(Next::Node(node)) => *node,
                Some(Next::Data(offset)) => count + 16 + offset,
            };
            out.extend(&(value as u32).to_be_bytes()[1..]);
        }
        out.extend([0; 16]);
        out.extend(data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        encode(
            &json!({
                "node_count": count, "record_size": 24, "ip_version": 4, "database_type": kind, "languages": ["en"],
                "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_780_000_000_u64,
                "description": {"en": "test"},
            }),
            &mut out,
        );
        out
    }

    enum Next {
        Node(usize),
        Data(usize),
    }

    fn encode(value: &Json, out: &mut Vec<u8>) {
        let control = |kind: u8, size: usize, out: &mut Vec<u8>| {
            let (first, more) = if size < 29 {
                (size, None)
            } else {
                (29, Some(size - 29))
            };
            if kind < 8 {
                out.push(kind << 5 | first as u8);
            } else {
                out.extend([first as u8, kind - 7]);
            }
            out.extend(more.map(|more| more as u8));
        };
        match value {
            Json::String(text) => {
                control(2, text.len(), out);
                out.extend(text.as_bytes());
            }
            Json::Number(number) if number.is_f64() => {
                control(3, 8, out);
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
            Json::Number(number) => {
                let number = number.as_u64().unwrap();
                // The format's own types: 16 bits, or 64.
                match u16::try_from(number) {
                    Ok(number) => {
                        control(5, 2, out);
                        out.extend(number.to_be_bytes());
                    }
                    Err(_) => {
                        control(9, 8, out);
                        out.extend(number.to_be_bytes());
                    }
                }
            }
            Json::Array(list) => {
                control(11, list.len(), out);
                list.iter().for_each(|value| encode(value, out));
            }
            Json::Object(map) => {
                control(7, map.len(), out);
                for (name, value) in map {
                    encode(&json!(name), out);
                    if name == "node_count" {
                        control(6, 4, out);
                        out.extend((value.as_u64().unwrap() as u32).to_be_bytes());
                    } else {
                        encode(value, out);
                    }
                }
            }
            Json::Bool(_) | Json::Null => panic!("not needed"),
        }
    }

    fn told(database: &Mmdb, ip: &str) -> Vec<(Field, String)> {
        let facts = database.facts(ip.parse().unwrap());
        facts
            .iter()
            .map(|fact| (fact.field, fact.value.to_string()))
            .collect()
    }

    #[test]
    fn nested_and_flat_schemas_say_the_same() {
        let nested = json!({
            "country": {"iso_code": "GB", "names": {"en": "United Kingdom", "de": "Vereinigtes Königreich"}},
            "registered_country": {"iso_code": "US"},
            "city": {"names": {"en": "London"}},
            "subdivisions": [{"names": {"en": "England"}}],
            "location": {"latitude": 51.5, "longitude": -0.12, "time_zone": "Europe/London", "accuracy_radius": 20},
        });
        let flat = json!({
            "country_code": "GB", "country": "United Kingdom", "city": "London", "region": "England",
            "lat": "51.5", "lng": "-0.12", "timezone": "Europe/London", "asn": "AS6461", "as_name": "Zayo",
        });
        let path = PathBuf::from("any.mmdb");
        let nested = Mmdb::read(path.clone(), file("GeoLite2-City", &[("94.31.29.0/24", nested)])).unwrap();
        let flat = Mmdb::read(
            path,
            file("ipinfo standard_location.mmdb", &[("94.31.0.0/16", flat)]),
        )
        .unwrap();
        assert_eq!((nested.source.name(), flat.source.name()), ("maxmind", "ipinfo"));
        let (one, other) = (told(&nested, "94.31.29.154"), told(&flat, "94.31.29.154"));
        for (field, text) in [
            (Field::CountryCode, "GB"),
            (Field::CountryName, "United Kingdom"),
            (Field::City, "London"),
            (Field::Region, "England"),
            (Field::Latitude, "51.5"),
            (Field::Longitude, "-0.12"),
            (Field::Timezone, "Europe/London"),
        ] {
            let expected = (field, text.to_owned());
            assert!(one.contains(&expected), "{expected:?} not in {one:?}");
            assert!(other.contains(&expected), "{expected:?} not in {other:?}");
        }
        assert!(one.contains(&(Field::RegisteredCountryCode, "US".to_owned())));
        assert!(one.contains(&(Field::ErrorRadius, "20".to_owned())));
        assert!(other.contains(&(Field::Asn, "6461".to_owned())));
        let fact = &nested.facts("94.31.29.154".parse().unwrap())[0];
        assert_eq!(fact.matched.unwrap().to_string(), "94.31.29.0/24");
        assert_eq!(fact.as_of, Some(Timestamp::from_secs(1_780_000_000)));
    }

    #[test]
    fn no_entry_and_the_wrong_family_are_unknown() {
        let record = json!({"country": {"iso_code": "GB"}});
        let database = Mmdb::read("my own.mmdb".into(), file("Mine", &[("192.0.2.0/24", record)])).unwrap();
        assert_eq!(database.source.name(), "my-own");
        for ip in ["198.51.100.1", "2001:db8::1"] {
            let facts = database.facts(ip.parse().unwrap());
            assert!(facts.iter().all(|fact| !fact.value.is_known()), "{facts:?}");
            assert!(!facts.is_empty());
        }
    }

    #[test]
    fn nonsense_is_no_fact() {
        let record = json!({
            "country_code": "England", "latitude": 91.0, "longitude": 5.0, "asn": "ASx", "city": " ",
        });
        let database = Mmdb::read("a.mmdb".into(), file("x", &[("192.0.2.0/24", record)])).unwrap();
        assert_eq!(told(&database, "192.0.2.1"), [(Field::Longitude, "5".to_owned())]);
    }

    proptest! {
        #[test]
        fn damaged_files_do_not_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
            ip: [u8; 4],
        ) {
            let record = json!({"country": {"iso_code": "GB"}, "location": {"latitude": 1.5}});
            let mut bytes = file("GeoLite2-City", &[("192.0.2.0/24", record.clone()), ("0.0.0.0/1", record)]);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            bytes.truncate(cut.index(bytes.len()) + bytes.len() / 2);
            if let Ok(database) = Mmdb::read("a.mmdb".into(), bytes) {
                let _ = database.facts(IpAddr::from(ip));
                let _ = database.facts("192.0.2.9".parse().unwrap());
            }
        }
    }
}
