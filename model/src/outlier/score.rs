//! The score of a window and its account.

use super::{COUNT, FEATURES, Past, Reference, Surprise, Values};

/// Terms that make the score. A sum over all features would drown the one or two that tell something.
pub const STRONGEST: usize = 3;

/// Windows of its own after which a profile's past weighs half as much as it does in the end.
const OWN_HALF: f64 = 8.0;

/// What one feature adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// Place in [`FEATURES`].
    pub feature: usize,
    pub value: f64,
    /// Against the peers.
    pub peers: Surprise,
    /// Against its own past; `None` without one.
    pub own: Option<Surprise>,
    /// Both together: (1 − w) · peers + w · own with w = ½ · n / (n + 8) for n own windows. A profile that was always
    /// unlike its peers is less of an outlier for being so, but its own past never decides alone.
    pub nats: f64,
}

/// Why a window scores as it does: its terms, strongest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Of all features that have a value. Equal ones in the order of [`FEATURES`].
    pub terms: Vec<Term>,
    /// The sum of the first [`STRONGEST`] of `terms`, exactly.
    pub score: f64,
}

/// All that a window is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Scorer<'a> {
    /// One for each of [`FEATURES`], of the peers.
    pub peers: &'a [Reference],
    pub own: Option<&'a Past>,
}

impl Scorer<'_> {
    /// The term of one feature.
    #[must_use]
    pub fn term(&self, feature: usize, value: f64) -> Term {
        let peers = self.peers.get(feature).map_or(
            Surprise {
                nats: 0.0,
                high: true,
                extrapolated: false,
            },
            |reference| reference.surprise(value),
        );
        let summary = self.own.and_then(|own| own.summary(feature));
        let own = summary.map(|summary| summary.surprise(feature, value));
        let weight = summary.map_or(0.0, |summary| own_weight(summary.count));
        Term {
            feature,
            value,
            peers,
            own,
            nats: own.map_or(peers.nats, |own| (1.0 - weight) * peers.nats + weight * own.nats),
        }
    }

    /// The account of a window.
    #[must_use]
    pub fn account(&self, values: &Values) -> Account {
        let mut terms = Vec::with_capacity(COUNT);
        terms.extend(values.present().map(|(feature, value)| self.term(feature, value)));
        // No two terms are equal in both, so that the order is one.
        terms.sort_unstable_by(|a: &Term, b| b.nats.total_cmp(&a.nats).then(a.feature.cmp(&b.feature)));
        Account {
            score: sum_of_strongest(&terms),
            terms,
        }
    }

    /// Only the score, without the account: no allocation.
    #[must_use]
    pub fn score(&self, values: &Values) -> f64 {
        let mut strongest = [0.0; STRONGEST];
        for (feature, value) in values.present() {
            insert(&mut strongest, self.term(feature, value).nats);
        }
        strongest.iter().sum()
    }
}

impl Account {
    /// The terms that make the score.
    #[must_use]
    pub fn strongest(&self) -> &[Term] {
        &self.terms[..self.terms.len().min(STRONGEST)]
    }

    /// Share of the score that a term makes, 0 to 1.
    #[must_use]
    pub fn share(&self, term: &Term) -> f64 {
        if self.score > 0.0 {
            term.nats / self.score
        } else {
            0.0
        }
    }

    /// Surprisals of all features as one direction, of length 1: alike for windows that are odd for the same reasons,
    /// however odd. All zero where nothing is odd.
    #[must_use]
    pub fn direction(&self) -> [f32; COUNT] {
        direction(self.terms.iter().map(|term| (term.feature, term.nats)))
    }
}

/// [`Account::direction`] of features with their surprisals.
#[must_use]
pub fn direction(terms: impl IntoIterator<Item = (usize, f64)>) -> [f32; COUNT] {
    let mut direction = [0.0_f32; COUNT];
    for (feature, nats) in terms {
        if let Some(place) = direction.get_mut(feature) {
            *place = (nats - ORDINARY).max(0.0) as f32;
        }
    }
    normalize(&mut direction);
    direction
}

/// Nats that any feature of an ordinary window may have: 1 in 20.
const ORDINARY: f64 = 3.0;

/// Scales to length 1, in double precision so that it is the same everywhere; zero stays zero.
pub(super) fn normalize(direction: &mut [f32; COUNT]) {
    let length: f64 = direction
        .iter()
        .map(|x| f64::from(*x) * f64::from(*x))
        .sum::<f64>()
        .sqrt();
    if length > 0.0 {
        for x in direction {
            *x = (f64::from(*x) / length) as f32;
        }
    }
}

