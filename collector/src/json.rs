//! The JSON shape of evidence, alerts and the summary: the lines of `lynceus analyze --json`, of the files that the
//! collector writes, and of `lynceus evidence|alerts --json`. `docs/schema/*.json` describe it and a test holds them
//! together. What is absent is null, never 0 and never left out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use lynceus_model::alert;
use lynceus_model::evidence;
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use serde::Serialize;

/// One line; `kind` tells which.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Line<'a> {
    Evidence(Evidence<'a>),
    Alert(Alert),
    Summary(Summary),
}

/// One finding about one profile in one window.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence<'a> {
    /// UUIDv5.
    pub id: String,
    /// Slips' name of the type, as `HORIZONTAL_PORT_SCAN`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub profile: IpAddr,
    pub window: i64,
    /// Seconds since the Unix epoch, as all times here.
    pub window_start: f64,
    pub attacker: IpAddr,
    pub victim: Option<IpAddr>,
    pub dst_port: Option<u16>,
    /// IP protocol number.
    pub proto: Option<u8>,
    pub threat_level: &'static str,
    pub confidence: f64,
    pub description: &'a str,
    pub explanation: Explanation<'a>,
    /// Community IDs, `1:…`.
    pub flows: Vec<String>,
    pub first: f64,
    pub last: f64,
}

/// The data-driven reason.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation<'a> {
    pub features: Vec<Feature<'a>>,
    pub text: &'a str,
}

#[derive(Clone, Debug, Serialize)]
pub struct Feature<'a> {
    pub name: &'a str,
    pub value: f64,
    pub unit: &'a str,
    pub baseline: Option<f64>,
    pub threshold: Option<f64>,
}

/// The accumulated threat of a profile crossed the threshold in a window.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// UUIDv5.
    pub id: String,
    pub profile: IpAddr,
    pub window: i64,
    pub window_start: f64,
    pub sum: f64,
    pub threshold: f64,
    pub confidence: f64,
    /// Heaviest first.
    pub terms: Vec<Term>,
    pub flows: Vec<String>,
    pub first: f64,
    pub last: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Term {
    /// Id of the evidence.
    pub evidence: String,
    pub weight: f64,
}

/// Last line of `lynceus analyze --json`. Only `seconds` differs between two runs on the same file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub packets: u64,
    pub flows: u64,
    pub profiles: u64,
    pub windows: u64,
    pub evidence: u64,
    pub alerts: u64,
    /// Packets that stand in no flow, by reason.
    pub refused: BTreeMap<Cow<'static, str>, u64>,
    pub seconds: f64,
}

impl<'a> From<&'a evidence::Evidence> for Evidence<'a> {
    fn from(evidence: &'a evidence::Evidence) -> Self {
        Self {
            id: uuid(evidence.id.0).to_string(),
            kind: evidence.kind.name(),
            profile: evidence.profile,
            window: evidence.window,
            window_start: seconds(evidence.window_start),
            attacker: evidence.attacker,
            victim: evidence.victim,
            dst_port: evidence.dst_port,
            proto: evidence.protocol,
            threat_level: evidence.threat_level.name(),
            confidence: evidence.confidence.value(),
            description: &evidence.description,
            explanation: Explanation {
                features: evidence.explanation.features.iter().map(Feature::from).collect(),
                text: &evidence.explanation.text,
            },
            flows: evidence.flows.iter().map(community_id).collect(),
            first: seconds(evidence.first),
            last: seconds(evidence.last),
        }
    }
}

impl<'a> From<&'a evidence::Feature> for Feature<'a> {
    fn from(feature: &'a evidence::Feature) -> Self {
        Self {
            name: &feature.name,
            value: feature.value,
            unit: &feature.unit,
            baseline: feature.baseline,
            threshold: feature.threshold,
        }
    }
}

impl From<&alert::Alert> for Alert {
    fn from(alert: &alert::Alert) -> Self {
        let term = |term: &alert::Term| Term {
            evidence: uuid(term.evidence.0).to_string(),
            weight: term.weight,
        };
        Self {
            id: uuid(alert.id.0).to_string(),
            profile: alert.profile,
            window: alert.window,
            window_start: seconds(alert.window_start),
            sum: alert.sum,
            threshold: alert.threshold,
            confidence: alert.confidence.value(),
            terms: alert.terms.iter().map(term).collect(),
            flows: alert.flows.iter().map(community_id).collect(),
            first: seconds(alert.first),
            last: seconds(alert.last),
        }
    }
}

