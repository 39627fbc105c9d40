//! A sketch made ready for questions: how surprising is a value among these?

use super::features::logarithm;
use super::quantiles::bucket_of;
use super::tail::Tail;
use super::{FEATURES, Quantiles};

/// Cumulated counts of a sketch and the tails beyond it. Answers in O(log buckets).
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    feature: usize,
    bits: u8,
    /// Apart from what they count: all that a search looks at lies close together.
    buckets: Vec<u32>,
    /// Numbers up to and including each bucket.
    up_to: Vec<u64>,
    count: u64,
    low: Edge,
    high: Edge,
    pub(super) median: f64,
    p99: f64,
}

/// Where the data end on one side and the tail begins.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Edge {
    /// Logarithm of the innermost value of the tail.
    log: f64,
    /// −ln of the two-sided probability there.
    nats: f64,
    /// Numbers in the tail and beyond its innermost bucket.
    anchor: u64,
    tail: Tail,
}

/// How unusual one value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surprise {
    /// −ln of the two-sided tail probability, at most [`Surprise::MAX`].
    pub nats: f64,
    /// Above the middle.
    pub high: bool,
    /// The data do not reach so far: the number comes from the model of the tail.
    pub extrapolated: bool,
}

impl Surprise {
    /// 1 in 10^26: what is less likely is not told apart.
    pub const MAX: f64 = 60.0;
}

/// Numbers that a tail has at least before its own counts are believed.
const MIN_TAIL: u64 = 10;
/// Share of the numbers from which the shape of a tail is learnt.
const TAIL_SHARE: f64 = 0.02;

impl Reference {
    /// Fewer numbers say nothing.
    pub const MIN_COUNT: u64 = 8;

    /// Of all numbers that `sketches` counted of a feature.
    #[must_use]
    pub fn new<'a>(feature: usize, sketches: impl IntoIterator<Item = &'a Quantiles>) -> Self {
        let mut sketches = sketches.into_iter();
        let mut all = sketches.next().cloned().unwrap_or_default();
        sketches.for_each(|sketch| all.merge(sketch));
        Self::of(feature, &all)
    }

    /// Of what one sketch counted.
    #[must_use]
    pub fn of(feature: usize, sketch: &Quantiles) -> Self {
        let (bits, buckets) = sketch.parts();
        let mut all = 0;
        let up_to = buckets.iter().map(|(_, count)| {
            all += u64::from(*count);
            all
        });
        let up_to: Vec<u64> = up_to.collect();
        let values: Vec<(f64, u64)> = buckets
            .iter()
            .map(|(bucket, count)| {
                let value = sketch.lower_bound(*bucket).max(sketch.min().unwrap_or(0.0));
                (logarithm(feature, value), u64::from(*count))
            })
            .collect();
        Self {
            feature,
            bits,
            buckets: buckets.iter().map(|(bucket, _)| *bucket).collect(),
            up_to,
            count: sketch.count(),
            low: Edge::new(values.iter().map(|(log, count)| (-log, *count)), sketch.count()),
            high: Edge::new(values.iter().rev().copied(), sketch.count()),
            median: sketch.quantile(0.5).unwrap_or(0.0),
            p99: sketch.quantile(0.99).unwrap_or(0.0),
        }
    }

    /// Numbers behind it.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// `None` where there is no number.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        (self.count > 0).then_some(self.median)
    }

    /// `None` where there is no number.
    #[must_use]
    pub fn p99(&self) -> Option<f64> {
        (self.count > 0).then_some(self.p99)
    }

    /// Median and 99 % quantile; `None` among so few that they say nothing.
    #[must_use]
    pub fn usual(&self) -> Option<(f64, f64)> {
        (self.count >= Self::MIN_COUNT).then_some((self.median, self.p99))
    }

    /// How unusual `value` is: p = 2 · min(pL, pR) with pR = (1 + numbers ≥ value) / (1 + all) and pL likewise. Where
    /// the smaller tail has fewer than ten numbers its model goes on from there. Never smaller for a value that is
    /// farther from the middle; nothing among fewer than eight numbers.
    #[must_use]
    pub fn surprise(&self, value: f64) -> Surprise {
        if self.count < Self::MIN_COUNT {
            return Surprise {
                nats: 0.0,
                high: value >= self.median,
                extrapolated: false,
            };
        }
        let bucket = bucket_of(value, self.bits);
        let at = self.buckets.partition_point(|known| *known < bucket);
        let below = at.checked_sub(1).map_or(0, |at| self.up_to[at]);
        let up_to = match self.buckets.get(at) {
            Some(same) if *same == bucket => self.up_to[at],
            _ => below,
        };
        let (low, high) = (up_to, self.count - below);
        let (is_high, inside, edge) = if high <= low {
            (true, high, &self.high)
        } else {
            (false, low, &self.low)
        };
        if inside >= edge.anchor {
            return Surprise {
                nats: nats_of(inside, self.count),
                high: is_high,
                extrapolated: false,
            };
        }
        let log = logarithm(self.feature, value);
        let log = if is_high { log } else { -log };
        Surprise {
            nats: (edge.nats + edge.tail.nats(log - edge.log))
                .max(nats_of(inside, self.count))
                .min(Surprise::MAX),
            high: is_high,
            extrapolated: true,
        }
    }

    /// One-sided: −ln of the share of numbers that are at least as large, extrapolated as in [`Reference::surprise`].
    /// For scores, of which only large ones matter.
    #[must_use]
    pub fn upper_nats(&self, value: f64) -> f64 {
        let surprise = self.surprise(value);
        if surprise.high {
            (surprise.nats + std::f64::consts::LN_2).min(Surprise::MAX)
        } else {
            0.0
        }
    }

    /// Name of the feature.
    #[must_use]
    pub fn name(&self) -> &'static str {
        FEATURES.get(self.feature).map_or("score", |feature| feature.name)
    }

    /// Memory, struct and heap.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.buckets.capacity() * size_of::<u32>()
            + self.up_to.capacity() * size_of::<u64>()
    }
}