/// Cosine of two directions.
#[must_use]
pub fn likeness(a: &[f32; COUNT], b: &[f32; COUNT]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

impl Term {
    /// Name of the feature.
    #[must_use]
    pub fn name(&self) -> &'static str {
        FEATURES[self.feature].name
    }
}

/// What the past of a profile counts for, with so many windows: 0 to ½.
fn own_weight(count: u16) -> f64 {
    let count = f64::from(count);
    0.5 * count / (count + OWN_HALF)
}

fn sum_of_strongest(terms: &[Term]) -> f64 {
    terms.iter().take(STRONGEST).map(|term| term.nats).sum()
}

/// Keeps the largest, largest first, so that sums have one order.
fn insert(strongest: &mut [f64; STRONGEST], nats: f64) {
    let mut nats = nats;
    for place in strongest {
        if nats > *place {
            std::mem::swap(place, &mut nats);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::outlier::Quantiles;

    static PEERS: LazyLock<Vec<Reference>> = LazyLock::new(|| {
        (0..COUNT)
            .map(|feature| {
                let mut sketch = Quantiles::new();
                for n in 0..1_000_u32 {
                    let spread = f64::from(n.wrapping_mul(2_654_435_761) % 1_000) / 1_000.0;
                    sketch.add((spread * 5.3).exp_m1().round());
                }
                Reference::of(feature, &sketch)
            })
            .collect()
    });

    /// Peers with values from 0 to about 200 in every feature.
    pub(crate) fn peers() -> &'static [Reference] {
        &PEERS
    }

    pub(crate) fn values_of(list: &[(usize, f64)]) -> Values {
        let mut values = Values::default();
        list.iter()
            .for_each(|(feature, value)| values.set(*feature, Some(*value)));
        values
    }

    #[test]
    fn the_score_is_the_sum_of_three() {
        let references = peers();
        let scorer = Scorer {
            peers: references,
            own: None,
        };
        let account = scorer.account(&values_of(&[(0, 1e5), (1, 1e6), (2, 1e7), (3, 1e8), (4, 50.0)]));
        let names: Vec<_> = account.strongest().iter().map(Term::name).collect();
        assert_eq!(names, ["dst_ips", "fail_ratio", "flow_rate"]);
        let parts: f64 = account.strongest().iter().map(|term| term.nats).sum();
        assert_eq!(parts, account.score);
        let shares: f64 = account.strongest().iter().map(|term| account.share(term)).sum();
        assert!((shares - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_own_past_never_decides_alone() {
        let references = peers();
        let mut own = Past::new();
        let usual = values_of(&[(0, 1e5)]);
        (0..200).for_each(|_| own.learn(&usual));
        let scorer = Scorer {
            peers: references,
            own: Some(&own),
        };
        let term = scorer.term(0, 1e5);
        let among_peers = term.peers.nats;
        assert!(term.own.unwrap().nats < 0.1);
        assert!(term.nats < 0.6 * among_peers && term.nats > 0.5 * among_peers);
        // What is usual for peers is odd for this one.
        assert!(scorer.term(0, 20.0).nats > 5.0);
    }

    #[test]
    fn directions_do_not_know_sizes() {
        let references = peers();
        let scorer = Scorer {
            peers: references,
            own: None,
        };
        let direction = |list: &[(usize, f64)]| scorer.account(&values_of(list)).direction();
        let scan = direction(&[(3, 1e4), (6, 1e4)]);
        assert!(likeness(&scan, &direction(&[(3, 1e6), (6, 1e6)])) > 0.99);
        assert!(likeness(&scan, &direction(&[(11, 1e9)])) < 0.01);
        assert_eq!(direction(&[(0, 20.0)]), [0.0; COUNT]);
    }

    proptest! {
        #[test]
        fn accounts_are_exact_and_missing_features_are_no_terms(
            list in prop::collection::vec((0_usize..COUNT, 0.0..1e9_f64), 0..COUNT),
            order in any::<u64>(),
        ) {
            let references = peers();
            let scorer = Scorer { peers: references, own: None };
            let values = values_of(&list);
            let account = scorer.account(&values);
            prop_assert_eq!(account.terms.len(), values.present().count());
            prop_assert_eq!(account.score, account.strongest().iter().map(|term| term.nats).sum::<f64>());
            prop_assert_eq!(account.score, scorer.score(&values));
            // The order of features does not matter: the same references and values, turned round.
            let turn = (order % COUNT as u64) as usize;
            let mut turned: Vec<(usize, f64)> = values.present().collect();
            let length = turned.len().max(1);
            turned.rotate_left(turn % length);
            let mut strongest = [0.0; STRONGEST];
            turned.iter().for_each(|(feature, value)| insert(&mut strongest, scorer.term(*feature, *value).nats));
            prop_assert_eq!(strongest.iter().sum::<f64>(), account.score);
        }
    }
}
