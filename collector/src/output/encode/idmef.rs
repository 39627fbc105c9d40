//! IDMEFv2 (draft-lehmann-idmefv2, schema 2.0.3) with the fields that Slips fills. `docs/schema/idmef.json` describes it.
//!
//! The schema has no room for fields of our own, so what it does not name is JSON in a `Note`, as Slips does it.

use std::net::{IpAddr, Ipv4Addr};

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::{Alert, AlertPolicy};
use lynceus_model::evidence::{AttackerSide, Evidence, EvidenceType, ThreatLevel};
use serde_json::{Map, Value, json};

use super::text::{self, VENDOR, VERSION, community_id, protocol, time};
use super::{Item, Writer};

const IDMEF: &str = "2.0.3";
/// The analyzer's address where a file is read, as in Slips.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

pub(super) fn encode(item: Item<'_>, writer: &Writer) -> Value {
    match item {
        Item::Evidence(evidence) => event(evidence, writer),
        Item::Alert(alert) => incident(alert, writer),
    }
}

fn incident(alert: &Alert, writer: &Writer) -> Value {
    let mut message = json!({
        "Version": IDMEF,
        "ID": alert.id.to_string(),
        "Status": "Incident",
        "Analyzer": analyzer("Heuristic", writer),
        "StartTime": time(alert.window_start),
        "CreateTime": time(writer.at.unwrap_or(alert.last)),
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

fn event(evidence: &Evidence, writer: &Writer) -> Value {
    let mut message = json!({
        "Version": IDMEF,
        "ID": evidence.id.to_string(),
        "Status": "Event",
        "Analyzer": analyzer(method(evidence.kind), writer),
        "Severity": severity(evidence.threat_level),
        "StartTime": time(evidence.first),
        "CreateTime": time(writer.at.unwrap_or(evidence.last)),
        "Confidence": evidence.confidence.value(),
        "Description": evidence.description,
        "Note": json!({
            "type": evidence.kind.name(),
            "uids": evidence.flows.iter().map(community_id).collect::<Vec<_>>(),
            "accumulated_threat_level": evidence.accumulated,
            "threat_level": evidence.threat_level.name(),
            "confidence": word(evidence.confidence.value()),
            "timewindow": evidence.window,
            "subject": evidence.subject,
            "explanation": evidence.explanation.text,
        }).to_string(),
    });
    let (client, server) = sides(evidence);
    let (mut source, target) = match evidence.attacker_side {
        AttackerSide::Source => (client, server),
        AttackerSide::Destination => (server, client),
    };
    if let Some(number) = evidence.protocol {
        // The schema knows protocols of sources only.
        source.insert("Protocol".to_owned(), json!([protocol(number).to_uppercase()]));
    }
    message["Source"] = json!([source]);
    if !target.is_empty() {
        message["Target"] = json!([target]);
    }
    if let Some(file) = attachment(evidence) {
        message["Attachment"] = json!([file]);
    }
    if !evidence.related.is_empty() {
        let related = evidence.related.iter().map(ToString::to_string);
        message["RelID"] = related.collect();
    }
    message
}

/// The client and the server of what was found, each with what is known of it.
fn sides(evidence: &Evidence) -> (Map<String, Value>, Map<String, Value>) {
    let (from, to) = text::source_and_destination(evidence);
    let (mut client, mut server) = (side(from, evidence.src_port), side(to, evidence.dst_port));
    let name = evidence
        .subject
        .as_deref()
        .and_then(|subject| match evidence.kind {
            EvidenceType::Login => Some(("User", subject)),
            EvidenceType::ThreatIntelligenceMaliciousUrl => Some(("Hostname", host_of(subject)?)),
            kind if is_about_a_name(kind) => Some(("Hostname", subject)),
            _ => None,
        });
    if let Some((field, name)) = name {
        server.insert(field.to_owned(), json!(name));
    }
    if let Some(listed) = listed(evidence.kind) {
        let word = json!([evidence.explanation.text]);
        let side = match listed {
            AttackerSide::Source => &mut client,
            AttackerSide::Destination => &mut server,
        };
        // Only sources have a field for it; of a target it stands in the note, as in Slips.
        if evidence.attacker_side == listed {
            side.insert("TI".to_owned(), word);
        } else {
            note(side, "TI", word);
        }
    }
    for side in [&mut client, &mut server] {
        if let Some(note) = side.get_mut("Note") {
            *note = json!(note.to_string());
        }
    }
    (client, server)
}

/// An address, its port, and whose it is.
fn side(ip: Option<IpAddr>, port: Option<u16>) -> Map<String, Value> {
    let mut side = Map::new();
    if let Some(ip) = ip {
        side.insert("IP".to_owned(), json!(ip));
        let short = Short::of(ip);
        if let Some(number) = short.asn {
            let name = short.organization.map(|name| format!(" {name}"));
            let system = format!("AS{number}{}", name.unwrap_or_default());
            note(&mut side, "AS", json!(system));
        }
        if let Some(country) = short.country {
            note(&mut side, "country", json!(country.text()));
        }
    }
    // The schema begins at 1.
    if let Some(port) = port.filter(|port| *port > 0) {
        side.insert("Port".to_owned(), json!([port]));
    }
    side
}

/// Adds to the note of a side while it is an object.
fn note(side: &mut Map<String, Value>, name: &str, value: Value) {
    side.entry("Note").or_insert_with(|| json!({}))[name] = value;
}

/// The file that a finding is about.
fn attachment(evidence: &Evidence) -> Option<Value> {
    let hash = (evidence.kind == EvidenceType::MaliciousDownloadedFile)
        .then_some(evidence.subject.as_deref())
        .flatten()?;
    let function = match hash.len() {
        32 => "md5",
        40 => "sha1",
        64 => "sha256",
        _ => return None,
    };
    // Names are letters and digits.
    let name = evidence.id.to_string().replace('-', "");
    let mut file = json!({ "Name": name, "Hash": [format!("{function}:{hash}")] });
    let mut features = evidence.explanation.features.iter();
    if let Some(size) = features.find(|feature| feature.name == "file size") {
        file["Size"] = json!(size.value as u64);
    }
    Some(file)
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// Whether the subject of such findings is the name of a host.
const fn is_about_a_name(kind: EvidenceType) -> bool {
    matches!(
        kind,
        EvidenceType::YoungDomain
            | EvidenceType::DnsOverHttps
            | EvidenceType::DnsTunnel
            | EvidenceType::DnsWithoutConnection
            | EvidenceType::EmptyConnections
            | EvidenceType::HighEntropyDnsAnswer
            | EvidenceType::InvalidDnsResolution
            | EvidenceType::MaliciousFlow
            | EvidenceType::PastebinDownload
            | EvidenceType::ThreatIntelligenceAnswerOfBlacklistedQuery
            | EvidenceType::ThreatIntelligenceBlacklistedDomain
    )
}

/// Which side a feed lists, where such findings say what a feed says.
const fn listed(kind: EvidenceType) -> Option<AttackerSide> {
    match kind {
        EvidenceType::MaliciousJa3
        | EvidenceType::MaliciousJa4
        | EvidenceType::ThreatIntelligenceFromBlacklistedIp => Some(AttackerSide::Source),
        EvidenceType::MaliciousDownloadedFile
        | EvidenceType::MaliciousJa3s
        | EvidenceType::MaliciousJarm
        | EvidenceType::MaliciousSslCert
        | EvidenceType::ThreatIntelligenceAnswerOfBlacklistedQuery
        | EvidenceType::ThreatIntelligenceBlacklistedAsn
        | EvidenceType::ThreatIntelligenceBlacklistedDnsAnswer
        | EvidenceType::ThreatIntelligenceBlacklistedDomain
        | EvidenceType::ThreatIntelligenceMaliciousUrl
        | EvidenceType::ThreatIntelligenceToBlacklistedIp
        | EvidenceType::TorExitNode => Some(AttackerSide::Destination),
        _ => None,
    }
}

fn analyzer(method: &str, writer: &Writer) -> Value {
    json!({
        "IP": writer.ip.unwrap_or(NOWHERE),
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
        EvidenceType::MaliciousFlow | EvidenceType::Beaconing | EvidenceType::Outlier => "Statistical",
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

/// Slips writes the last one in small letters.
const fn word(confidence: f64) -> &'static str {
    if confidence >= AlertPolicy::HIGH_CONFIDENCE {
        "High"
    } else if confidence >= 0.55 {
        "Medium"
    } else {
        "low"
    }
}

#[cfg(test)]
mod tests;
