//! JSON feeds: an array or lines of texts or objects, STIX 2.1 bundles and TAXII envelopes, MISP events and feeds.
//!
//! Arrays are read element by element, so memory follows the largest element, not the file.

mod stix;

use std::fmt;
use std::io::{self, BufRead};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::csv::level;
use super::read::Into;
use crate::indicator::{Indicator, Kind};

pub(super) fn read(input: &mut dyn BufRead, into: &mut Into<'_>) -> io::Result<()> {
    // JSON Lines are many values one after another.
    let mut number = 0;
    loop {
        if blank(input)? {
            return Ok(());
        }
        let mut reader = serde_json::Deserializer::from_reader(&mut *input);
        Walk {
            into: &mut *into,
            number: &mut number,
        }
        .deserialize(&mut reader)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    }
}

/// Skips white space; `true` at the end.
fn blank(input: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        match buffer
            .iter()
            .position(|byte| !byte.is_ascii_whitespace() && *byte != 0xef && *byte != 0xbb && *byte != 0xbf)
        {
            Some(start) => {
                input.consume(start);
                return Ok(false);
            }
            None => {
                let all = buffer.len();
                input.consume(all);
            }
        }
    }
}

/// Goes through a value; every element of an array that is reached through objects is one candidate.
struct Walk<'a, 'b> {
    into: &'a mut Into<'b>,
    number: &'a mut u64,
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array, an object or a text")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<Value>()? {
            *self.number += 1;
            one(&element, *self.number, self.into);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        // Fields of this object that are no containers: it may be an indicator itself.
        let mut own = serde_json::Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "objects" | "Event" | "Attribute" | "Object" | "data" | "indicators" | "prefixes"
                | "results" => {
                    fields.next_value_seed(Walk {
                        into: &mut *self.into,
                        number: &mut *self.number,
                    })?;
                }
                _ => {
                    let value = fields.next_value::<Value>()?;
                    if own.len() < 64 {
                        own.insert(name, value);
                    }
                }
            }
        }
        let own = Value::Object(own);
        if stix::is_indicator(&own) || value(&own).is_some() {
            *self.number += 1;
            one(&own, *self.number, self.into);
        }
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.number += 1;
        one(&Value::String(text.to_owned()), *self.number, self.into);
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

