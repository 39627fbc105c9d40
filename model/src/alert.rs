//! From evidence to alert: accumulation in a window of a profile, as in Slips.
//!
//! * Weight of an evidence = level × confidence. It counts if the level is not info and the attacker stands on the
//!   source side.
//! * An alert is raised when the sum of a window reaches the threshold: 0.25 × window width in minutes by default, 15
//!   for one hour. The alert takes all evidence of the window since the last one and the sum begins at 0 again.
//! * An id counts once. Evidence that grows is a new evidence: a scan at 10, 100 and 1,000 hosts has three ids, and
//!   each adds its weight.
//!
//! Different from Slips: the confidence is clamped and follows the window's width, its constants were tied to one hour;
//! `only_one_tw` uses the threshold of one hour, there it became 41.7 million and no alert ever came.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::evidence::{AttackerSide, Confidence, Evidence, EvidenceId, ThreatLevel};
use crate::flow::CommunityId;
use crate::time::{Timestamp, WindowPlan};
use crate::window::{SensorId, WindowId};

/// UUIDv5 of (sensor, `ALERT`, profile, window start, id of the evidence that crossed the threshold).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AlertId(pub [u8; 16]);

/// The accumulated threat of a profile crossed the threshold in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub id: AlertId,
    /// First alert of the group that it belongs to: alerts of one profile in one window and in windows that follow each
    /// other. Its own id if it is the first. For display and sinks; sums and thresholds know nothing of it.
    pub group: AlertId,
    pub profile: IpAddr,
    /// Number of the window for people.
    pub window: i64,
    pub window_start: Timestamp,
    /// Sum of the terms.
    pub sum: f64,
    pub threshold: f64,
    /// Heaviest first; equal weights in the order of arrival. Evidence of weight 0 (info) that was taken along stands
    /// last.
    pub terms: Vec<Term>,
    /// Flows of the terms, at most [`Alert::MAX_FLOWS`], heaviest term first, each once.
    pub flows: Vec<CommunityId>,
    /// Who else stands in the terms, as attacker or victim: at most [`Alert::MAX_PEERS`], heaviest term first, each once.
    pub peers: Vec<IpAddr>,
    /// Earliest and latest event time of the terms.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Where the sum stands between "very sensitive" (0.08 a minute) and "insensitive" (26/60 a minute), the two ends
    /// that Slips documents: (sum − 4.8) / (26 − 4.8) for one hour, clamped into 0..=1. 0.48 at the default threshold.
    pub confidence: Confidence,
}

impl Alert {
    /// Bound of `flows`.
    pub const MAX_FLOWS: usize = 256;
    /// Bound of `peers`: as many as a reader looks at; the evidence has the others.
    pub const MAX_PEERS: usize = 16;
}

/// What one evidence adds to an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    pub evidence: EvidenceId,
    /// Threat level × confidence.
    pub weight: f64,
}

/// When evidence becomes an alert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertPolicy {
    /// Accumulated threat per minute of window that is too much.
    pub threshold_per_minute: f64,
    /// Width of a window; `None` if all event time is one window, which then counts as one hour.
    pub width: Option<Duration>,
    /// A critical evidence with a confidence of [`Self::HIGH_CONFIDENCE`] or more raises an alert at once.
    pub single_critical: bool,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        Self {
            threshold_per_minute: 0.25,
            width: Some(WindowPlan::DEFAULT_WIDTH),
            single_critical: false,
        }
    }
}

impl AlertPolicy {
    /// From here on a confidence is called high.
    pub const HIGH_CONFIDENCE: f64 = 0.8;

    /// The sum that raises an alert.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold_per_minute * self.minutes()
    }

    /// See [`Alert::confidence`].
    #[must_use]
    pub fn confidence(&self, sum: f64) -> Confidence {
        let hours = self.minutes() / 60.0;
        let (low, high) = (4.8 * hours, 26.0 * hours);
        Confidence::new((sum - low) / (high - low))
    }

    /// What an evidence adds to the sum.
    #[must_use]
    pub fn weight(evidence: &Evidence) -> f64 {
        match evidence.attacker_side {
            AttackerSide::Source => evidence.threat_level.weight() * evidence.confidence.value(),
            AttackerSide::Destination => 0.0,
        }
    }

    fn minutes(&self) -> f64 {
        self.width.unwrap_or(WindowPlan::DEFAULT_WIDTH).as_secs_f64() / 60.0
    }
}

