//! Suricata's EVE JSON: what reads Suricata's alerts reads ours.

use lynceus_model::evidence::ThreatLevel;
use serde_json::{Value, json};

use super::Item;
use super::text::{self, VERSION, community_id, protocol, time};

pub(super) fn encode(item: Item<'_>) -> Value {
    match item {
        Item::Evidence(evidence) => {
            let (source, destination) = text::source_and_destination(evidence);
            let mut event = json!({
                "timestamp": time(evidence.last),
                "event_type": "alert",
                "src_ip": source,
                "dest_ip": destination,
                "alert": {
                    "action": "allowed",
                    "gid": 1,
                    "signature_id": text::number(evidence.kind),
                    "rev": 1,
                    "signature": evidence.description,
                    "category": evidence.kind.name(),
                    "severity": severity(evidence.threat_level),
                    "metadata": {
                        "threat_level": [evidence.threat_level.name()],
                        "confidence": [format!("{:.2}", evidence.confidence.value())],
                    },
                },
                "lynceus": {
                    "version": VERSION,
                    "id": evidence.id.to_string(),
                    "profile": evidence.profile,
                    "window": evidence.window,
                    "subject": evidence.subject,
                    "explanation": evidence.explanation.text,
                    "account": evidence.account,
                    "community_ids": evidence.flows.iter().map(community_id).collect::<Vec<_>>(),
                    "peers": text::peers(item),
                },
            });
            if let Some(port) = evidence.dst_port {
                event["dest_port"] = port.into();
            }
            if let Some(number) = evidence.protocol {
                event["proto"] = protocol(number).to_uppercase().into();
            }
            if let Some(id) = evidence.flows.first() {
                event["community_id"] = community_id(id).into();
            }
            event
        }
        Item::Alert(alert) => json!({
            "timestamp": time(alert.last),
            "event_type": "alert",
            "src_ip": alert.profile,
            "alert": {
                "action": "allowed",
                "gid": 1,
                "signature_id": 8_999_999,
                "rev": 1,
                "signature": text::alert(alert),
                "category": "ALERT",
                "severity": 1,
            },
            "lynceus": {
                "version": VERSION,
                "id": alert.id.to_string(),
                "group": alert.group.to_string(),
                "profile": alert.profile,
                "window": alert.window,
                "sum": alert.sum,
                "threshold": alert.threshold,
                "evidence": alert.terms.iter().map(|term| term.evidence.to_string()).collect::<Vec<_>>(),
                "community_ids": alert.flows.iter().map(community_id).collect::<Vec<_>>(),
                "peers": text::peers(item),
            },
        }),
    }
}

/// Suricata's: 1 is worst.
const fn severity(level: ThreatLevel) -> u8 {
    match level {
        ThreatLevel::Critical | ThreatLevel::High => 1,
        ThreatLevel::Medium => 2,
        ThreatLevel::Low => 3,
        ThreatLevel::Info => 4,
    }
}
