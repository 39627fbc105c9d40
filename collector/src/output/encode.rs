//! One file for each format. An encoder is a pure function from an item to bytes without line end.

mod alerts_log;
mod cef;
mod ecs;
mod eve;
mod idmef;
mod ocsf;
mod slack;
mod stix;
mod text;

use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, ThreatLevel};
use lynceus_model::time::Timestamp;
use serde_json::Value;

use crate::json;

pub(crate) use text::time;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Evidence(&'a Evidence),
    Alert(&'a Alert),
}

impl Item<'_> {
    /// Alerts are critical, as in Slips.
    #[must_use]
    pub const fn level(&self) -> ThreatLevel {
        match self {
            Self::Evidence(evidence) => evidence.threat_level,
            Self::Alert(_) => ThreatLevel::Critical,
        }
    }
}

/// Who writes, and when: what formats say beside the finding. Of files neither is said, so that the same input gives the
/// same output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    /// Address of this machine.
    pub ip: Option<IpAddr>,
    pub at: Option<Timestamp>,
}

/// A format that others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Suricata's EVE JSON, `event_type: alert`.
    Eve,
    /// IDMEFv2 2.0.3, as Slips writes it.
    Idmef,
    /// Elastic Common Schema 8.
    Ecs,
    /// OCSF 1.3, Detection Finding (2004).
    Ocsf,
    /// A STIX 2.1 bundle an item.
    Stix,
    /// ArcSight's Common Event Format, version 0.
    Cef,
    /// A Slack message.
    Slack,
    /// A line for people, as in Slips' `alerts.log`.
    AlertsLog,
    /// Our own lines, as `lynceus evidence --json`.
    Json,
}

impl Format {
    pub const ALL: [Self; 9] = [
        Self::Eve,
        Self::Idmef,
        Self::Ecs,
        Self::Ocsf,
        Self::Stix,
        Self::Cef,
        Self::Slack,
        Self::AlertsLog,
        Self::Json,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eve => "eve",
            Self::Idmef => "idmef",
            Self::Ecs => "ecs",
            Self::Ocsf => "ocsf",
            Self::Stix => "stix",
            Self::Cef => "cef",
            Self::Slack => "slack",
            Self::AlertsLog => "alerts-log",
            Self::Json => "json",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// All names, for people.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The message without line end.
    #[must_use]
    pub fn encode(self, item: Item<'_>) -> Vec<u8> {
        self.encode_by(item, &Writer::default())
    }

    /// The same by somebody, at some time.
    #[must_use]
    pub fn encode_by(self, item: Item<'_>, writer: &Writer) -> Vec<u8> {
        match self {
            Self::Eve => bytes(&eve::encode(item)),
            Self::Idmef => bytes(&idmef::encode(item, writer)),
            Self::Ecs => bytes(&ecs::encode(item)),
            Self::Ocsf => bytes(&ocsf::encode(item)),
            Self::Stix => bytes(&stix::encode(item)),
            Self::Cef => cef::encode(item).into_bytes(),
            Self::Slack => bytes(&slack::encode(item)),
            Self::AlertsLog => alerts_log::encode(item).into_bytes(),
            Self::Json => own(item),
        }
    }

    /// Media type of a message sent over HTTP.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Cef | Self::AlertsLog => "text/plain; charset=utf-8",
            Self::Stix => "application/stix+json;version=2.1",
            _ => "application/json",
        }
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn own(item: Item<'_>) -> Vec<u8> {
    let mut line = Vec::with_capacity(1024);
    match item {
        Item::Evidence(evidence) => json::write_evidence(&mut line, evidence),
        Item::Alert(alert) => json::write_alert(&mut line, alert),
    }
    while line.last() == Some(&b'\n') {
        line.pop();
    }
    line
}

#[cfg(test)]
mod tests {
    use lynceus_model::alert::AlertId;

    use super::*;
    use crate::json::tests::{alert, evidence};

    /// An evidence whose texts come from the network.
    fn hostile() -> Evidence {
        let mut evidence = evidence(1);
        evidence.victim = Some("2001:db8::1".parse().unwrap());
        evidence.subject = Some("http://evil.example/?a=b|c\\d'e".to_owned());
        evidence.description = "line one\r\nline <two> | a=b \\ \"quoted\"".to_owned();
        evidence.explanation.text = "x=1\n| y".to_owned();
        evidence
    }

    fn value(format: Format, item: Item<'_>) -> Value {
        serde_json::from_slice(&format.encode(item)).unwrap()
    }

    #[test]
    fn every_message_is_one_line_and_names_its_id() {
        let (evidence, alert) = (hostile(), alert());
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
            for (item, id) in [
                (Item::Evidence(&evidence), evidence.id.to_string()),
                (Item::Alert(&alert), alert.id.to_string()),
            ] {
                let message = String::from_utf8(format.encode(item)).unwrap();
                assert!(!message.contains(['\n', '\r']), "{}: {message}", format.name());
                let for_people = matches!(format, Format::Slack | Format::AlertsLog | Format::Stix);
                assert!(
                    for_people || message.contains(&id),
                    "{}: {message}",
                    format.name()
                );
            }
        }
    }

