//! STIX 2.1: a bundle with us, the addresses, and what we saw of them. Ids follow from our own ids, so the same finding
//! sent twice is the same object.

use std::net::IpAddr;

use lynceus_model::evidence::Evidence;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Item;
use super::text::{self, VENDOR, time};

pub(super) fn encode(item: Item<'_>) -> Value {
    let (id, objects) = match item {
        Item::Evidence(evidence) => (evidence.id.0, of_evidence(evidence)),
        Item::Alert(alert) => {
            let pattern = pattern(alert.profile);
            let mut object = indicator(&alert.id.0, &pattern, &text::alert(alert), &time(alert.last));
            object["indicator_types"] = json!(["malicious-activity"]);
            object["confidence"] = json!((alert.confidence.value() * 100.0).round() as u8);
            object["x_lynceus_sum"] = json!(alert.sum);
            object["x_lynceus_threshold"] = json!(alert.threshold);
            let terms: Vec<String> = alert.terms.iter().map(|term| term.evidence.to_string()).collect();
            object["x_lynceus_evidence"] = json!(terms);
            object["x_lynceus_group"] = json!(alert.group.to_string());
            object["x_lynceus_peers"] = text::peers(item);
            (alert.id.0, vec![object])
        }
    };
    let mut all = vec![identity()];
    all.extend(objects);
    json!({ "type": "bundle", "id": format!("bundle--{}", own(&id, "bundle")), "objects": all })
}

fn of_evidence(evidence: &Evidence) -> Vec<Value> {
    let pattern = evidence.subject.as_deref().map_or_else(
        || pattern(evidence.attacker),
        |subject| {
            let quoted = subject.replace('\\', "\\\\").replace('\'', "\\'");
            if subject.contains("://") {
                format!("[url:value = '{quoted}']")
            } else if subject.contains('.') {
                format!("[domain-name:value = '{quoted}']")
            } else {
                self::pattern(evidence.attacker)
            }
        },
    );
    let mut object = indicator(
        &evidence.id.0,
        &pattern,
        &evidence.description,
        &time(evidence.last),
    );
    object["indicator_types"] = json!(["anomalous-activity"]);
    object["labels"] = json!([evidence.kind.name(), evidence.threat_level.name()]);
    object["confidence"] = json!((evidence.confidence.value() * 100.0).round() as u8);
    object["x_lynceus_evidence_id"] = json!(evidence.id.to_string());
    object["x_lynceus_threat_level"] = json!(evidence.threat_level.name());
    object["x_lynceus_profile"] = json!(evidence.profile);
    object["x_lynceus_explanation"] = json!(evidence.explanation.text);
    let flows: Vec<String> = evidence.flows.iter().map(text::community_id).collect();
    object["x_lynceus_flows"] = json!(flows);
    object["x_lynceus_peers"] = text::peers(Item::Evidence(evidence));
    if let Some(victim) = evidence.victim {
        object["x_lynceus_victim"] = json!(victim);
    }
    if let Some(port) = evidence.dst_port {
        object["x_lynceus_port"] = json!(port);
    }
    vec![object]
}

fn indicator(id: &[u8; 16], pattern: &str, name: &str, time: &str) -> Value {
    json!({
        "type": "indicator",
        "spec_version": "2.1",
        "id": format!("indicator--{}", own(id, "indicator")),
        "created_by_ref": identity()["id"],
        "created": time_of_stix(time),
        "modified": time_of_stix(time),
        "valid_from": time_of_stix(time),
        "name": name,
        "pattern": pattern,
        "pattern_type": "stix",
    })
}

/// Milliseconds, as the standard's `created` and `modified` want.
fn time_of_stix(time: &str) -> String {
    time.get(..23)
        .map_or_else(|| time.to_owned(), |cut| format!("{cut}Z"))
}

fn identity() -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": format!("identity--{}", own(&[0; 16], VENDOR)),
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": VENDOR,
        "identity_class": "system",
    })
}

fn pattern(ip: IpAddr) -> String {
    let kind = if ip.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
    format!("[{kind}:value = '{ip}']")
}

fn own(id: &[u8; 16], what: &str) -> Uuid {
    Uuid::new_v5(&Uuid::from_bytes(*id), what.as_bytes())
}
