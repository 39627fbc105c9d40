//! OCSF 1.3: Detection Finding (class 2004 of category 2, Findings).

use std::net::IpAddr;

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::ThreatLevel;
use lynceus_model::time::Timestamp;
use serde_json::{Value, json};

use super::Item;
use super::text::{self, VENDOR, VERSION, community_id, protocol};

const CLASS: u32 = 2004;

pub(super) fn encode(item: Item<'_>) -> Value {
    match item {
        Item::Evidence(evidence) => {
            let (source, destination) = text::source_and_destination(evidence);
            let activity = if evidence.revision == 0 { 1 } else { 2 };
            let mut artifact = json!({
                "data": { "community_ids": evidence.flows.iter().map(community_id).collect::<Vec<_>>() },
            });
            if let Some(ip) = source {
                artifact["src_endpoint"] = endpoint(ip);
            }
            if let Some(ip) = destination {
                artifact["dst_endpoint"] = endpoint(ip);
            }
            if let Some(port) = evidence.dst_port {
                artifact["dst_endpoint"]["port"] = port.into();
            }
            if let Some(number) = evidence.protocol {
                artifact["connection_info"] = json!({
                    "direction_id": 0, "protocol_num": number, "protocol_name": protocol(number),
                });
            }
            json!({
                "category_uid": 2,
                "class_uid": CLASS,
                "activity_id": activity,
                "type_uid": CLASS * 100 + activity,
                "severity_id": severity(evidence.threat_level),
                "time": milliseconds(evidence.last),
                "start_time": milliseconds(evidence.first),
                "end_time": milliseconds(evidence.last),
                "message": evidence.description,
                "confidence_score": (evidence.confidence.value() * 100.0).round(),
                "metadata": metadata(),
                "finding_info": {
                    "uid": evidence.id.to_string(),
                    "title": evidence.kind.name(),
                    "desc": evidence.explanation.text,
                    "types": [evidence.kind.name()],
                    "related_events": evidence.related.iter().map(|id| json!({ "uid": id.to_string() })).collect::<Vec<_>>(),
                },
                "evidences": [artifact],
                "is_alert": false,
                "unmapped": { "peers": text::peers(item) },
            })
        }
        Item::Alert(alert) => json!({
            "category_uid": 2,
            "class_uid": CLASS,
            "activity_id": 1,
            "type_uid": CLASS * 100 + 1,
            "severity_id": severity(ThreatLevel::Critical),
            "time": milliseconds(alert.last),
            "start_time": milliseconds(alert.first),
            "end_time": milliseconds(alert.last),
            "message": text::alert(alert),
            "confidence_score": (alert.confidence.value() * 100.0).round(),
            "metadata": grouped(alert),
            "finding_info": {
                "uid": alert.id.to_string(),
                "title": "ALERT",
                "desc": text::alert(alert),
                "related_events": alert.terms.iter().map(|term| json!({ "uid": term.evidence.to_string() })).collect::<Vec<_>>(),
            },
            "evidences": [{ "src_endpoint": endpoint(alert.profile) }],
            "is_alert": true,
            "unmapped": { "peers": text::peers(item) },
        }),
    }
}

fn endpoint(ip: IpAddr) -> Value {
    let mut endpoint = json!({ "ip": ip });
    if let Some(country) = &Short::of(ip).country {
        endpoint["location"] = json!({ "country": country.text() });
    }
    endpoint
}

/// `correlation_uid` is what joins events in OCSF.
fn grouped(alert: &Alert) -> Value {
    let mut metadata = metadata();
    metadata["correlation_uid"] = json!(alert.group.to_string());
    metadata
}

fn metadata() -> Value {
    json!({
        "version": "1.3.0",
        "product": { "name": VENDOR, "vendor_name": VENDOR, "version": VERSION },
    })
}

const fn severity(level: ThreatLevel) -> u8 {
    match level {
        ThreatLevel::Info => 1,
        ThreatLevel::Low => 2,
        ThreatLevel::Medium => 3,
        ThreatLevel::High => 4,
        ThreatLevel::Critical => 5,
    }
}

const fn milliseconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000)
}
