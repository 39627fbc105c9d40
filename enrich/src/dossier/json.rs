//! A dossier as one line of JSON. What is unknown is null, with its reasons; never false.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Dossier, Merged};
use crate::fact::{Fact, Item, Value};

/// The dossier as one JSON object without line breaks:
/// `{"ip", "at", "fields": {NAME: {"value", "agree", "sources": […], "others": […], "unknown": […]}}}`.
///
/// `at` and `as_of` are seconds since the Unix epoch. `value` is null where no source knows; then `unknown` says why.
#[must_use]
pub fn dossier_json(dossier: &Dossier) -> String {
    // Only strings, numbers and maps with string keys: it cannot fail.
    serde_json::to_string(dossier).unwrap_or_default()
}

impl Serialize for Dossier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ip", &self.ip)?;
        map.serialize_entry("at", &self.at.as_secs_f64())?;
        map.serialize_entry("fields", &Fields(self))?;
        if self.refused > 0 {
            map.serialize_entry("refused_facts", &self.refused)?;
        }
        map.end()
    }
}

struct Fields<'a>(&'a Dossier);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for merged in self.0.fields() {
            map.serialize_entry(merged.field.name(), &merged)?;
        }
        map.end()
    }
}

impl Serialize for Merged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("agree", &self.agree())?;
        map.serialize_entry("sources", &Facts(&self.sources))?;
        if !self.others.is_empty() {
            map.serialize_entry("others", &Facts(&self.others))?;
        }
        if !self.unknown.is_empty() {
            let unknown: Vec<_> = self
                .unknown
                .iter()
                .map(|(source, reason)| Unknown {
                    source: source.name(),
                    reason: reason.to_string(),
                })
                .collect();
            map.serialize_entry("unknown", &unknown)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Unknown<'a> {
    source: &'a str,
    reason: String,
}

struct Facts<'a, 'f>(&'a [&'f Fact]);

impl Serialize for Facts<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|fact| Word(fact)))
    }
}

/// A fact under its field.
struct Word<'a>(&'a Fact);

impl Serialize for Word<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fact = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("source", fact.source.name())?;
        map.serialize_entry("value", &fact.value)?;
        map.serialize_entry("as_of", &fact.as_of.map(|time| time.0.div_euclid(1_000_000_000)))?;
        map.serialize_entry("matched", &fact.matched.map(|range| range.to_string()))?;
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(value) => serializer.serialize_i64(*value),
            // A number that JSON has no way to write is null.
            Self::Real(value) => serializer.serialize_f64(*value),
            Self::Flag(value) => serializer.serialize_bool(*value),
            Self::Set(items) => serializer.collect_seq(items),
            Self::Unknown(_) => serializer.serialize_none(),
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::time::Timestamp;

    use super::*;
    use crate::fact::{Field, Reason, Source};

    #[test]
    fn unknown_is_null_and_says_why() {
        let mut dossier = Dossier::new("192.0.2.1".parse().unwrap(), Timestamp::from_secs(5));
        dossier.add(Fact::new(Field::Asn, 64496_u32, Source::new("asn")).as_of(Timestamp::from_secs(3)));
        dossier.add(Fact::unknown(
            Field::IsTor,
            Reason::NoData("list of Tor exits".into()),
            Source::new("ranges"),
        ));
        assert_eq!(
            dossier_json(&dossier),
            r#"{"ip":"192.0.2.1","at":5.0,"fields":{"#.to_owned()
                + r#""asn":{"value":64496,"agree":null,"sources":[{"source":"asn","value":64496,"as_of":3,"matched":null}]},"#
                + r#""is_tor":{"value":null,"agree":null,"sources":[],"#
                + r#""unknown":[{"source":"ranges","reason":"no list of Tor exits here"}]}}}"#
        );
    }

    #[test]
    fn what_is_no_number_stays_json() {
        let mut dossier = Dossier::new("::1".parse().unwrap(), Timestamp(0));
        dossier.add(Fact::new(Field::Latitude, f64::NAN, Source::new("dbip")));
        dossier.add(Fact::new(Field::Longitude, 1.0, Source::new("dbip")));
        let line = dossier_json(&dossier);
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
}
