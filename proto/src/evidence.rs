//! Evidence and alerts on the wire.

use lynceus_model::alert::{Alert, AlertId, Term};
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, Feature, OwnPast, ThreatLevel,
};
use lynceus_model::time::Timestamp;

use crate::field::{
    Checked, Invalid, Problem, address, address_bytes, array, community_id, cut_name, cut_text, finite,
    known, limits, list, name, narrow, nested, optional_address, optional_text, text, unknown_number,
};
use crate::v1;

impl TryFrom<v1::Evidence> for Evidence {
    type Error = Invalid;

    fn try_from(wire: v1::Evidence) -> Checked<Self> {
        let kind = EvidenceType::from_name(&wire.kind);
        Ok(Self {
            id: evidence_id("id", &wire.id)?,
            kind: known("kind", wire.kind, kind)?,
            profile: address("profile", &wire.profile)?,
            window_start: Timestamp(wire.window_start),
            window: wire.window,
            attacker: address("attacker", &wire.attacker)?,
            attacker_side: attacker_side(wire.attacker_side)?,
            victim: optional_address("victim", wire.victim)?,
            subject: optional_text("subject", wire.subject)?,
            src_port: wire.src_port.map(|port| narrow("src_port", port)).transpose()?,
            dst_port: wire.dst_port.map(|port| narrow("dst_port", port)).transpose()?,
            protocol: wire
                .protocol
                .map(|number| narrow("protocol", number))
                .transpose()?,
            threat_level: threat_level(wire.threat_level)?,
            confidence: confidence(wire.confidence)?,
            description: text("description", wire.description)?,
            explanation: nested("explanation", wire.explanation.unwrap_or_default())?,
            account: optional_text("account", wire.account)?,
            flows: list("flows", wire.flows, Self::MAX_FLOWS, |id| community_id("id", &id))?,
            first: Timestamp(wire.first),
            last: Timestamp(wire.last),
            revision: wire.revision,
            related: list("related", wire.related, limits::RELATED, |id| {
                evidence_id("id", &id)
            })?,
            accumulated: wire
                .accumulated
                .map(|sum| finite("accumulated", sum))
                .transpose()?,
        })
    }
}

impl From<Evidence> for v1::Evidence {
    fn from(evidence: Evidence) -> Self {
        Self {
            id: evidence.id.0.to_vec(),
            kind: evidence.kind.name().to_owned(),
            profile: address_bytes(evidence.profile),
            window_start: evidence.window_start.0,
            window: evidence.window,
            attacker: address_bytes(evidence.attacker),
            attacker_side: match evidence.attacker_side {
                AttackerSide::Source => v1::AttackerSide::Source,
                AttackerSide::Destination => v1::AttackerSide::Destination,
            }
            .into(),
            victim: evidence.victim.map(address_bytes),
            src_port: evidence.src_port.map(Into::into),
            dst_port: evidence.dst_port.map(Into::into),
            protocol: evidence.protocol.map(Into::into),
            threat_level: threat_level_number(evidence.threat_level).into(),
            confidence: evidence.confidence.value(),
            description: cut_text(evidence.description),
            explanation: Some(evidence.explanation.into()),
            flows: evidence
                .flows
                .into_iter()
                .take(Evidence::MAX_FLOWS)
                .map(|id| id.0.to_vec())
                .collect(),
            first: evidence.first.0,
            last: evidence.last.0,
            subject: evidence.subject.map(cut_text),
            account: evidence.account.map(cut_text),
            revision: evidence.revision,
            related: evidence
                .related
                .into_iter()
                .take(limits::RELATED)
                .map(|id| id.0.to_vec())
                .collect(),
            accumulated: evidence.accumulated,
            whose: Vec::new(),
        }
    }
}

fn evidence_id(field: &'static str, bytes: &[u8]) -> Checked<EvidenceId> {
    array(field, bytes, "16").map(EvidenceId)
}

const fn threat_level_number(level: ThreatLevel) -> v1::ThreatLevel {
    match level {
        ThreatLevel::Info => v1::ThreatLevel::Info,
        ThreatLevel::Low => v1::ThreatLevel::Low,
        ThreatLevel::Medium => v1::ThreatLevel::Medium,
        ThreatLevel::High => v1::ThreatLevel::High,
        ThreatLevel::Critical => v1::ThreatLevel::Critical,
    }
}

fn threat_level(wire: i32) -> Checked<ThreatLevel> {
    Ok(match v1::ThreatLevel::try_from(wire) {
        Ok(v1::ThreatLevel::Info) => ThreatLevel::Info,
        Ok(v1::ThreatLevel::Low) => ThreatLevel::Low,
        Ok(v1::ThreatLevel::Medium) => ThreatLevel::Medium,
        Ok(v1::ThreatLevel::High) => ThreatLevel::High,
        Ok(v1::ThreatLevel::Critical) => ThreatLevel::Critical,
        Ok(v1::ThreatLevel::Unspecified) | Err(_) => return Err(unknown_number("threat_level", wire)),
    })
}

