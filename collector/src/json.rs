//! The JSON shape of evidence, alerts and the summary: the lines of `lynceus analyze --json`, of the files that the
//! collector writes, and of `lynceus evidence|alerts --json`. `docs/schema/*.json` describe it and a test holds them
//! together. What is absent is null, never 0 and never left out. Written by hand, as times must stay exact.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, OwnPast};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;

use crate::peers;

/// What an analysis came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub packets: u64,
    pub flows: u64,
    pub profiles: u64,
    pub windows: u64,
    pub evidence: u64,
    pub alerts: u64,
    /// Packets without a flow, by reason.
    pub refused: Vec<(String, u64)>,
    /// Time that it took: the only thing that differs between two runs.
    pub took: Duration,
}

/// Appends the line of an evidence.
pub fn write_evidence(out: &mut Vec<u8>, evidence: &Evidence) {
    let mut object = Object::new(out, "evidence");
    object.text("id", &evidence.id.to_string());
    object.text("type", evidence.kind.name());
    object.text("profile", &evidence.profile.to_string());
    object.value("window", |out| number(out, evidence.window));
    object.time("window_start", evidence.window_start);
    object.text("attacker", &evidence.attacker.to_string());
    object.value("victim", |out| address(out, evidence.victim));
    object.value("subject", |out| optional_text(out, evidence.subject.as_deref()));
    object.value("src_port", |out| optional(out, evidence.src_port));
    object.value("dst_port", |out| optional(out, evidence.dst_port));
    object.value("proto", |out| optional(out, evidence.protocol));
    object.text("threat_level", evidence.threat_level.name());
    object.float("confidence", Some(evidence.confidence.value()));
    object.float("accumulated", evidence.accumulated);
    object.text("description", &evidence.description);
    object.value("explanation", |out| explanation(out, evidence));
    object.value("account", |out| optional_text(out, evidence.account.as_deref()));
    object.value("flows", |out| flows(out, &evidence.flows));
    object.time("first", evidence.first);
    object.time("last", evidence.last);
    object.value("revision", |out| number(out, evidence.revision));
    object.value("related", |out| {
        list(out, &evidence.related, |out, id| text(out, &id.to_string()));
    });
    object.value("peers", |out| list(out, &peers::of_evidence(evidence), peer));
    object.end();
}

/// The short form of an address's dossier, by the program's tables: null is unknown.
fn peer(out: &mut Vec<u8>, short: &Short) {
    let mut object = Object::bare(out);
    object.text("ip", &short.ip.to_string());
    object.text("category", short.category.name());
    object.value("country", |out| {
        optional_text(out, short.country.as_ref().map(|code| code.text()))
    });
    object.value("country_agree", |out| {
        out.extend_from_slice(match short.agree {
            Some(true) => b"true",
            Some(false) => b"false",
            None => b"null",
        });
    });
    object.value("asn", |out| optional(out, short.asn));
    object.value("organization", |out| optional_text(out, short.organization));
    object.close();
}

/// Appends the line of an alert.
pub fn write_alert(out: &mut Vec<u8>, alert: &Alert) {
    let mut object = Object::new(out, "alert");
    object.text("id", &alert.id.to_string());
    object.text("group", &alert.group.to_string());
    object.text("profile", &alert.profile.to_string());
    object.value("window", |out| number(out, alert.window));
    object.time("window_start", alert.window_start);
    object.float("sum", Some(alert.sum));
    object.float("threshold", Some(alert.threshold));
    object.float("confidence", Some(alert.confidence.value()));
    object.value("terms", |out| {
        list(out, &alert.terms, |out, term| {
            let mut object = Object::bare(out);
            object.text("evidence", &term.evidence.to_string());
            object.float("weight", Some(term.weight));
            object.close();
        });
    });
    object.value("flows", |out| flows(out, &alert.flows));
    object.time("first", alert.first);
    object.time("last", alert.last);
    object.value("peers", |out| list(out, &peers::of_alert(alert), peer));
    object.end();
}

/// Appends the line of the summary.
pub fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    let mut object = Object::new(out, "summary");
    for (name, value) in [
        ("packets", summary.packets),
        ("flows", summary.flows),
        ("profiles", summary.profiles),
        ("windows", summary.windows),
        ("evidence", summary.evidence),
        ("alerts", summary.alerts),
    ] {
        object.value(name, |out| number(out, value));
    }
    object.value("refused", |out| {
        let mut reasons = Object::bare(out);
        for (reason, packets) in &summary.refused {
            reasons.value(reason, |out| number(out, *packets));
        }
        reasons.close();
    });
    object.float("seconds", Some(summary.took.as_secs_f64()));
    object.end();
}

