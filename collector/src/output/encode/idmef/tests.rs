use std::sync::LazyLock;

use lynceus_model::evidence::{Confidence, Feature};
use lynceus_model::time::Timestamp;

use super::*;
use crate::json::tests::{alert, evidence};

/// Making it takes longer than a hundred messages.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/idmef.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
});

fn valid(item: Item<'_>) -> Value {
    let message = encode(item, &Writer::default());
    let errors: Vec<String> = SCHEMA
        .iter_errors(&message)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty(), "{message:#}: {errors:?}");
    message
}

fn notes(message: &Value) -> Value {
    serde_json::from_str(message["Note"].as_str().unwrap()).unwrap()
}

/// A finding of each type, on either side, with whatever a subject may be and with ports that are none.
#[test]
fn every_type_follows_the_schema() {
    let subjects = [
        None,
        Some("Mozilla/5.0 (\"x\")"),
        Some("http://[2001:db8::1]:81/a?b"),
        Some(""),
    ];
    for kind in EvidenceType::ALL {
        for (at, subject) in subjects.into_iter().enumerate() {
            let found = Evidence {
                kind,
                subject: subject.map(str::to_owned),
                attacker_side: [AttackerSide::Source, AttackerSide::Destination][at % 2],
                victim: [None, Some("2001:db8::1".parse().unwrap())][at / 2],
                src_port: [None, Some(0), Some(50_000)][at % 3],
                dst_port: [Some(0), Some(443)][at % 2],
                protocol: Some([6, 58, 255, 0][at]),
                ..evidence(1)
            };
            assert_eq!(valid(Item::Evidence(&found))["Status"], "Event");
        }
    }
    let mut wrong = encode(Item::Evidence(&evidence(1)), &Writer::default());
    assert!(SCHEMA.is_valid(&wrong));
    wrong["Source"][0]["URL"] = json!("http://x/");
    assert!(
        !SCHEMA.is_valid(&wrong),
        "the schema refuses what the draft does not know"
    );
}

/// `slips.md` 5.1, row by row.
#[test]
fn an_event_has_the_fields_of_slips() {
    let found = Evidence {
        kind: EvidenceType::ThreatIntelligenceToBlacklistedIp,
        victim: Some("8.8.8.8".parse().unwrap()),
        src_port: Some(50_000),
        dst_port: Some(443),
        confidence: Confidence::new(0.5),
        threat_level: ThreatLevel::Critical,
        accumulated: Some(7.25),
        ..evidence(1)
    };
    let writer = Writer {
        ip: Some("192.0.2.7".parse().unwrap()),
        at: Some(Timestamp::from_secs(8_000)),
    };
    let event = encode(Item::Evidence(&found), &writer);
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    assert_eq!(text("/Version"), Some("2.0.3"));
    assert_eq!(text("/Analyzer/IP"), Some("192.0.2.7"));
    assert_eq!(text("/Severity"), Some("High"), "of critical");
    assert_eq!(text("/StartTime"), Some("1970-01-01T02:00:00.500000Z"));
    assert_eq!(text("/CreateTime"), Some("1970-01-01T02:13:20.000000Z"));
    assert_eq!(text("/Source/0/IP"), Some("10.0.0.1"));
    assert_eq!(event["Source"][0]["Port"], json!([50_000]));
    assert_eq!(event["Source"][0]["Protocol"], json!(["TCP"]));
    assert_eq!(event["Target"][0]["Port"], json!([443]));
    let whose = notes(&event["Target"][0]);
    assert!(whose["AS"].as_str().unwrap().contains("Google"), "{whose}");
    assert_eq!(whose["TI"], json!(["12 hosts"]));
    let note = notes(&event);
    assert_eq!(note["accumulated_threat_level"], 7.25);
    assert_eq!(
        (&note["timewindow"], &note["threat_level"], &note["confidence"]),
        (&json!(3), &json!("critical"), &json!("low"))
    );
    assert!(note["uids"][0].as_str().unwrap().starts_with("1:"));
    assert!(event.get("Attachment").is_none());

    // The server's evidence: it is the source of the attack, and its ports go with it.
    let mirror = Evidence {
        attacker: "8.8.8.8".parse().unwrap(),
        attacker_side: AttackerSide::Destination,
        victim: Some("10.0.0.1".parse().unwrap()),
        related: vec![found.id],
        ..found
    };
    let event = valid(Item::Evidence(&mirror));
    assert_eq!(event["Analyzer"]["IP"], "0.0.0.0", "of a file");
    assert_eq!(event["Source"][0]["IP"], "8.8.8.8");
    assert_eq!(event["Source"][0]["Port"], json!([443]));
    assert_eq!(event["Source"][0]["TI"], json!(["12 hosts"]));
    assert_eq!(event["Target"][0]["IP"], "10.0.0.1");
    assert_eq!(event["Target"][0]["Port"], json!([50_000]));
    assert_eq!(event["RelID"], json!([mirror.id.to_string()]));
}

#[test]
fn a_file_is_an_attachment_and_a_name_a_host() {
    let mut file = Evidence {
        kind: EvidenceType::MaliciousDownloadedFile,
        subject: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        victim: Some("192.0.2.1".parse().unwrap()),
        ..evidence(1)
    };
    let size = Feature {
        name: "file size".into(),
        value: 4096.0,
        ..file.explanation.features[0].clone()
    };
    file.explanation.features.push(size);
    let attachment = &valid(Item::Evidence(&file))["Attachment"][0];
    assert_eq!(
        attachment["Hash"],
        json!(["md5:d41d8cd98f00b204e9800998ecf8427e"])
    );
    assert_eq!(attachment["Size"], 4096);

    for (kind, subject, field, shown) in [
        (
            EvidenceType::YoungDomain,
            "new.example",
            "Hostname",
            "new.example",
        ),
        (
            EvidenceType::ThreatIntelligenceMaliciousUrl,
            "http://user@evil.example:8080/a@b",
            "Hostname",
            "evil.example",
        ),
        (EvidenceType::Login, "root", "User", "root"),
    ] {
        let found = Evidence {
            kind,
            subject: Some(subject.to_owned()),
            ..evidence(1)
        };
        let event = valid(Item::Evidence(&found));
        assert_eq!(event["Target"][0][field], shown, "{event:#}");
        assert_eq!(notes(&event)["subject"], subject);
    }
    // A fingerprint is no host.
    let fingerprint = Evidence {
        kind: EvidenceType::MaliciousJa3,
        subject: Some("6734f37431670b3ab4292b8f60f29984".to_owned()),
        ..evidence(1)
    };
    let event = valid(Item::Evidence(&fingerprint));
    assert!(event["Target"][0]["Hostname"].is_null());
    assert_eq!(event["Source"][0]["TI"], json!(["12 hosts"]));
}

#[test]
fn an_alert_is_an_incident() {
    let incident = valid(Item::Alert(&alert()));
    assert_eq!(incident["Status"], "Incident");
    assert_eq!(incident["StartTime"], "1970-01-01T02:00:00.000000Z");
    assert_eq!(incident["Source"], json!([{ "IP": "10.0.0.1" }]));
    assert_eq!(incident["CorrelID"].as_array().unwrap().len(), 1);
    let note = notes(&incident);
    assert_eq!(
        (&note["accumulated_threat_level"], &note["timewindow"]),
        (&json!(15.2), &json!(3))
    );
    assert!(note["EndTime"].is_string());
}