/// One candidate: a text, a STIX object, a MISP attribute or object, or an object with a value.
fn one(element: &Value, number: u64, into: &mut Into<'_>) {
    if element.get("spec_version").is_some() || stix::is_indicator(element) {
        stix::object(element, number, into);
        return;
    }
    if let Some(attributes) = element.get("Attribute").and_then(Value::as_array) {
        attributes
            .iter()
            .for_each(|attribute| one(attribute, number, into));
        return;
    }
    if let Some(event) = element.get("Event") {
        let attributes = event
            .get("Attribute")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let objects = event
            .get("Object")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        attributes.chain(objects).for_each(|part| one(part, number, into));
        return;
    }
    let (text, kind) = match element {
        Value::String(text) => (text.clone(), None),
        Value::Number(text) => (text.to_string(), None),
        _ => match value(element) {
            Some(found) => found,
            None => return into.outcome.refuse(number, &element.to_string()),
        },
    };
    let read = |text: &str| match (into.options.kind, kind) {
        (None, Some(kind)) => Indicator::of_kind(kind, text).or_else(|| Indicator::guess(text)),
        _ => into.parse(text),
    };
    // MISP writes `192.0.2.1|443` and `name.exe|hash`.
    let found = read(&text).or_else(|| text.split('|').find_map(read));
    let Some(indicator) = found else {
        return into.outcome.refuse(number, &text);
    };
    let mut meta = into.meta();
    let own = |names: &[&str]| {
        let found = names.iter().find_map(|name| element.get(name)?.as_str());
        found.filter(|text| !text.is_empty())
    };
    if let Some(text) = own(&["description", "comment", "reason", "malware_printable", "threat"]) {
        meta.description = text.to_owned();
    }
    if let Some(level) = own(&["threat_level", "level", "severity"]).and_then(level) {
        meta.level = level;
    }
    for tag in element
        .get("tags")
        .or_else(|| element.get("Tag"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = tag.as_str().or_else(|| tag.get("name")?.as_str());
        meta.tags.extend(name.map(str::to_owned));
    }
    into.add(&indicator, &meta);
}

/// The value of an object, and what its own type says that it is.
fn value(element: &Value) -> Option<(String, Option<Kind>)> {
    const NAMES: [&str; 15] = [
        "value",
        "indicator",
        "ioc",
        "ioc_value",
        "ip",
        "ip_address",
        "ip_prefix",
        "ipv4Prefix",
        "ipv6Prefix",
        "ipv6_prefix",
        "cidr",
        "domain",
        "url",
        "ja3",
        "ja4",
    ];
    let (name, text) = NAMES
        .iter()
        .find_map(|name| Some((*name, element.get(name)?.as_str()?)))?;
    let stated = element
        .get("type")
        .or_else(|| element.get("ioc_type"))
        .and_then(Value::as_str);
    let kind = match stated {
        Some("ip-dst" | "ip-src" | "ip-dst|port" | "ip-src|port" | "ip:port" | "ipv4" | "ipv6") => {
            Some(Kind::Ip)
        }
        Some("domain" | "hostname" | "domain|ip") => Some(Kind::Domain),
        Some("url" | "uri") => Some(Kind::Url),
        Some("ja3-fingerprint-md5") => Some(Kind::Ja3),
        Some("jarm-fingerprint") => Some(Kind::Jarm),
        Some("x509-fingerprint-sha1") => Some(Kind::Certificate),
        Some("AS") => Some(Kind::AutonomousSystem),
        Some("md5" | "sha1" | "sha256") => Some(Kind::File),
        _ if name == "ja3" => Some(Kind::Ja3),
        _ => None,
    };
    Some((text.to_owned(), kind))
}

#[cfg(test)]
mod tests {
    use crate::feeds::index::{Builder, Index};
    use crate::feeds::read::{Options, Outcome, read};
    use crate::indicator::{Key, Kind};

    fn load(text: &str) -> (Index, Outcome) {
        let mut builder = Builder::default();
        let outcome = read(text.as_bytes(), &Options::default(), &mut builder).unwrap();
        (builder.finish(), outcome)
    }

    fn holds(index: &Index, kind: Kind, text: &str) -> bool {
        index.get(&Key::new(kind, text).unwrap()).next().is_some()
    }

    #[test]
    fn arrays_lines_and_envelopes() {
        for text in [
            r#"["192.0.2.1", "evil.example"]"#,
            "{\"ioc\": \"192.0.2.1\"}\n{\"ioc\": \"evil.example\"}\n",
            r#"{"data": [{"ip": "192.0.2.1"}, {"domain": "evil.example"}], "more": false}"#,
        ] {
            let (index, outcome) = load(text);
            assert_eq!((outcome.indicators, outcome.bad), (2, 0), "{text}");
            assert!(holds(&index, Kind::Ip, "192.0.2.1") && holds(&index, Kind::Domain, "evil.example"));
        }
    }

    #[test]
    fn a_misp_event() {
        let text = r#"{"Event": {"info": "x", "Attribute": [
            {"type": "ip-dst|port", "value": "192.0.2.1|443", "comment": "C2", "Tag": [{"name": "tlp:green"}]},
            {"type": "ja3-fingerprint-md5", "value": "6734f37431670b3ab4292b8f60f29984"},
            {"type": "text", "value": "just words"}],
            "Object": [{"name": "file", "Attribute": [{"type": "sha256", "value": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}]}]}}"#;
        let (index, outcome) = load(text);
        assert_eq!((outcome.indicators, outcome.bad), (3, 1));
        assert!(holds(&index, Kind::Ja3, "6734f37431670b3ab4292b8f60f29984"));
        let key = Key::new(Kind::Ip, "192.0.2.1").unwrap();
        let meta = index.get(&key).next().unwrap();
        assert_eq!(
            (meta.description.as_str(), meta.tags.as_slice()),
            ("C2", ["tlp:green".to_owned()].as_slice())
        );
    }

    #[test]
    fn a_stix_bundle() {
        let text = r#"{"type": "bundle", "id": "bundle--1", "objects": [
            {"type": "indicator", "spec_version": "2.1", "pattern_type": "stix", "confidence": 90, "name": "bad",
             "pattern": "[ipv4-addr:value = '192.0.2.1' OR domain-name:value = 'evil.example']", "labels": ["bot"]},
            {"type": "indicator", "spec_version": "2.1", "pattern": "[url:value = 'http://a.example/x']", "revoked": true},
            {"type": "malware", "spec_version": "2.1", "name": "m"}]}"#;
        let (index, outcome) = load(text);
        assert_eq!((outcome.indicators, outcome.bad, outcome.expired), (2, 0, 1));
        assert!(
            holds(&index, Kind::Domain, "evil.example") && !holds(&index, Kind::Url, "http://a.example/x")
        );
    }

    #[test]
    fn broken_json_says_where() {
        let error = read(
            "[\"192.0.2.1\", ".as_bytes(),
            &Options::default(),
            &mut Builder::default(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
