//! What a hard region says about claims, and what it means when there is none.

use super::Settings;
use super::cap::Observation;
use super::sphere::LatLon;

/// Pairs of landmarks that are named as proof; all are counted.
const NAMED: usize = 16;

/// A landmark to which a claim is impossible.
#[derive(Clone, Debug, PartialEq)]
pub struct Refutation {
    pub landmark: String,
    pub rtt_ms: f64,
    /// The target is within this distance of the landmark, in km.
    pub within_km: f64,
    /// The claim is at least so far from the landmark, in km.
    pub claimed_km: f64,
}

/// What refutes the claim that the target is within `error_km` of a place: the landmark that does it most clearly.
/// `None`: light permits it, which does not make it true.
#[must_use]
pub fn refute(
    observations: &[Observation],
    claim: LatLon,
    error_km: f64,
    settings: &Settings,
) -> Option<Refutation> {
    let excess = |found: &Refutation| found.claimed_km - found.within_km;
    observations
        .iter()
        .filter_map(|observation| {
            // The shortest distance that the figure of the Earth, the landmark's and the claim's errors leave.
            let far = observation.place.distance_km(claim) * (1.0 - settings.figure_slack);
            let found = Refutation {
                landmark: observation.landmark.clone(),
                rtt_ms: observation.rtt_ms,
                within_km: observation.radius_km(settings),
                claimed_km: far - observation.error_km - error_km.max(0.0),
            };
            (excess(&found) > 0.0).then_some(found)
        })
        .max_by(|a, b| excess(a).total_cmp(&excess(b)))
}

/// Two landmarks that one place cannot serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    pub landmarks: [String; 2],
    /// At least so far apart, in km.
    pub apart_km: f64,
    /// Together they reach so far, in km.
    pub reach_km: f64,
}

/// Why no place fits: several machines answer for the address (anycast), or a clock, a position or a landmark is wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NoPlace {
    /// The clearest first, at most 16. Empty where only three or more together exclude every place.
    pub conflicts: Vec<Conflict>,
    /// All pairs that cannot meet.
    pub conflicting_pairs: usize,
    /// Landmarks whose reaches do not meet one another: at least so many places answer. Found greedily, nearest first.
    pub separate: Vec<String>,
}

pub(super) fn no_place(observations: &[Observation], settings: &Settings) -> NoPlace {
    let mut order: Vec<&Observation> = observations.iter().collect();
    order.sort_by(|a, b| a.rtt_ms.total_cmp(&b.rtt_ms));
    let mut found = NoPlace::default();
    let mut separate: Vec<&Observation> = Vec::new();
    for (index, one) in order.iter().enumerate() {
        for other in &order[index + 1..] {
            let Some(conflict) = conflict(one, other, settings) else {
                continue;
            };
            found.conflicting_pairs += 1;
            let excess = |conflict: &Conflict| conflict.apart_km - conflict.reach_km;
            let at = found
                .conflicts
                .partition_point(|known| excess(known) >= excess(&conflict));
            if at < NAMED {
                found.conflicts.truncate(NAMED - 1);
                found.conflicts.insert(at, conflict);
            }
        }
        if separate
            .iter()
            .all(|kept| conflict(kept, one, settings).is_some())
        {
            separate.push(one);
        }
    }
    found.separate = separate.iter().map(|one| one.landmark.clone()).collect();
    found
}

fn conflict(one: &Observation, other: &Observation, settings: &Settings) -> Option<Conflict> {
    let apart = one.place.distance_km(other.place) * (1.0 - settings.figure_slack);
    let found = Conflict {
        landmarks: [one.landmark.clone(), other.landmark.clone()],
        apart_km: apart - one.error_km - other.error_km,
        reach_km: one.radius_km(settings) + other.radius_km(settings),
    };
    (found.apart_km > found.reach_km).then_some(found)
}
