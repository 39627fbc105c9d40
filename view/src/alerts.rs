//! Alerts for a reader: those that belong together as one, and of what is behind them the heaviest first.

use std::collections::HashMap;

use lynceus_model::alert::{Alert, AlertId};
use lynceus_model::evidence::{Evidence, EvidenceId, EvidenceType};

/// Alerts of one profile in one window and in windows that follow each other, as far as they are known.
#[derive(Clone, Debug)]
pub struct AlertGroup<'a> {
    /// In order of time; never empty.
    pub alerts: Vec<&'a Alert>,
}

impl AlertGroup<'_> {
    /// All that the alerts took.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.alerts.iter().map(|alert| alert.sum).sum()
    }
}

/// Alerts by the group that they were given when they were raised, in the order of the first alert of each. Each alert
/// stands in one group; the order of `alerts` does not matter.
#[must_use]
pub fn groups(alerts: &[Alert]) -> Vec<AlertGroup<'_>> {
    let mut order: Vec<&Alert> = alerts.iter().collect();
    order.sort_by_key(|alert| (alert.last, alert.profile, alert.id));
    let mut groups: Vec<AlertGroup<'_>> = Vec::new();
    let mut places: HashMap<AlertId, usize> = HashMap::new();
    for alert in order {
        let place = *places.entry(alert.group).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.alerts.push(alert),
            None => groups.push(AlertGroup { alerts: vec![alert] }),
        }
    }
    groups
}

/// What the evidence of one type adds to the sum of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// `None`: the evidence is not kept any more.
    pub kind: Option<EvidenceType>,
    pub terms: usize,
    pub weight: f64,
}

/// The terms of an alert by type, the heaviest first; what adds nothing is left out. `find`: evidence by its id.
pub fn shares<'a>(alert: &Alert, find: impl Fn(EvidenceId) -> Option<&'a Evidence>) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for term in alert.terms.iter().filter(|term| term.weight > 0.0) {
        let kind = find(term.evidence).map(|found| found.kind);
        match shares.iter_mut().find(|share| share.kind == kind) {
            Some(share) => {
                share.terms += 1;
                share.weight += term.weight;
            }
            None => shares.push(Share {
                kind,
                terms: 1,
                weight: term.weight,
            }),
        }
    }
    shares.sort_by(|a, b| {
        let names = kind_words(a.kind).cmp(&kind_words(b.kind));
        b.weight.total_cmp(&a.weight).then(names)
    });
    shares
}

/// The heaviest evidence of each type, the heaviest type first, at most `most`: what a reader should see the numbers of.
pub fn heaviest<'a>(
    alert: &Alert,
    find: impl Fn(EvidenceId) -> Option<&'a Evidence>,
    most: usize,
) -> Vec<&'a Evidence> {
    let shares = shares(alert, &find);
    let kinds = shares.iter().filter_map(|share| share.kind).take(most);
    // Terms stand heaviest first.
    let of = |kind| {
        let mut found = alert.terms.iter().filter_map(|term| find(term.evidence));
        found.find(|found| found.kind == kind)
    };
    kinds.filter_map(of).collect()
}

/// Says of an alert that it is not the first of its group.
#[must_use]
pub fn again(alert: &Alert) -> &'static str {
    if alert.group == alert.id {
        ""
    } else {
        ", related to an earlier alert"
    }
}