fn explanation(out: &mut Vec<u8>, evidence: &Evidence) {
    let mut object = Object::bare(out);
    object.value("features", |out| {
        list(out, &evidence.explanation.features, |out, feature| {
            let mut object = Object::bare(out);
            object.text("name", &feature.name);
            object.float("value", Some(feature.value));
            object.text("unit", &feature.unit);
            object.float("baseline", feature.baseline);
            object.float("threshold", feature.threshold);
            object.float("surprisal", feature.surprisal);
            object.value("own", |out| own_past(out, feature.own));
            object.close();
        });
    });
    object.text("text", &evidence.explanation.text);
    object.close();
}

fn own_past(out: &mut Vec<u8>, own: Option<OwnPast>) {
    let Some(own) = own else {
        out.extend_from_slice(b"null");
        return;
    };
    let mut object = Object::bare(out);
    object.float("mean", Some(own.mean));
    object.float("surprisal", Some(own.surprisal));
    object.value("windows", |out| number(out, own.windows));
    object.close();
}

fn flows(out: &mut Vec<u8>, flows: &[CommunityId]) {
    list(out, flows, |out, id| {
        out.push(b'"');
        out.extend_from_slice(&id.text());
        out.push(b'"');
    });
}

pub(crate) fn address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        Some(address) => text(out, &address.to_string()),
        None => out.extend_from_slice(b"null"),
    }
}

fn optional_text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

pub(crate) fn list<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// An object under construction.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// A line of its own, which begins with what it is.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>, kind: &str) -> Self {
        let mut object = Self::bare(out);
        object.text("kind", kind);
        object
    }

    /// An object inside another value.
    #[must_use]
    pub fn bare(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// A field whose value `write` appends.
    pub fn value(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        text(self.out, name);
        self.out.push(b':');
        write(self.out);
    }

    /// A field with a text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.value(name, |out| text(out, value));
    }

    /// A field with a time, see [`seconds`].
    pub fn time(&mut self, name: &str, value: Timestamp) {
        self.value(name, |out| seconds(out, value));
    }

    /// JSON knows no infinity and no not-a-number: they are absent.
    pub fn float(&mut self, name: &str, value: Option<f64>) {
        self.value(name, |out| match value.filter(|value| value.is_finite()) {
            Some(value) => out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes()),
            None => out.extend_from_slice(b"null"),
        });
    }

    /// Ends an object inside another value.
    pub fn close(self) {
        self.out.push(b'}');
    }

    /// Ends the line.
    pub fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

/// Seconds since the epoch as an exact decimal fraction, which no floating point number could hold.
pub fn seconds(out: &mut Vec<u8>, time: Timestamp) {
    let nanos = time.0.unsigned_abs();
    if time.0 < 0 {
        out.push(b'-');
    }
    number(out, nanos / 1_000_000_000);
    out.push(b'.');
    let fraction = nanos % 1_000_000_000;
    let mut digits = [b'0'; 9];
    let mut rest = fraction;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let used = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |at| at + 1);
    out.extend_from_slice(&digits[..used]);
}