fn attacker_side(wire: i32) -> Checked<AttackerSide> {
    Ok(match v1::AttackerSide::try_from(wire) {
        Ok(v1::AttackerSide::Source) => AttackerSide::Source,
        Ok(v1::AttackerSide::Destination) => AttackerSide::Destination,
        Ok(v1::AttackerSide::Unspecified) | Err(_) => return Err(unknown_number("attacker_side", wire)),
    })
}

fn confidence(value: f64) -> Checked<Confidence> {
    if (0.0..=1.0).contains(&value) {
        Ok(Confidence::new(value))
    } else {
        Err(Invalid::new("confidence", Problem::Number { value }))
    }
}

impl TryFrom<v1::Explanation> for Explanation {
    type Error = Invalid;

    fn try_from(wire: v1::Explanation) -> Checked<Self> {
        Ok(Self {
            features: list("features", wire.features, limits::FEATURES, Feature::try_from)?,
            text: text("text", wire.text)?,
        })
    }
}

impl From<Explanation> for v1::Explanation {
    fn from(explanation: Explanation) -> Self {
        Self {
            features: explanation
                .features
                .into_iter()
                .take(limits::FEATURES)
                .map(Into::into)
                .collect(),
            text: cut_text(explanation.text),
        }
    }
}

impl TryFrom<v1::Feature> for Feature {
    type Error = Invalid;

    fn try_from(wire: v1::Feature) -> Checked<Self> {
        Ok(Self {
            name: name("name", wire.name)?.into(),
            value: finite("value", wire.value)?,
            unit: name("unit", wire.unit)?.into(),
            baseline: wire.baseline.map(|value| finite("baseline", value)).transpose()?,
            threshold: wire
                .threshold
                .map(|value| finite("threshold", value))
                .transpose()?,
            surprisal: wire
                .surprisal
                .map(|value| finite("surprisal", value))
                .transpose()?,
            own: wire.own.map(|own| nested("own", own)).transpose()?,
        })
    }
}

impl TryFrom<v1::OwnPast> for OwnPast {
    type Error = Invalid;

    fn try_from(wire: v1::OwnPast) -> Checked<Self> {
        Ok(Self {
            mean: finite("mean", wire.mean)?,
            surprisal: finite("surprisal", wire.surprisal)?,
            windows: wire.windows,
        })
    }
}

impl From<OwnPast> for v1::OwnPast {
    fn from(own: OwnPast) -> Self {
        Self {
            mean: own.mean,
            surprisal: own.surprisal,
            windows: own.windows,
        }
    }
}

impl From<Feature> for v1::Feature {
    fn from(feature: Feature) -> Self {
        Self {
            name: cut_name(feature.name),
            value: feature.value,
            unit: cut_name(feature.unit),
            baseline: feature.baseline,
            threshold: feature.threshold,
            surprisal: feature.surprisal,
            own: feature.own.map(Into::into),
        }
    }
}

impl TryFrom<v1::Alert> for Alert {
    type Error = Invalid;

    fn try_from(wire: v1::Alert) -> Checked<Self> {
        let id = AlertId(array("id", &wire.id, "16")?);
        Ok(Self {
            id,
            // Alerts of stores from before groups stand alone.
            group: match &wire.group[..] {
                [] => id,
                group => AlertId(array("group", group, "16")?),
            },
            profile: address("profile", &wire.profile)?,
            window: wire.window,
            window_start: Timestamp(wire.window_start),
            sum: finite("sum", wire.sum)?,
            threshold: finite("threshold", wire.threshold)?,
            terms: list("terms", wire.terms, limits::TERMS, Term::try_from)?,
            flows: list("flows", wire.flows, Self::MAX_FLOWS, |id| community_id("id", &id))?,
            peers: list("peers", wire.peers, Self::MAX_PEERS, |ip| address("ip", &ip))?,
            first: Timestamp(wire.first),
            last: Timestamp(wire.last),
            confidence: confidence(wire.confidence)?,
        })
    }
}

impl From<Alert> for v1::Alert {
    fn from(alert: Alert) -> Self {
        let flows = alert.flows.into_iter().take(Alert::MAX_FLOWS);
        Self {
            id: alert.id.0.to_vec(),
            profile: address_bytes(alert.profile),
            window: alert.window,
            window_start: alert.window_start.0,
            sum: alert.sum,
            threshold: alert.threshold,
            terms: alert
                .terms
                .into_iter()
                .take(limits::TERMS)
                .map(Into::into)
                .collect(),
            flows: flows.map(|id| id.0.to_vec()).collect(),
            peers: alert
                .peers
                .into_iter()
                .take(Alert::MAX_PEERS)
                .map(address_bytes)
                .collect(),
            first: alert.first.0,
            last: alert.last.0,
            confidence: alert.confidence.value(),
            whose: Vec::new(),
            group: alert.group.0.to_vec(),
        }
    }
}

impl TryFrom<v1::Term> for Term {
    type Error = Invalid;

    fn try_from(wire: v1::Term) -> Checked<Self> {
        Ok(Self {
            evidence: evidence_id("evidence_id", &wire.evidence_id)?,
            weight: finite("weight", wire.weight)?,
        })
    }
}

impl From<Term> for v1::Term {
    fn from(term: Term) -> Self {
        Self {
            evidence_id: term.evidence.0.to_vec(),
            weight: term.weight,
        }
    }
}
