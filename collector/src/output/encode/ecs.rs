//! Elastic Common Schema 8.

use std::net::IpAddr;

use lynceus_enrich::offline::short::Short;
use lynceus_model::evidence::ThreatLevel;
use serde_json::{Value, json};

use super::Item;
use super::text::{self, VENDOR, VERSION, community_id, protocol, time};

const ECS: &str = "8.11.0";

pub(super) fn encode(item: Item<'_>) -> Value {
    match item {
        Item::Evidence(evidence) => {
            let (source, destination) = text::source_and_destination(evidence);
            let related: Vec<_> = [source, destination].into_iter().flatten().collect();
            let weight = evidence.threat_level.weight() * evidence.confidence.value();
            let mut event = json!({
                "@timestamp": time(evidence.last),
                "ecs": { "version": ECS },
                "message": evidence.description,
                "event": {
                    "kind": "alert",
                    "category": ["network", "intrusion_detection"],
                    "type": ["info"],
                    "module": VENDOR,
                    "dataset": "lynceus.evidence",
                    "id": evidence.id.to_string(),
                    "start": time(evidence.first),
                    "end": time(evidence.last),
                    "severity": severity(evidence.threat_level),
                    "risk_score": weight * 100.0,
                    "reason": evidence.explanation.text,
                },
                "rule": { "name": evidence.kind.name(), "id": text::number(evidence.kind).to_string() },
                "observer": observer(),
                "network": { "community_id": evidence.flows.iter().map(community_id).collect::<Vec<_>>() },
                "related": { "ip": related },
                "lynceus": {
                    "profile": evidence.profile,
                    "window": evidence.window,
                    "threat_level": evidence.threat_level.name(),
                    "confidence": evidence.confidence.value(),
                    "subject": evidence.subject,
                    "peers": text::peers(item),
                },
            });
            if let Some(ip) = source {
                event["source"] = side(ip);
            }
            if let Some(ip) = destination {
                event["destination"] = side(ip);
            }
            if let Some(port) = evidence.dst_port {
                event["destination"]["port"] = port.into();
            }
            if let Some(number) = evidence.protocol {
                event["network"]["transport"] = protocol(number).into();
                event["network"]["iana_number"] = number.to_string().into();
            }
            event
        }
        Item::Alert(alert) => json!({
            "@timestamp": time(alert.last),
            "ecs": { "version": ECS },
            "message": text::alert(alert),
            "event": {
                "kind": "alert",
                "category": ["network", "intrusion_detection"],
                "type": ["indicator"],
                "module": VENDOR,
                "dataset": "lynceus.alert",
                "id": alert.id.to_string(),
                "start": time(alert.first),
                "end": time(alert.last),
                "severity": severity(ThreatLevel::Critical),
                "risk_score": alert.confidence.value() * 100.0,
            },
            "observer": observer(),
            "source": side(alert.profile),
            "network": { "community_id": alert.flows.iter().map(community_id).collect::<Vec<_>>() },
            "related": { "ip": std::iter::once(&alert.profile).chain(&alert.peers).collect::<Vec<_>>() },
            "lynceus": {
                "group": alert.group.to_string(),
                "profile": alert.profile,
                "window": alert.window,
                "sum": alert.sum,
                "threshold": alert.threshold,
                "evidence": alert.terms.iter().map(|term| term.evidence.to_string()).collect::<Vec<_>>(),
                "peers": text::peers(item),
            },
        }),
    }
}

/// An end of the traffic and whose it is. What is not known is left out, as Elastic wants it.
fn side(ip: IpAddr) -> Value {
    let short = Short::of(ip);
    let mut side = json!({ "ip": ip });
    if let Some(country) = &short.country {
        side["geo"] = json!({ "country_iso_code": country.text() });
    }
    if let Some(number) = short.asn {
        side["as"] = json!({ "number": number, "organization": { "name": short.organization } });
    }
    side
}

fn observer() -> Value {
    json!({ "vendor": VENDOR, "product": VENDOR, "type": "ids", "version": VERSION })
}

/// As Elastic's detection rules count: 21, 47, 73, 99.
const fn severity(level: ThreatLevel) -> u8 {
    match level {
        ThreatLevel::Info => 1,
        ThreatLevel::Low => 21,
        ThreatLevel::Medium => 47,
        ThreatLevel::High => 73,
        ThreatLevel::Critical => 99,
    }
}
