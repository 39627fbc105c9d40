//! Putting an evidence together.

use std::borrow::Cow;
use std::net::IpAddr;

use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, Feature, ThreatLevel,
};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_model::words::count;

use crate::ProfileUpdate;
use crate::tally::Tally;

/// An evidence about the update's profile as attacker on the source side; the caller fills in what differs.
pub(crate) fn evidence(update: &ProfileUpdate<'_>, kind: EvidenceType, key: &str) -> Evidence {
    let window = update.profile.window;
    Evidence {
        id: EvidenceId::new(update.sensor, kind, window, key),
        kind,
        profile: window.profile,
        window_start: window.start,
        window: update.number,
        attacker: window.profile,
        attacker_side: AttackerSide::Source,
        victim: None,
        subject: None,
        revision: 0,
        account: None,
        related: Vec::new(),
        accumulated: None,
        src_port: None,
        dst_port: None,
        protocol: None,
        threat_level: ThreatLevel::Info,
        confidence: Confidence::new(1.0),
        description: String::new(),
        explanation: Explanation::default(),
        flows: Vec::new(),
        first: window.start,
        last: window.start,
    }
}

/// A finding that grows, as it stands now.
pub(crate) fn grown<D>(
    update: &ProfileUpdate<'_>,
    kind: EvidenceType,
    key: &str,
    tally: &Tally<D>,
) -> Evidence {
    Evidence {
        revision: tally.revision(),
        src_port: tally.client_port(),
        flows: tally.flows.clone(),
        first: tally.first,
        last: tally.last,
        ..evidence(update, kind, key)
    }
}

/// Moves a finding into the profile of another address that it is about, in the window of the same time.
pub(crate) fn moved_to(
    evidence: Evidence,
    update: &ProfileUpdate<'_>,
    profile: IpAddr,
    key: &str,
) -> Evidence {
    let window = WindowId {
        profile,
        start: evidence.window_start,
    };
    Evidence {
        id: EvidenceId::new(update.sensor, evidence.kind, window, key),
        profile,
        attacker: profile,
        ..evidence
    }
}

/// The same finding in the profile of the other side, which stands as attacker on the destination side.
pub(crate) fn mirrored(
    evidence: &Evidence,
    update: &ProfileUpdate<'_>,
    other: IpAddr,
    key: &str,
    level: ThreatLevel,
) -> Evidence {
    let window = WindowId {
        profile: other,
        start: update.profile.window.start,
    };
    Evidence {
        id: EvidenceId::new(update.sensor, evidence.kind, window, key),
        profile: other,
        attacker: other,
        attacker_side: AttackerSide::Destination,
        victim: Some(update.profile.window.profile),
        threat_level: level,
        ..evidence.clone()
    }
}

/// An evidence and its mirror image in the profile of the other side, each naming the other.
pub(crate) fn pair(
    mut evidence: Evidence,
    update: &ProfileUpdate<'_>,
    other: IpAddr,
    key: &str,
    level: ThreatLevel,
) -> [Evidence; 2] {
    let key = format!("from/{}/{key}", evidence.profile);
    let mut mirror = mirrored(&evidence, update, other, &key, level);
    mirror.related = vec![evidence.id];
    evidence.related = vec![mirror.id];
    [evidence, mirror]
}

pub(crate) fn feature(name: &'static str, value: f64, unit: &'static str) -> Feature {
    Feature {
        name: Cow::Borrowed(name),
        value,
        unit: Cow::Borrowed(unit),
        baseline: None,
        threshold: None,
        surprisal: None,
        own: None,
    }
}

pub(crate) trait With {
    fn baseline(self, value: Option<f64>) -> Self;
    fn threshold(self, value: f64) -> Self;
}

impl With for Feature {
    fn baseline(mut self, value: Option<f64>) -> Self {
        self.baseline = value;
        self
    }

    fn threshold(mut self, value: f64) -> Self {
        self.threshold = Some(value);
        self
    }
}

/// Keeps each flow once, at most [`Evidence::MAX_FLOWS`], in the order given.
pub(crate) fn samples(ids: impl IntoIterator<Item = CommunityId>) -> Vec<CommunityId> {
    let mut flows: Vec<CommunityId> = Vec::new();
    for id in ids {
        if flows.len() == Evidence::MAX_FLOWS {
            break;
        }
        if !flows.contains(&id) {
            flows.push(id);
        }
    }
    flows
}

/// Earliest and latest of some times, or the begin of the window.
pub(crate) fn span(
    update: &ProfileUpdate<'_>,
    times: impl Iterator<Item = Timestamp> + Clone,
) -> (Timestamp, Timestamp) {
    let start = update.profile.window.start;
    (times.clone().min().unwrap_or(start), times.max().unwrap_or(start))
}

/// `once`, `7 times`.
pub(crate) fn times(number: u64) -> Cow<'static, str> {
    match number {
        1 => Cow::Borrowed("once"),
        many => Cow::Owned(format!("{} times", count(many))),
    }
}

/// What ends a sentence after `last`: names of companies may bring their own (`Apple, Inc.`).
pub(crate) fn full_stop(last: &str) -> &'static str {
    if last.ends_with('.') { "" } else { "." }
}

/// As link-layer addresses are written.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// What to say before a number of flows: some did not travel, so there may be more.
pub(crate) const fn at_least(update: &ProfileUpdate<'_>) -> &'static str {
    if update.profile.not_carried.flows > 0 {
        "at least "
    } else {
        ""
    }
}

/// The same before a number of messages.
pub(crate) const fn at_least_apps(update: &ProfileUpdate<'_>) -> &'static str {
    if update.profile.not_carried.apps > 0 {
        "at least "
    } else {
        ""
    }
}

/// `tcp`, `udp`, or the number.
pub(crate) fn protocol_name(protocol: u8) -> Cow<'static, str> {
    match protocol {
        1 => Cow::Borrowed("icmp"),
        6 => Cow::Borrowed("tcp"),
        17 => Cow::Borrowed("udp"),
        58 => Cow::Borrowed("icmpv6"),
        132 => Cow::Borrowed("sctp"),
        number => Cow::Owned(format!("protocol {number}")),
    }
}

/// Not on the Internet: private use, shared address space, unique local.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || a == 100 && (64..128).contains(&b)
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_in_one_full_stop() {
        assert_eq!(full_stop("Apple, Inc."), "");
        assert_eq!(full_stop("Intel Corporate"), ".");
    }

    #[test]
    fn times_have_separators() {
        assert_eq!(times(1), "once");
        assert_eq!(times(2_177), "2,177 times");
    }
}
