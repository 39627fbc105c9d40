//! ArcSight's Common Event Format, version 0 (implementation standard 26).

use std::fmt::Write as _;

use lynceus_model::evidence::ThreatLevel;

use super::Item;
use super::text::{self, VENDOR, VERSION, community_id, protocol};

pub(super) fn encode(item: Item<'_>) -> String {
    match item {
        Item::Evidence(evidence) => {
            let (source, destination) = text::source_and_destination(evidence);
            let mut line = head(
                evidence.kind.name(),
                &evidence.description,
                severity(evidence.threat_level),
            );
            let mut put = |name: &str, value: &str| field(&mut line, name, value);
            put("rt", &milliseconds(evidence.last.0));
            put("start", &milliseconds(evidence.first.0));
            put("externalId", &evidence.id.to_string());
            if let Some(ip) = source {
                put(if ip.is_ipv4() { "src" } else { "c6a2" }, &ip.to_string());
            }
            if let Some(ip) = destination {
                put(if ip.is_ipv4() { "dst" } else { "c6a3" }, &ip.to_string());
            }
            if let Some(port) = evidence.dst_port {
                put("dpt", &port.to_string());
            }
            if let Some(number) = evidence.protocol {
                put("proto", &protocol(number).to_uppercase());
            }
            if let Some(subject) = &evidence.subject {
                put(
                    if subject.contains("://") {
                        "request"
                    } else {
                        "dhost"
                    },
                    subject,
                );
            }
            put("cs1Label", "explanation");
            put("cs1", &evidence.explanation.text);
            if let Some(id) = evidence.flows.first() {
                put("cs2Label", "communityId");
                put("cs2", &community_id(id));
            }
            peers(item, &mut put);
            put("cfp1Label", "confidence");
            put("cfp1", &format!("{:.2}", evidence.confidence.value()));
            line
        }
        Item::Alert(alert) => {
            let mut line = head("ALERT", &text::alert(alert), 10);
            let mut put = |name: &str, value: &str| field(&mut line, name, value);
            put("rt", &milliseconds(alert.last.0));
            put("start", &milliseconds(alert.first.0));
            put("externalId", &alert.id.to_string());
            let profile = alert.profile;
            put(
                if profile.is_ipv4() { "src" } else { "c6a2" },
                &profile.to_string(),
            );
            put("cs1Label", "group");
            put("cs1", &alert.group.to_string());
            peers(item, &mut put);
            put("cfp1Label", "sum");
            put("cfp1", &format!("{:.2}", alert.sum));
            put("cfp2Label", "threshold");
            put("cfp2", &format!("{:.2}", alert.threshold));
            line
        }
    }
}

/// Whose the public addresses are.
fn peers(item: Item<'_>, put: &mut impl FnMut(&str, &str)) {
    let words = text::peers_in_words(item);
    if !words.is_empty() {
        put("cs3Label", "peers");
        put("cs3", &words);
    }
}

fn head(kind: &str, name: &str, severity: u8) -> String {
    let name = one_line(name).replace('\\', "\\\\").replace('|', "\\|");
    format!("CEF:0|{VENDOR}|{VENDOR}|{VERSION}|{kind}|{name}|{severity}|")
}

fn field(line: &mut String, name: &str, value: &str) {
    let value = value
        .replace('\\', "\\\\")
        .replace('=', "\\=")
        .replace('\n', "\\n")
        .replace('\r', "\\r");
    let space = if line.ends_with('|') { "" } else { " " };
    // Writing into a string cannot fail.
    let _ = write!(line, "{space}{name}={value}");
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

const fn severity(level: ThreatLevel) -> u8 {
    match level {
        ThreatLevel::Info => 1,
        ThreatLevel::Low => 3,
        ThreatLevel::Medium => 5,
        ThreatLevel::High => 8,
        ThreatLevel::Critical => 10,
    }
}

fn milliseconds(nanos: i64) -> String {
    nanos.div_euclid(1_000_000).to_string()
}