/// Accumulated threat of the windows that are open. Feeding it the same evidence in the same order gives the same
/// alerts, so after a restart the stored evidence of open windows is simply added again.
#[derive(Clone, Debug)]
pub struct Accumulator {
    sensor: SensorId,
    policy: AlertPolicy,
    windows: HashMap<WindowId, Window>,
    refused: u64,
}

#[derive(Clone, Debug, Default)]
struct Window {
    seen: HashSet<EvidenceId>,
    sum: f64,
    waiting: Vec<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    term: Term,
    flows: Vec<CommunityId>,
    /// Attacker and victim, where they are not the profile.
    peers: [Option<IpAddr>; 2],
    first: Timestamp,
    last: Timestamp,
}

impl Accumulator {
    /// Windows that are held: those of the last hours. More are refused and counted.
    pub const MAX_WINDOWS: usize = 65_536;
    /// Ids of a window: one 16-bit port space of scan evidence. More are refused and counted.
    pub const MAX_EVIDENCE: usize = 65_536;
    /// Evidence of a window that waits for an alert. 75 sure lows are one, so only info comes near; more is refused and
    /// counted.
    pub const MAX_WAITING: usize = 4_096;

    /// `sensor`: the sensor, or the group, that the profiles belong to.
    #[must_use]
    pub fn new(sensor: SensorId, policy: AlertPolicy) -> Self {
        Self {
            sensor,
            policy,
            windows: HashMap::new(),
            refused: 0,
        }
    }

    /// Takes an evidence; gives the alert if this one crossed the threshold. An id that was seen adds nothing.
    pub fn add(&mut self, evidence: &Evidence) -> Option<Alert> {
        self.add_weighing(evidence, AlertPolicy::weight(evidence))
    }

    /// [`add`](Self::add) with the weight that the evidence had when it was first said: what a finding grows by later
    /// does not change the sum.
    pub fn add_weighing(&mut self, evidence: &Evidence, weight: f64) -> Option<Alert> {
        let id = WindowId {
            profile: evidence.profile,
            start: evidence.window_start,
        };
        let known = self.windows.contains_key(&id);
        if !known && self.windows.len() >= Self::MAX_WINDOWS {
            self.refused += 1;
            return None;
        }
        let window = self.windows.entry(id).or_default();
        if window.seen.contains(&evidence.id) {
            // The alert shows what is known when it is raised, also if the evidence was added again after a restart.
            let mut waiting = window.waiting.iter_mut();
            if let Some(waiting) = waiting.find(|waiting| waiting.term.evidence == evidence.id) {
                waiting.flows.clone_from(&evidence.flows);
                (waiting.first, waiting.last) = (evidence.first, evidence.last);
            }
            return None;
        }
        if window.seen.len() >= Self::MAX_EVIDENCE || window.waiting.len() >= Self::MAX_WAITING {
            self.refused += 1;
            return None;
        }
        window.seen.insert(evidence.id);
        if evidence.attacker_side == AttackerSide::Destination {
            return None;
        }
        window.sum += weight;
        window.waiting.push(Waiting {
            term: Term {
                evidence: evidence.id,
                weight,
            },
            flows: evidence.flows.clone(),
            peers: [Some(evidence.attacker), evidence.victim]
                .map(|ip| ip.filter(|ip| *ip != evidence.profile)),
            first: evidence.first,
            last: evidence.last,
        });
        let threshold = self.policy.threshold();
        let single = self.policy.single_critical
            && evidence.threat_level == ThreatLevel::Critical
            && evidence.confidence.value() >= AlertPolicy::HIGH_CONFIDENCE;
        // A sum of 75 × 0.2 must reach 15 whatever the rounding of the additions.
        let reached = window.sum >= threshold - 1e-9;
        if weight == 0.0 || !(reached || single) {
            return None;
        }
        let sum = std::mem::take(&mut window.sum);
        let waiting = std::mem::take(&mut window.waiting);
        Some(self.raise(evidence, sum, waiting))
    }

    /// Accumulated threat of a window since its last alert.
    #[must_use]
    pub fn sum(&self, window: WindowId) -> f64 {
        self.windows.get(&window).map_or(0.0, |window| window.sum)
    }

    /// How many evidences of a window were taken, those of the other side included.
    #[must_use]
    pub fn evidence(&self, window: WindowId) -> usize {
        self.windows.get(&window).map_or(0, |window| window.seen.len())
    }