/// `horizontal port scan`
#[must_use]
pub fn kind_words(kind: Option<EvidenceType>) -> String {
    kind.map_or_else(
        || "expired evidence".to_owned(),
        |kind| kind.name().to_lowercase().replace('_', " "),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use lynceus_model::alert::{Accumulator, AlertPolicy};
    use lynceus_model::evidence::{AttackerSide, Confidence, Explanation, ThreatLevel};
    use lynceus_model::time::Timestamp;
    use lynceus_model::window::SensorId;
    use proptest::prelude::*;

    use super::*;

    fn evidence(number: u8, kind: EvidenceType, level: ThreatLevel) -> Evidence {
        Evidence {
            id: EvidenceId([number; 16]),
            kind,
            profile: IpAddr::from([10, 0, 0, 1]),
            window_start: Timestamp(0),
            window: 1,
            attacker: IpAddr::from([10, 0, 0, 1]),
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
            threat_level: level,
            confidence: Confidence::new(1.0),
            description: String::new(),
            explanation: Explanation::default(),
            flows: Vec::new(),
            first: Timestamp(0),
            last: Timestamp(i64::from(number)),
        }
    }

    /// An alert over this evidence.
    fn alert(evidence: &[Evidence]) -> Alert {
        let sum: f64 = evidence.iter().map(AlertPolicy::weight).sum();
        let policy = AlertPolicy {
            threshold_per_minute: sum / 60.0,
            ..AlertPolicy::default()
        };
        let mut accumulator = Accumulator::new(SensorId([1; 16]), policy);
        let alerts = evidence.iter().filter_map(|found| accumulator.add(found));
        alerts.last().expect("the sum is the threshold")
    }

    fn one() -> Alert {
        alert(&[evidence(1, EvidenceType::LongConnection, ThreatLevel::High)])
    }

    proptest! {
        #[test]
        fn each_alert_stands_in_one_group_whatever_the_order(
            keys in prop::collection::vec((0_u8..5, 0_i64..4), 0..24),
            turn in 0_usize..24,
        ) {
            let mut alerts: Vec<Alert> = Vec::new();
            for (place, (group, last)) in keys.iter().enumerate() {
                alerts.push(Alert {
                    id: AlertId([place as u8; 16]),
                    group: AlertId([*group; 16]),
                    last: Timestamp(*last),
                    ..one()
                });
            }
            let ids = |alerts: &[Alert]| -> Vec<Vec<AlertId>> {
                let groups = groups(alerts);
                groups.iter().map(|group| group.alerts.iter().map(|alert| alert.id).collect()).collect()
            };
            let found = ids(&alerts);
            let all: BTreeSet<AlertId> = found.iter().flatten().copied().collect();
            prop_assert_eq!(all.len(), alerts.len());
            prop_assert_eq!(found.iter().flatten().count(), alerts.len());
            let known: BTreeSet<AlertId> = alerts.iter().map(|alert| alert.group).collect();
            prop_assert_eq!(found.len(), known.len());
            for group in groups(&alerts) {
                prop_assert!(group.alerts.iter().all(|alert| alert.group == group.alerts[0].group));
                prop_assert!(group.alerts.is_sorted_by_key(|alert| alert.last));
            }
            let middle = turn.min(alerts.len());
            alerts.rotate_left(middle);
            prop_assert_eq!(ids(&alerts), found.clone());
            alerts.reverse();
            prop_assert_eq!(ids(&alerts), found);
        }
    }

    #[test]
    fn types_stand_by_what_they_add_together() {
        let all = [
            evidence(1, EvidenceType::LongConnection, ThreatLevel::High),
            evidence(2, EvidenceType::UnknownPort, ThreatLevel::Medium),
            evidence(3, EvidenceType::UnknownPort, ThreatLevel::Medium),
            evidence(4, EvidenceType::HttpTraffic, ThreatLevel::Info),
            evidence(5, EvidenceType::Beaconing, ThreatLevel::Low),
        ];
        let alert = alert(&all);
        // The last one has expired.
        let find = |id| all[..4].iter().find(|found| found.id == id);
        let told: Vec<(String, usize)> = shares(&alert, find)
            .iter()
            .map(|share| (kind_words(share.kind), share.terms))
            .collect();
        let expected = [
            ("unknown port", 2),
            ("long connection", 1),
            ("expired evidence", 1),
        ];
        assert_eq!(told, expected.map(|(kind, terms)| (kind.to_owned(), terms)));
        let first: Vec<u8> = heaviest(&alert, find, 3)
            .iter()
            .map(|found| found.id.0[0])
            .collect();
        assert_eq!(first, [2, 1]);
        assert_eq!(heaviest(&alert, find, 1).len(), 1);
    }
}