pub fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `null` for what is absent.
pub fn optional(out: &mut Vec<u8>, value: Option<impl itoa::Integer>) {
    match value {
        Some(value) => number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// An id as people write it.
#[must_use]
pub fn uuid(id: [u8; 16]) -> impl std::fmt::Display {
    uuid::Uuid::from_bytes(id).hyphenated()
}

/// The id of a line that was written here, without reading the rest of it into types.
pub(crate) fn id_of_line(line: &[u8]) -> Option<[u8; 16]> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: String,
    }
    let line: Id = serde_json::from_slice(line).ok()?;
    line.id.parse().ok().map(uuid::Uuid::into_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use lynceus_model::alert::{AlertId, Term};
    use lynceus_model::evidence::{
        AttackerSide, Confidence, EvidenceId, EvidenceType, Explanation, Feature, ThreatLevel,
    };

    use super::*;

    pub(crate) fn evidence(number: u8) -> Evidence {
        Evidence {
            id: EvidenceId([number; 16]),
            kind: EvidenceType::HorizontalPortScan,
            profile: "10.0.0.1".parse().unwrap(),
            window_start: Timestamp::from_secs(7200),
            window: 3,
            attacker: "10.0.0.1".parse().unwrap(),
            attacker_side: AttackerSide::Source,
            victim: None,
            subject: None,
            revision: 0,
            account: None,
            related: Vec::new(),
            accumulated: None,
            src_port: None,
            dst_port: Some(23),
            protocol: Some(6),
            threat_level: ThreatLevel::High,
            confidence: Confidence::new(0.5),
            description: "scan of port 23".to_owned(),
            explanation: Explanation {
                features: vec![Feature {
                    name: "hosts".into(),
                    value: 12.0,
                    unit: "hosts".into(),
                    baseline: None,
                    threshold: Some(5.0),
                    surprisal: None,
                    own: None,
                }],
                text: "12 hosts".to_owned(),
            },
            flows: vec![CommunityId([1; 20])],
            first: Timestamp(7_200_500_000_000),
            last: Timestamp(7_201_000_000_000),
        }
    }

    pub(crate) fn alert() -> Alert {
        Alert {
            id: AlertId([7; 16]),
            group: AlertId([6; 16]),
            profile: "10.0.0.1".parse().unwrap(),
            window: 3,
            window_start: Timestamp::from_secs(7200),
            sum: 15.2,
            threshold: 15.0,
            terms: vec![Term {
                evidence: EvidenceId([1; 16]),
                weight: 0.4,
            }],
            flows: vec![CommunityId([1; 20])],
            peers: vec!["8.8.8.8".parse().unwrap()],
            first: Timestamp(7_200_500_000_000),
            last: Timestamp(7_201_000_000_000),
            confidence: Confidence::new(0.49),
        }
    }

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> serde_json::Value {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!(out.last(), Some(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    fn lines() -> [(&'static str, serde_json::Value); 3] {
        let summary = Summary {
            packets: 3,
            refused: vec![("no_ip".into(), 1)],
            ..Summary::default()
        };
        [
            ("evidence", line(|out| write_evidence(out, &evidence(1)))),
            ("alert", line(|out| write_alert(out, &alert()))),
            ("summary", line(|out| write_summary(out, &summary))),
        ]
    }

    fn schema(name: &str) -> jsonschema::Validator {
        let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn lines_follow_their_schemas() {
        for (name, line) in lines() {
            let schema = schema(name);
            let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            // The schema knows every field: one more or one less is an error.
            let mut more = line.clone();
            more["unknown"] = 1.into();
            assert!(!schema.is_valid(&more), "{name}");
            for field in line.as_object().unwrap().keys() {
                let mut less = line.clone();
                less.as_object_mut().unwrap().remove(field);
                assert!(!schema.is_valid(&less), "{name} without {field}");
            }
        }
    }

    #[test]
    fn no_finite_number_is_null_in_line_and_schema() {
        let mut odd = evidence(1);
        let feature = &mut odd.explanation.features[0];
        feature.value = f64::NAN;
        feature.own = Some(OwnPast {
            mean: f64::INFINITY,
            surprisal: f64::NAN,
            windows: 1,
        });
        let line = line(|out| write_evidence(out, &odd));
        let feature = &line["explanation"]["features"][0];
        for value in [
            &feature["value"],
            &feature["own"]["mean"],
            &feature["own"]["surprisal"],
        ] {
            assert!(value.is_null(), "{line}");
        }
        let errors: Vec<String> = schema("evidence")
            .iter_errors(&line)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn absent_is_null() {
        let [(_, line), ..] = lines();
        assert_eq!(line["kind"], "evidence");
        assert_eq!(line["type"], "HORIZONTAL_PORT_SCAN");
        assert!(line["victim"].is_null());
        assert!(line["explanation"]["features"][0]["baseline"].is_null());
        assert_eq!(line["flows"][0], "1:AQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        assert_eq!(line["first"], 7200.5);
    }

    #[test]
    fn ids_are_found_again() {
        let mut out = Vec::new();
        write_alert(&mut out, &alert());
        assert_eq!(id_of_line(&out), Some(alert().id.0));
        assert_eq!(id_of_line(b"{}"), None);
    }

    #[test]
    fn times_are_exact() {
        for (nanos, text) in [
            (0, "0.0"),
            (1_495_451_029_466_717_000, "1495451029.466717"),
            (1_000_000_001, "1.000000001"),
            (-1_500_000_000, "-1.5"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            let mut out = Vec::new();
            seconds(&mut out, Timestamp(nanos));
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