/// An id as people write it.
pub fn uuid(id: [u8; 16]) -> impl fmt::Display {
    uuid::Uuid::from_bytes(id).hyphenated()
}

/// `1:` and base64, as Community ID v1 is written.
#[must_use]
pub fn community_id(id: &CommunityId) -> String {
    use base64::Engine as _;
    format!("1:{}", base64::engine::general_purpose::STANDARD.encode(id.0))
}

/// The id of a line that was written here, without reading the rest of it into types.
pub(crate) fn id_of_line(line: &[u8]) -> Option<[u8; 16]> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: uuid::Uuid,
    }
    serde_json::from_slice::<Id>(line).ok().map(|line| line.id.into_bytes())
}

fn seconds(time: Timestamp) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
pub(crate) mod tests {
    use lynceus_model::evidence::{AttackerSide, Confidence, EvidenceId, EvidenceType, ThreatLevel};

    use super::*;

    pub(crate) fn evidence(number: u8) -> evidence::Evidence {
        evidence::Evidence {
            id: EvidenceId([number; 16]),
            kind: EvidenceType::HorizontalPortScan,
            profile: "10.0.0.1".parse().unwrap(),
            window_start: Timestamp::from_secs(7200),
            window: 3,
            attacker: "10.0.0.1".parse().unwrap(),
            attacker_side: AttackerSide::Source,
            victim: None,
            dst_port: Some(23),
            protocol: Some(6),
            threat_level: ThreatLevel::High,
            confidence: Confidence::new(0.5),
            description: "scan of port 23".to_owned(),
            explanation: evidence::Explanation {
                features: vec![evidence::Feature {
                    name: "hosts".into(),
                    value: 12.0,
                    unit: "hosts".into(),
                    baseline: None,
                    threshold: Some(5.0),
                }],
                text: "12 hosts".to_owned(),
            },
            flows: vec![CommunityId([1; 20])],
            first: Timestamp(7_200_500_000_000),
            last: Timestamp(7_201_000_000_000),
        }
    }

    pub(crate) fn alert() -> alert::Alert {
        alert::Alert {
            id: alert::AlertId([7; 16]),
            profile: "10.0.0.1".parse().unwrap(),
            window: 3,
            window_start: Timestamp::from_secs(7200),
            sum: 15.2,
            threshold: 15.0,
            terms: vec![alert::Term {
                evidence: EvidenceId([1; 16]),
                weight: 0.4,
            }],
            flows: vec![CommunityId([1; 20])],
            first: Timestamp(7_200_500_000_000),
            last: Timestamp(7_201_000_000_000),
            confidence: Confidence::new(0.49),
        }
    }

    fn lines() -> Vec<(&'static str, serde_json::Value)> {
        let (evidence, alert) = (evidence(1), alert());
        let summary = Summary {
            packets: 3,
            refused: [("no_ip".into(), 1)].into(),
            ..Summary::default()
        };
        vec![
            ("evidence", serde_json::to_value(Line::Evidence((&evidence).into())).unwrap()),
            ("alert", serde_json::to_value(Line::Alert((&alert).into())).unwrap()),
            ("summary", serde_json::to_value(Line::Summary(summary)).unwrap()),
        ]
    }

    #[test]
    fn lines_follow_their_schemas() {
        for (name, line) in lines() {
            let path = format!("{}/../docs/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let schema = jsonschema::validator_for(&schema).unwrap();
            let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            // The schema knows every field: one more or one less is an error.
            let mut more = line.clone();
            more["unknown"] = 1.into();
            assert!(!schema.is_valid(&more), "{name}");
            let mut less = line.clone();
            let fields: Vec<String> = line.as_object().unwrap().keys().cloned().collect();
            less.as_object_mut().unwrap().remove(&fields[1]);
            assert!(!schema.is_valid(&less), "{name}");
        }
    }

    #[test]
    fn absent_is_null() {
        let (_, line) = lines().remove(0);
        assert_eq!(line["kind"], "evidence");
        assert_eq!(line["type"], "HORIZONTAL_PORT_SCAN");
        assert!(line["victim"].is_null());
        assert!(line["explanation"]["features"][0]["baseline"].is_null());
        assert_eq!(line["flows"][0], "1:AQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        assert_eq!(line["first"], 7200.5);
    }
}