    #[test]
    fn eve_reads_as_suricata_writes() {
        let event = value(Format::Eve, Item::Evidence(&evidence(1)));
        assert_eq!(event["event_type"], "alert");
        assert_eq!(event["timestamp"], "1970-01-01T02:00:01.000000Z");
        assert_eq!(
            (&event["src_ip"], &event["dest_port"], &event["proto"]),
            (&"10.0.0.1".into(), &23.into(), &"TCP".into())
        );
        assert_eq!(event["alert"]["severity"], 1);
        assert_eq!(event["alert"]["category"], "HORIZONTAL_PORT_SCAN");
        assert!(event["community_id"].as_str().unwrap().starts_with("1:"));
    }

    #[test]
    fn alerts_of_a_group_can_be_joined() {
        let (first, later) = (AlertId([6; 16]), alert());
        assert_eq!(later.group, first);
        let group = first.to_string();
        for format in Format::ALL {
            let message = String::from_utf8(format.encode(Item::Alert(&later))).unwrap();
            // What is for people has no fields, and says it.
            let said = match format {
                Format::AlertsLog | Format::Slack => ", related to an earlier alert",
                _ => group.as_str(),
            };
            assert!(message.contains(said), "{}: {message}", format.name());
        }
        let idmef = |alert: &Alert| value(Format::Idmef, Item::Alert(alert));
        assert_eq!(idmef(&later)["RelID"], serde_json::json!([group]));
        let alone = Alert {
            id: first,
            ..later.clone()
        };
        assert!(idmef(&alone)["RelID"].is_null(), "the first has no predecessor");
        let event = value(Format::Ocsf, Item::Alert(&later));
        assert_eq!(event["metadata"]["correlation_uid"], group);
    }

    #[test]
    fn ecs_and_ocsf_have_their_numbers() {
        let event = value(Format::Ecs, Item::Evidence(&evidence(1)));
        assert_eq!(
            (&event["event"]["severity"], &event["destination"]["port"]),
            (&73.into(), &23.into())
        );
        assert!((event["event"]["risk_score"].as_f64().unwrap() - 40.0).abs() < 1e-9);
        let finding = value(Format::Ocsf, Item::Evidence(&evidence(1)));
        assert_eq!(
            (&finding["type_uid"], &finding["severity_id"]),
            (&200_401.into(), &4.into())
        );
        assert_eq!(finding["time"], 7_201_000);
    }

    #[test]
    fn every_format_says_whose_the_addresses_are() {
        let (mut evidence, mut alert) = (hostile(), alert());
        evidence.victim = Some("8.8.8.8".parse().unwrap());
        alert.peers = vec!["8.8.8.8".parse().unwrap()];
        for item in [Item::Evidence(&evidence), Item::Alert(&alert)] {
            // The lines of `alerts.log` are as Slips writes them.
            for format in Format::ALL
                .into_iter()
                .filter(|format| *format != Format::AlertsLog)
            {
                let message = String::from_utf8(format.encode(item)).unwrap();
                assert!(message.contains("Google LLC"), "{}: {message}", format.name());
            }
        }
        let event = value(Format::Ecs, Item::Evidence(&evidence));
        assert_eq!(event["destination"]["as"]["number"], 15169);
        assert_eq!(event["destination"]["geo"]["country_iso_code"], "US");
        assert!(event["source"]["geo"].is_null(), "private: nothing is made up");
        let finding = value(Format::Ocsf, Item::Evidence(&evidence));
        let country = &finding["evidences"][0]["dst_endpoint"]["location"]["country"];
        assert_eq!(country, "US");
    }

    #[test]
    fn the_same_finding_is_the_same_stix_object() {
        let once = value(Format::Stix, Item::Evidence(&hostile()));
        assert_eq!(once, value(Format::Stix, Item::Evidence(&hostile())));
        let pattern = once["objects"][1]["pattern"].as_str().unwrap();
        assert_eq!(pattern, r"[url:value = 'http://evil.example/?a=b|c\\d\'e']");
        assert_eq!(once["objects"][1]["created"], "1970-01-01T02:00:01.000Z");
    }

    #[test]
    fn cef_escapes_what_would_end_a_field() {
        let line = String::from_utf8(Format::Cef.encode(Item::Evidence(&hostile()))).unwrap();
        assert!(line.starts_with("CEF:0|lynceus|lynceus|"), "{line}");
        assert!(
            line.contains(r#"|line one  line <two> \| a=b \\ "quoted"|8|rt=7201000 "#),
            "{line}"
        );
        assert!(line.contains(r"cs1=x\=1\n| y "), "{line}");
        assert!(line.contains("c6a3=2001:db8::1"), "{line}");
    }

    #[test]
    fn slack_cannot_be_made_to_link_or_mention() {
        let message = value(Format::Slack, Item::Evidence(&hostile()));
        assert!(message["text"].as_str().unwrap().contains("&lt;two&gt;"));
    }
}