/// −ln of the two-sided probability of a tail with `inside` of `all` numbers.
fn nats_of(inside: u64, all: u64) -> f64 {
    let p = 2.0 * (1.0 + inside as f64) / (1.0 + all as f64);
    if p >= 1.0 { 0.0 } else { -libm::log(p) }
}

impl Edge {
    /// `values`: from the outermost inwards, larger is farther out.
    fn new(values: impl Iterator<Item = (f64, u64)> + Clone, all: u64) -> Self {
        // Few numbers: an eighth of them must do, and the upper half tells how fast the tail falls.
        let anchor = MIN_TAIL.min(all / 8).max(1);
        let tail = ((all as f64 * TAIL_SHARE) as u64).max(MIN_TAIL.min(all / 2));
        let begins = |least: u64| {
            let mut inside = 0;
            values.clone().find_map(|(log, count)| {
                inside += count;
                (inside >= least).then_some((log, inside))
            })
        };
        let (log, inside) = begins(anchor).unwrap_or((0.0, 0));
        let threshold = begins(tail).map_or(0.0, |(log, _)| log);
        let mut excesses: Vec<(f64, u64)> = values
            .take_while(|(log, _)| *log > threshold)
            .map(|(log, count)| (log - threshold, count))
            .collect();
        excesses.reverse();
        Self {
            log,
            nats: nats_of(inside.max(anchor), all),
            anchor,
            tail: Tail::fit(&excesses),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(values: impl IntoIterator<Item = f64>) -> Reference {
        let mut sketch = Quantiles::new();
        values.into_iter().for_each(|value| assert!(sketch.add(value)));
        Reference::of(0, &sketch)
    }

    /// −ln(2 · 21 / 1001): the numbers from 980 on.
    #[test]
    fn inside_the_data_counts_decide() {
        let reference = reference((0..1_000).map(f64::from));
        let surprise = reference.surprise(980.0);
        assert!((surprise.nats - 3.171_085).abs() < 1e-6, "{surprise:?}");
        assert!(surprise.high && !surprise.extrapolated);
        assert_eq!(reference.surprise(500.0).nats, 0.0);
        let low = reference.surprise(14.0);
        assert!((low.nats + (2.0 * 16.0 / 1001.0_f64).ln()).abs() < 1e-9 && !low.high);
        assert_eq!((reference.median(), reference.p99()), (Some(500.0), Some(989.0)));
    }

    #[test]
    fn beyond_the_data_the_tail_goes_on() {
        // Logarithms of 1 + x with an exponential tail of scale 1: p(x) = 1 / (1 + x).
        let values = (0..10_000).map(|i| 1.0 / (1.0 - (f64::from(i) + 0.5) / 10_000.0) - 1.0);
        let reference = reference(values);
        for x in [1e5, 1e6, 1e8] {
            let surprise = reference.surprise(x);
            let true_nats = (x + 1.0).ln() - 2_f64.ln();
            assert!(surprise.extrapolated);
            assert!(
                (surprise.nats - true_nats).abs() < 0.15 * true_nats,
                "{x}: {surprise:?}, {true_nats}"
            );
        }
    }

    #[test]
    fn a_feature_that_never_moved() {
        let reference = reference(std::iter::repeat_n(0.0, 1_000));
        assert_eq!(reference.surprise(0.0).nats, 0.0);
        let one = reference.surprise(1.0).nats;
        // Not less than counts say, not more than the smallest scale of a tail.
        assert!((-(2.0 / 1001.0_f64).ln()..8.0).contains(&one), "{one}");
        assert!(reference.surprise(1_000.0).nats > 20.0);
    }

    #[test]
    fn few_numbers_say_nothing() {
        assert_eq!(reference([1.0; 7]).surprise(1e9).nats, 0.0);
        assert_eq!(reference([]).median(), None);
        assert!(reference((0..8).map(f64::from)).surprise(1e6).nats > 2.0);
    }

    proptest! {
        #[test]
        fn a_more_extreme_value_is_never_less_surprising(
            values in prop::collection::vec(prop_oneof![Just(0.0), 0.0..10.0_f64, (0.0..40.0_f64).prop_map(f64::exp2)], 1..400),
            a in (0.0..45.0_f64).prop_map(f64::exp2),
            b in (0.0..45.0_f64).prop_map(f64::exp2),
        ) {
            let reference = reference(values);
            let (near, far) = (a.min(b) - 1.0, a.max(b) - 1.0);
            let (near, far) = (reference.surprise(near), reference.surprise(far));
            if near.high {
                prop_assert!(far.high && far.nats >= near.nats);
            }
            if !far.high {
                prop_assert!(!near.high && near.nats >= far.nats);
            }
            for surprise in [near, far] {
                prop_assert!((0.0..=Surprise::MAX).contains(&surprise.nats));
            }
        }
    }
}