    /// Forgets windows that began before `start`. Evidence that comes for them later begins a sum of its own.
    pub fn forget_before(&mut self, start: Timestamp) {
        self.windows.retain(|id, _| id.start >= start);
    }

    /// Evidence that found no place, see [`Accumulator::MAX_WINDOWS`].
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn raise(&self, last: &Evidence, sum: f64, mut waiting: Vec<Waiting>) -> Alert {
        // Stable: equal weights stay in the order of arrival.
        waiting.sort_by(|a, b| b.term.weight.total_cmp(&a.term.weight));
        let mut flows = Vec::new();
        let mut peers = Vec::new();
        for peer in waiting.iter().flat_map(|waiting| waiting.peers).flatten() {
            if peers.len() < Alert::MAX_PEERS && !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        let mut known = BTreeSet::new();
        for flow in waiting.iter().flat_map(|waiting| &waiting.flows) {
            if flows.len() < Alert::MAX_FLOWS && known.insert(*flow) {
                flows.push(*flow);
            }
        }
        let window = WindowId {
            profile: last.profile,
            start: last.window_start,
        };
        let id = AlertId::new(self.sensor, window, last.id);
        Alert {
            id,
            group: id,
            profile: last.profile,
            window: last.window,
            window_start: last.window_start,
            sum,
            threshold: self.policy.threshold(),
            terms: waiting.iter().map(|waiting| waiting.term).collect(),
            flows,
            peers,
            first: waiting
                .iter()
                .map(|waiting| waiting.first)
                .min()
                .unwrap_or(last.first),
            last: waiting
                .iter()
                .map(|waiting| waiting.last)
                .max()
                .unwrap_or(last.last),
            confidence: self.policy.confidence(sum),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{EvidenceType, Explanation};

    fn evidence(number: u16, level: ThreatLevel, confidence: f64) -> Evidence {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let mut flow = [0; 20];
        flow[..2].copy_from_slice(&number.to_be_bytes());
        Evidence {
            id: EvidenceId(id),
            kind: EvidenceType::LongConnection,
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
            confidence: Confidence::new(confidence),
            description: String::new(),
            explanation: Explanation::default(),
            flows: vec![CommunityId(flow)],
            first: Timestamp(i64::from(number)),
            last: Timestamp(i64::from(number) + 1),
        }
    }

    fn window() -> WindowId {
        WindowId {
            profile: IpAddr::from([10, 0, 0, 1]),
            start: Timestamp(0),
        }
    }

    fn accumulator(policy: AlertPolicy) -> Accumulator {
        Accumulator::new(SensorId([7; 16]), policy)
    }

    /// How many evidences of a kind it takes for the first alert.
    fn needed(policy: AlertPolicy, level: ThreatLevel) -> Option<u16> {
        let mut accumulator = accumulator(policy);
        (1..200).find(|number| accumulator.add(&evidence(*number, level, 1.0)).is_some())
    }

    /// `slips.md` §12: per hour 15 sure criticals, 19 highs, 30 mediums or 75 lows.
    #[test]
    fn numbers_of_one_hour() {
        let policy = AlertPolicy::default();
        assert_eq!(needed(policy, ThreatLevel::Critical), Some(15));
        assert_eq!(needed(policy, ThreatLevel::High), Some(19));
        assert_eq!(needed(policy, ThreatLevel::Medium), Some(30));
        assert_eq!(needed(policy, ThreatLevel::Low), Some(75));
        assert_eq!(needed(policy, ThreatLevel::Info), None);
    }

    #[test]
    fn threshold_follows_the_width_and_one_window_counts_as_an_hour() {
        let minute = AlertPolicy {
            width: Some(Duration::from_secs(60)),
            ..AlertPolicy::default()
        };
        let all = AlertPolicy {
            width: None,
            ..AlertPolicy::default()
        };
        assert_eq!(minute.threshold(), 0.25);
        assert_eq!(all.threshold(), 15.0);
        assert_eq!(needed(minute, ThreatLevel::Low), Some(2));
    }

    /// Measured on Slips: 0.5 · 0.5 + 0.2 · 0.02 = 0.254.
    #[test]
    fn measured_sum() {
        let mut accumulator = accumulator(AlertPolicy::default());
        accumulator.add(&evidence(1, ThreatLevel::Medium, 0.5));
        accumulator.add(&evidence(2, ThreatLevel::Low, 0.02));
        assert!((accumulator.sum(window()) - 0.254).abs() < 1e-12);
    }

    #[test]
    fn the_other_side_and_repeated_ids_do_not_count() {
        let mut accumulator = accumulator(AlertPolicy::default());
        let mut other = evidence(1, ThreatLevel::Critical, 1.0);
        other.attacker_side = AttackerSide::Destination;
        accumulator.add(&other);
        accumulator.add(&evidence(2, ThreatLevel::Critical, 1.0));
        accumulator.add(&evidence(2, ThreatLevel::Critical, 1.0));
        assert_eq!(accumulator.sum(window()), 1.0);
    }

    #[test]
    fn an_alert_takes_all_and_begins_anew() {
        let mut accumulator = accumulator(AlertPolicy::default());
        accumulator.add(&evidence(1, ThreatLevel::Info, 1.0));
        accumulator.add(&evidence(2, ThreatLevel::Medium, 1.0));
        let alert = (3..100)
            .find_map(|n| accumulator.add(&evidence(n, ThreatLevel::High, 1.0)))
            .unwrap();
        assert_eq!(alert.terms.len(), 21);
        assert!((alert.sum - (0.5 + 19.0 * 0.8)).abs() < 1e-9);
        let weights: Vec<f64> = alert.terms.iter().map(|term| term.weight).collect();
        assert!(weights.is_sorted_by(|a, b| a >= b));
        assert_eq!(weights[20], 0.0);
        assert_eq!((alert.first, alert.last), (Timestamp(1), Timestamp(22)));
        assert_eq!(alert.flows.len(), 21);
        assert_eq!(accumulator.sum(window()), 0.0);
        assert!(
            accumulator.add(&evidence(5, ThreatLevel::High, 1.0)).is_none(),
            "an id counts once, also later"
        );
        assert_eq!(accumulator.sum(window()), 0.0);
    }

    #[test]
    fn an_alert_names_the_other_sides_heaviest_first_and_each_once() {
        let mut accumulator = accumulator(AlertPolicy::default());
        let ip = |last| IpAddr::from([192, 0, 2, last]);
        let with = |number: u16, level, attacker, victim| Evidence {
            attacker,
            victim,
            ..evidence(number, level, 1.0)
        };
        let own = IpAddr::from([10, 0, 0, 1]);
        accumulator.add(&with(1, ThreatLevel::Low, own, Some(ip(1))));
        accumulator.add(&with(2, ThreatLevel::Critical, ip(2), Some(own)));
        accumulator.add(&with(3, ThreatLevel::Critical, own, Some(ip(2))));
        let alert = (4..200)
            .find_map(|n| {
                let victim = ip((n % 60) as u8 + 3);
                accumulator.add(&with(n, ThreatLevel::Medium, own, Some(victim)))
            })
            .unwrap();
        assert_eq!(alert.peers[..2], [ip(2), ip(7)]);
        assert_eq!(alert.peers.len(), Alert::MAX_PEERS);
        assert!(!alert.peers.contains(&own));
    }

    #[test]
    fn confidence_is_clamped_and_scales() {
        let hour = AlertPolicy::default();
        assert!((hour.confidence(15.0).value() - 10.2 / 21.2).abs() < 1e-12);
        assert_eq!(hour.confidence(1000.0).value(), 1.0);
        let minute = AlertPolicy {
            width: Some(Duration::from_secs(60)),
            ..hour
        };
        assert!((minute.confidence(0.25).value() - 10.2 / 21.2).abs() < 1e-12);
    }

    #[test]
    fn a_single_critical_only_where_it_is_asked_for() {
        let policy = AlertPolicy {
            single_critical: true,
            ..AlertPolicy::default()
        };
        assert_eq!(needed(policy, ThreatLevel::Critical), Some(1));
        assert_eq!(needed(policy, ThreatLevel::High), Some(19));
        let mut accumulator = accumulator(policy);
        assert!(
            accumulator
                .add(&evidence(1, ThreatLevel::Critical, 0.79))
                .is_none()
        );
        assert!(
            accumulator
                .add(&evidence(2, ThreatLevel::Critical, 0.8))
                .is_some()
        );
    }

    #[test]
    fn a_replay_gives_the_same_alerts() {
        let run = || {
            let mut accumulator = accumulator(AlertPolicy::default());
            (1..200)
                .filter_map(|n| accumulator.add(&evidence(n, ThreatLevel::High, 0.9)))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().len() > 5);
    }
}
