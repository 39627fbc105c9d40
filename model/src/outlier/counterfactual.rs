//! From which value of one feature on a window would not have been flagged.

use super::{Account, FEATURES, Scorer, Term, Values};

/// "Would not be flagged below 131 destinations."
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counterfactual {
    /// Place in [`FEATURES`].
    pub feature: usize,
    /// The nearest value to the one seen with which the window is still flagged, all else as it was. The next one
    /// towards the middle (one less for whole numbers) is not.
    pub limit: f64,
    /// The value is too large: it would have to be below `limit`. Else above.
    pub below: bool,
}

impl Counterfactual {
    /// For the strongest feature that alone suffices; `None` where no single feature does.
    ///
    /// Features are separable, so this is exact against the sketches as they are: the term of a feature never grows on
    /// the way from its value to the middle of the peers and of the own past, and the other terms stay.
    #[must_use]
    pub fn find(scorer: &Scorer<'_>, values: &Values, account: &Account, threshold: f64) -> Option<Self> {
        if account.score < threshold {
            return None;
        }
        account
            .strongest()
            .iter()
            .find_map(|term| Self::of(scorer, values, term, threshold))
    }

    fn of(scorer: &Scorer<'_>, values: &Values, term: &Term, threshold: f64) -> Option<Self> {
        let feature = term.feature;
        let peers = scorer.peers.get(feature).and_then(super::Reference::median);
        let own = scorer
            .own
            .and_then(|own| own.summary(feature))
            .map(|summary| summary.center(feature));
        let middles = [peers, own];
        let middles = middles.iter().flatten();
        let below = term.peers.high;
        // Between the two middles the term may fall and rise again: the nearer one is as far as one can go.
        let middle = if below {
            middles.copied().fold(f64::NEG_INFINITY, f64::max)
        } else {
            middles.copied().fold(f64::INFINITY, f64::min)
        };
        let towards = if below {
            middle < term.value
        } else {
            middle > term.value
        };
        if !middle.is_finite() || !towards {
            return None;
        }
        let flagged = |value: f64| {
            let mut changed = *values;
            changed.set(feature, Some(value));
            scorer.score(&changed) >= threshold
        };
        let whole = FEATURES[feature].whole;
        let lattice = Lattice { whole };
        let (mut outside, mut inside) = (lattice.place(term.value, below), lattice.place(middle, !below));
        if flagged(lattice.value(inside)) {
            return None;
        }
        // Invariant: flagged at `outside`, not flagged at `inside`.
        while outside.abs_diff(inside) > 1 {
            let middle = inside.midpoint(outside);
            if flagged(lattice.value(middle)) {
                outside = middle;
            } else {
                inside = middle;
            }
        }
        Some(Self {
            feature,
            limit: lattice.value(outside),
            below,
        })
    }
}

/// The values that a feature can have, as integers in their order.
#[derive(Clone, Copy)]
struct Lattice {
    whole: bool,
}

impl Lattice {
    /// Bits of non-negative numbers sort as the numbers do.
    fn place(self, value: f64, down: bool) -> u64 {
        if self.whole {
            (if down { value.floor() } else { value.ceil() }) as u64
        } else {
            value.to_bits()
        }
    }

    const fn value(self, place: u64) -> f64 {
        if self.whole {
            place as f64
        } else {
            f64::from_bits(place)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::score::tests::{peers, values_of};
    use super::*;
    use crate::outlier::Past;
    use proptest::prelude::*;

    fn rescored(scorer: &Scorer<'_>, values: &Values, feature: usize, value: f64) -> f64 {
        let mut changed = *values;
        changed.set(feature, Some(value));
        scorer.account(&changed).score
    }

    #[test]
    fn the_limit_is_exact() {
        let references = peers();
        let scorer = Scorer {
            peers: references,
            own: None,
        };
        let values = values_of(&[(0, 10.0), (3, 4_210.0), (4, 3.0)]);
        let account = scorer.account(&values);
        assert_eq!(account.terms[0].name(), "dst_ips");
        let found = Counterfactual::find(&scorer, &values, &account, 12.0).unwrap();
        assert_eq!((found.feature, found.below), (3, true));
        assert!(found.limit < 4_210.0 && found.limit > 10.0 && found.limit.fract() == 0.0);
        assert!(rescored(&scorer, &values, 3, found.limit) >= 12.0);
        assert!(rescored(&scorer, &values, 3, found.limit - 1.0) < 12.0);
    }

    #[test]
    fn absent_where_one_feature_does_not_suffice_or_nothing_is_flagged() {
        let references = peers();
        let scorer = Scorer {
            peers: references,
            own: None,
        };
        let values = values_of(&[(0, 9e5), (3, 9e5), (4, 9e5), (11, 9e8)]);
        let account = scorer.account(&values);
        assert_eq!(Counterfactual::find(&scorer, &values, &account, 10.0), None);
        assert_eq!(Counterfactual::find(&scorer, &values, &account, 1_000.0), None);
    }

    proptest! {
        #[test]
        fn a_limit_is_flagged_and_the_next_value_is_not(
            odd in prop::collection::vec((0_usize..20, 0.0..30.0_f64), 1..6),
            past in prop::collection::vec(0.0..12.0_f64, 0..30),
            threshold in 3.0..40.0_f64,
        ) {
            let references = peers();
            let mut own = Past::new();
            for log in &past {
                own.learn(&values_of(&[(0, log.exp2()), (3, log.exp2()), (11, log.exp2())]));
            }
            let scorer = Scorer { peers: references, own: Some(&own) };
            let odd: Vec<(usize, f64)> = odd.iter().map(|(feature, log)| {
                let value = log.exp2() - 1.0;
                (*feature, if FEATURES[*feature].whole { value.round() } else { value })
            }).collect();
            let values = values_of(&odd);
            let account = scorer.account(&values);
            if let Some(found) = Counterfactual::find(&scorer, &values, &account, threshold) {
                prop_assert!(rescored(&scorer, &values, found.feature, found.limit) >= threshold);
                let whole = FEATURES[found.feature].whole;
                let next = match (whole, found.below) {
                    (true, true) => found.limit - 1.0,
                    (true, false) => found.limit + 1.0,
                    (false, true) => found.limit.next_down(),
                    (false, false) => found.limit.next_up(),
                };
                prop_assert!(rescored(&scorer, &values, found.feature, next) < threshold);
            }
        }
    }
}
