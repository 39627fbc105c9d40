//! Evidence that the whitelist leaves out, by all that is known of its two sides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_detect::context::Knowledge as _;
use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{AttackerSide, Evidence};
use lynceus_model::flow::FlowUpdate;
use lynceus_model::names::Names;
use lynceus_model::whitelist::{Act, Party};

use crate::knowledge::Facts;

/// Addresses with a known card or fingerprint; beyond it all are forgotten and learnt anew.
const MAX_KNOWN: usize = 65_536;

pub(super) struct LeftOut {
    facts: Arc<Facts>,
    names: Names,
    cards: HashMap<IpAddr, [u8; 6]>,
    fingerprints: HashMap<IpAddr, String>,
    count: u64,
}

impl LeftOut {
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        Self {
            facts,
            names: Names::default(),
            cards: HashMap::new(),
            fingerprints: HashMap::new(),
            count: 0,
        }
    }

    /// Names, cards and fingerprints of addresses.
    pub(super) fn learn(&mut self, apps: &[AppRecord], flows: &[FlowUpdate]) {
        for record in apps {
            self.names.learn(record);
            match &record.event {
                AppEvent::Arp(arp) => put(&mut self.cards, arp.sender, arp.sender_mac),
                AppEvent::TlsClient(hello) => {
                    put(
                        &mut self.fingerprints,
                        record.tuple.originator.ip,
                        hello.ja4.clone(),
                    );
                }
                _ => {}
            }
        }
        for update in flows {
            let Some(reported) = &update.flow.reported else {
                continue;
            };
            let tuple = &update.flow.tuple;
            for (ip, mac) in [
                (tuple.originator.ip, reported.originator_mac),
                (tuple.responder.ip, reported.responder_mac),
            ] {
                if let Some(mac) = mac {
                    put(&mut self.cards, ip, mac);
                }
            }
        }
    }

    /// Whether this is not to be raised; counted.
    pub(super) fn leaves_out(&mut self, evidence: &Evidence) -> bool {
        let whitelist = self.facts.whitelist();
        if whitelist.is_empty() {
            return false;
        }
        // The profile's own side is the source, unless it stands as attacker on the destination's side.
        let (source, destination) = match evidence.attacker_side {
            AttackerSide::Source => (Some(evidence.attacker), evidence.victim),
            AttackerSide::Destination => (evidence.victim, Some(evidence.attacker)),
        };
        let (source_names, mut destination_names) = (self.names_of(source), self.names_of(destination));
        destination_names.extend(evidence.subject.as_deref());
        let source = Party {
            port: None,
            names: &source_names,
            ..self.party(source)
        };
        let destination = Party {
            port: evidence.dst_port,
            names: &destination_names,
            ja4: None,
            ..self.party(destination)
        };
        let Some(entry) = whitelist.matches(Act::Evidence, &source, &destination) else {
            return false;
        };
        tracing::debug!(line = entry.line, kind = evidence.kind.name(), profile = %evidence.profile, "whitelisted");
        self.count += 1;
        true
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    fn names_of(&self, ip: Option<IpAddr>) -> Vec<&str> {
        ip.map_or(&[][..], |ip| self.names.of(ip))
            .iter()
            .map(String::as_str)
            .collect()
    }

    fn party(&self, ip: Option<IpAddr>) -> Party<'_> {
        let system = ip.and_then(|ip| self.facts.autonomous_system(ip));
        Party {
            ip,
            port: None,
            mac: ip.and_then(|ip| self.cards.get(&ip).copied()),
            names: &[],
            ja4: ip.and_then(|ip| self.fingerprints.get(&ip)).map(String::as_str),
            autonomous_system: system.map(|system| system.number),
        }
    }
}

fn put<T>(map: &mut HashMap<IpAddr, T>, ip: IpAddr, value: T) {
    if map.len() >= MAX_KNOWN && !map.contains_key(&ip) {
        map.clear();
    }
    map.insert(ip, value);
}

#[cfg(test)]
mod tests {
    use lynceus_model::app::{Dns, DnsAnswer, DnsData};
    use lynceus_model::evidence::{Confidence, EvidenceId, EvidenceType, Explanation, ThreatLevel};
    use lynceus_model::flow::{Endpoint, FiveTuple};
    use lynceus_model::time::Timestamp;
    use lynceus_model::whitelist::Whitelist;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn evidence(side: AttackerSide, attacker: &str, victim: &str) -> Evidence {
        Evidence {
            id: EvidenceId([0; 16]),
            kind: EvidenceType::DataUpload,
            profile: ip(attacker),
            window_start: Timestamp(0),
            window: 1,
            attacker: ip(attacker),
            attacker_side: side,
            victim: Some(ip(victim)),
            subject: None,
            dst_port: Some(443),
            protocol: Some(6),
            threat_level: ThreatLevel::High,
            confidence: Confidence::new(1.0),
            description: String::new(),
            explanation: Explanation::default(),
            flows: Vec::new(),
            first: Timestamp(0),
            last: Timestamp(0),
            revision: 0,
            account: None,
            related: Vec::new(),
            accumulated: None,
            src_port: None,
        }
    }

    fn answer(name: &str, address: &str) -> AppRecord {
        let end = |ip| Endpoint { ip, port: 53 };
        AppRecord {
            time: Timestamp(0),
            tuple: FiveTuple {
                originator: end(ip("10.0.0.1")),
                responder: end(ip("10.0.0.53")),
                protocol: 17,
            },
            community_id: None,
            from_responder: true,
            event: AppEvent::Dns(Dns {
                response: true,
                name: name.to_owned(),
                answers: vec![DnsAnswer {
                    record_type: 1,
                    ttl: 60,
                    data: DnsData::Address(ip(address)),
                }],
                ..Dns::default()
            }),
        }
    }

    #[test]
    fn names_from_the_traffic_and_sides_decide() {
        let facts = Arc::new(Facts::default());
        let (list, bad) = Whitelist::parse("domain,backup.example,dst,alerts\nip,192.0.2.99,src,alerts");
        assert!(bad.is_empty());
        facts.set_whitelist(list);
        let mut left_out = LeftOut::new(facts);
        let upload = evidence(AttackerSide::Source, "10.0.0.1", "192.0.2.7");
        assert!(!left_out.leaves_out(&upload), "nobody said yet what 192.0.2.7 is");
        left_out.learn(&[answer("s3.backup.example", "192.0.2.7")], &[]);
        assert!(left_out.leaves_out(&upload));
        // The same finding in the receiver's profile: the receiver still is the destination.
        assert!(left_out.leaves_out(&evidence(AttackerSide::Destination, "192.0.2.7", "10.0.0.1")));
        assert!(!left_out.leaves_out(&evidence(AttackerSide::Source, "192.0.2.7", "10.0.0.1")));
        assert!(left_out.leaves_out(&evidence(AttackerSide::Source, "192.0.2.99", "10.0.0.1")));
        assert_eq!(left_out.count(), 3);
    }
}
