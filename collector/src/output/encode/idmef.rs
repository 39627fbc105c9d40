//! IDMEFv2 (draft-lehmann-idmefv2, 2.0.3) with the fields that Slips fills.

use lynceus_model::alert::{Alert, AlertPolicy};
use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use serde_json::{Value, json};

use super::Item;
use super::text::{self, VENDOR, VERSION, community_id, protocol, time};

const IDMEF: &str = "2.0.3";

pub(super) fn encode(item: Item<'_>) -> Value {
    match item {
        Item::Evidence(evidence) => event(evidence),
        Item::Alert(alert) => incident(alert),
    }
}

fn incident(alert: &Alert) -> Value {
    let mut message = json!({
        "Version": IDMEF,
        "ID": alert.id.to_string(),
        "Status": "Incident",
        "Analyzer": analyzer("Heuristic"),
        "StartTime": time(alert.window_start),
        "CreateTime": time(alert.last),
        "Confidence": alert.confidence.value(),
        "Description": text::alert(alert),
        "Source": [{ "IP": alert.profile }],
        "CorrelID": alert.terms.iter().map(|term| term.evidence.to_string()).collect::<Vec<_>>(),
        "Note": json!({
            "accumulated_threat_level": alert.sum,
            "threshold": alert.threshold,
            "timewindow": alert.window,
            "EndTime": time(alert.last),
            "group": alert.group.to_string(),
            "peers": text::peers(Item::Alert(alert)),
        }).to_string(),
    });
    // The first alert of a group has no predecessor.
    if alert.group != alert.id {
        message["RelID"] = json!([alert.group.to_string()]);
    }
    message
}

fn event(evidence: &Evidence) -> Value {
    let (source, destination) = text::source_and_destination(evidence);
    let mut message = json!({
        "Version": IDMEF,
        "ID": evidence.id.to_string(),
        "Status": "Event",
        "Analyzer": analyzer(method(evidence.kind)),
        "Severity": severity(evidence.threat_level),
        "StartTime": time(evidence.first),
        "CreateTime": time(evidence.last),
        "Confidence": evidence.confidence.value(),
        "Description": evidence.description,
        "Note": json!({
            "type": evidence.kind.name(),
            "uids": evidence.flows.iter().map(community_id).collect::<Vec<_>>(),
            "threat_level": evidence.threat_level.name(),
            "confidence": word(evidence.confidence.value()),
            "timewindow": evidence.window,
            "explanation": evidence.explanation.text,
            "peers": text::peers(Item::Evidence(evidence)),
        }).to_string(),
    });
    if let Some(ip) = source {
        let mut side = json!({ "IP": ip });
        if let Some(number) = evidence.protocol {
            side["Protocol"] = json!([protocol(number)]);
        }
        message["Source"] = json!([side]);
    }
    let mut target = json!({});
    if let Some(ip) = destination {
        target["IP"] = json!(ip);
    }
    if let Some(subject) = &evidence.subject {
        let name = if subject.contains("://") {
            "URL"
        } else {
            "Hostname"
        };
        target[name] = json!(subject);
    }
    if let Some(port) = evidence.dst_port {
        target["Port"] = json!([port]);
    }
    if target.as_object().is_some_and(|target| !target.is_empty()) {
        message["Target"] = json!([target]);
    }
    if !evidence.related.is_empty() {
        message["RelID"] = json!(
            evidence
                .related
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        );
    }
    message
}

fn analyzer(method: &str) -> Value {
    json!({
        "IP": "0.0.0.0",
        "Name": VENDOR,
        "Model": format!("{VENDOR} {VERSION}"),
        "Category": ["NIDS"],
        "Data": ["Flow", "Network"],
        "Method": [method],
    })
}

const fn method(kind: EvidenceType) -> &'static str {
    match kind {
        EvidenceType::CommandAndControlChannel => "AI",
        EvidenceType::MaliciousFlow | EvidenceType::Beaconing => "Statistical",
        _ => "Heuristic",
    }
}

/// IDMEFv2 ends at High.
const fn severity(level: ThreatLevel) -> &'static str {
    match level {
        ThreatLevel::Info => "Info",
        ThreatLevel::Low => "Low",
        ThreatLevel::Medium => "Medium",
        ThreatLevel::High | ThreatLevel::Critical => "High",
    }
}

const fn word(confidence: f64) -> &'static str {
    if confidence >= AlertPolicy::HIGH_CONFIDENCE {
        "High"
    } else if confidence >= 0.55 {
        "Medium"
    } else {
        "Low"
    }
}
