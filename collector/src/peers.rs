//! Whose the addresses of findings are: the short dossiers that every evidence and alert carries, in JSON, over gRPC and in
//! the formats of others. By the program's tables alone, so nobody waits, and the same finding has the same peers.

use lynceus_enrich::offline::short::Short;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_proto::v1;
use serde_json::{Value, json};

/// Profile, attacker and victim, each once.
pub(crate) fn of_evidence(evidence: &Evidence) -> Vec<Short> {
    let mut ips = vec![evidence.profile];
    for ip in [Some(evidence.attacker), evidence.victim].into_iter().flatten() {
        if !ips.contains(&ip) {
            ips.push(ip);
        }
    }
    ips.into_iter().map(Short::of).collect()
}

/// The profile, then attackers and victims of the terms.
pub(crate) fn of_alert(alert: &Alert) -> Vec<Short> {
    let all = std::iter::once(alert.profile).chain(alert.peers.iter().copied());
    all.map(Short::of).collect()
}

/// An evidence for who asks over gRPC.
pub(crate) fn evidence_to_wire(evidence: Evidence) -> v1::Evidence {
    let whose = of_evidence(&evidence).iter().map(to_wire).collect();
    v1::Evidence {
        whose,
        ..evidence.into()
    }
}

/// An alert for who asks over gRPC.
pub(crate) fn alert_to_wire(alert: Alert) -> v1::Alert {
    let whose = of_alert(&alert).iter().map(to_wire).collect();
    v1::Alert {
        whose,
        ..alert.into()
    }
}

fn to_wire(short: &Short) -> v1::Peer {
    v1::Peer {
        ip: crate::rows::address_bytes(short.ip),
        category: short.category.name().to_owned(),
        country: short.country.map(|code| code.text().to_owned()),
        country_agree: short.agree,
        asn: short.asn,
        organization: short.organization.map(str::to_owned),
    }
}

/// As in [`crate::json`], for formats that have no fields of their own for it.
pub(crate) fn to_json(short: &Short) -> Value {
    json!({
        "ip": short.ip,
        "category": short.category.name(),
        "country": short.country.as_ref().map(|code| code.text()),
        "country_agree": short.agree,
        "asn": short.asn,
        "organization": short.organization,
    })
}

/// `8.8.8.8: US, AS15169 Google LLC`, of the public ones.
pub(crate) fn in_words(peers: &[Short]) -> String {
    let public = peers.iter().filter(|short| short.is_routable());
    let words: Vec<String> = public.map(|short| format!("{}: {short}", short.ip)).collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tests::{alert, evidence};

    #[test]
    fn every_answer_says_whose_its_addresses_are() {
        let mut found = evidence(1);
        found.victim = Some("8.8.8.8".parse().unwrap());
        let wire = evidence_to_wire(found.clone());
        let whose = |ip: &[u8]| wire.whose.iter().find(|peer| peer.ip == ip).unwrap().clone();
        let google = whose(&[8, 8, 8, 8]);
        assert_eq!(
            (google.asn, google.country.as_deref(), google.country_agree),
            (Some(15169), Some("US"), Some(true))
        );
        let own = whose(&[10, 0, 0, 1]);
        assert_eq!(
            (own.category.as_str(), own.asn, own.country),
            ("private", None, None)
        );
        assert_eq!(
            Evidence::try_from(wire).unwrap(),
            found,
            "what is looked up is no part of the finding"
        );
        let alert = alert();
        let wire = alert_to_wire(alert.clone());
        assert_eq!(wire.whose.len(), 1 + alert.peers.len());
        assert_eq!(Alert::try_from(wire).unwrap(), alert);
    }

    #[test]
    fn words_name_public_addresses_only() {
        let mut found = evidence(1);
        found.victim = Some("8.8.8.8".parse().unwrap());
        assert_eq!(in_words(&of_evidence(&found)), "8.8.8.8: US, AS15169 Google LLC");
    }
}
