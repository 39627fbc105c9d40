//! A second opinion: combinations of usual values that are unusual together.
//!
//! LODA (T. Pevný, "Loda: Lightweight on-line detector of anomalies", Machine Learning 102, 2016): sparse random
//! projections with a histogram each. Weights come from a fixed seed, features are scaled by constants and counts are
//! integers, so histograms merge by addition and every machine has the same.

use std::sync::LazyLock;

use super::features::logarithm;
use super::{COUNT, Values};
use crate::profile::mix;

/// Projections.
pub const PROJECTIONS: usize = 64;
/// Features of a projection: √d.
const SPARSE: usize = 5;
/// Bins of a histogram on both sides of the middle.
const HALF: i32 = 64;
const BINS: usize = 2 * HALF as usize;
/// Width of a bin in units of a projection, whose weights are standard normal numbers on logarithms.
const WIDTH: f64 = 0.5;
/// Share of a bin that nobody is in.
const FLOOR: f64 = 1e-12;

/// Features that are projected: not the last one, which is missing wherever nobody fetched the lists of clouds, and would
/// thin out a projection in six.
const PROJECTED: u64 = COUNT as u64 - 1;

struct Projection {
    features: [usize; SPARSE],
    weights: [f64; SPARSE],
}

static WEIGHTS: LazyLock<Vec<Projection>> = LazyLock::new(|| {
    let mut random = Random(0x6c6f_6461);
    (0..PROJECTIONS)
        .map(|_| {
            let mut features = [COUNT; SPARSE];
            for place in 0..SPARSE {
                loop {
                    let feature = (random.next() % PROJECTED) as usize;
                    if !features.contains(&feature) {
                        features[place] = feature;
                        break;
                    }
                }
            }
            Projection {
                features,
                weights: std::array::from_fn(|_| random.normal()),
            }
        })
        .collect()
});

/// Histograms of all projections: 32 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loda {
    /// [`BINS`] counts of each projection in turn.
    counts: Box<[u32]>,
}

/// What [`Loda`] says of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Mean of −ln of the share of windows in the same bin, over the projections whose features all have values.
    pub score: f64,
    /// How much more unusual projections with a feature are than those without it (one-tailed t statistic), strongest
    /// first; only positive ones.
    pub features: Vec<(usize, f64)>,
}

impl Loda {
    /// Counts of all histograms.
    pub const CELLS: usize = PROJECTIONS * BINS;

    /// Learns a window.
    pub fn add(&mut self, values: &Values) {
        let logs = logarithms(values);
        for (number, projection) in WEIGHTS.iter().enumerate() {
            if let Some(bin) = projection.bin(&logs) {
                let count = &mut self.counts[number * BINS + bin];
                *count = count.saturating_add(1);
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// For the store.
    #[must_use]
    pub fn cells(&self) -> &[u32] {
        &self.counts
    }

    /// `None` unless there are [`Loda::CELLS`] counts.
    #[must_use]
    pub fn from_cells(cells: &[u32]) -> Option<Self> {
        (cells.len() == Self::CELLS).then(|| Self { counts: cells.into() })
    }
}

impl Default for Loda {
    fn default() -> Self {
        Self {
            counts: vec![0; Self::CELLS].into(),
        }
    }
}

/// Histograms made ready for questions.
#[derive(Clone, Debug)]
pub struct Shares {
    /// −ln of the share of each bin.
    nats: Box<[f32]>,
    /// Whether a projection has counted anything.
    known: [bool; PROJECTIONS],
}

impl Shares {
    /// Of all windows that `histograms` counted.
    #[must_use]
    pub fn new<'a>(histograms: impl IntoIterator<Item = &'a Loda>) -> Self {
        let mut all = Loda::default();
        histograms.into_iter().for_each(|loda| all.merge(loda));
        let mut nats = vec![0.0; Loda::CELLS].into_boxed_slice();
        let mut known = [false; PROJECTIONS];
        for (number, bins) in all.counts.chunks(BINS).enumerate() {
            let sum: u64 = bins.iter().map(|count| u64::from(*count)).sum();
            known[number] = sum > 0;
            for (place, count) in bins.iter().enumerate() {
                let share = f64::from(*count) / (sum.max(1) as f64);
                nats[number * BINS + place] = -libm::log(share.max(FLOOR)) as f32;
            }
        }
        Self { nats, known }
    }

    /// The score alone; `None` where no projection has all its values.
    #[must_use]
    pub fn score(&self, values: &Values) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0);
        for (_, nats) in self.each(&logarithms(values)) {
            sum += nats;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The score and which features stand out.
    #[must_use]
    pub fn opinion(&self, values: &Values) -> Option<Opinion> {
        let said: Vec<(usize, f64)> = self.each(&logarithms(values)).collect();
        if said.is_empty() {
            return None;
        }
        let score = said.iter().map(|(_, nats)| nats).sum::<f64>() / said.len() as f64;
        let mut features = standing_out(&said);
        features.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Some(Opinion { score, features })
    }

    fn each(&self, logs: &[Option<f64>; COUNT]) -> impl Iterator<Item = (usize, f64)> {
        WEIGHTS
            .iter()
            .enumerate()
            .filter(|(number, _)| self.known[*number])
            .filter_map(|(number, projection)| {
                let bin = projection.bin(logs)?;
                Some((number, f64::from(self.nats[number * BINS + bin])))
            })
    }
}

impl Projection {
    fn bin(&self, logs: &[Option<f64>; COUNT]) -> Option<usize> {
        let mut sum = 0.0;
        for (feature, weight) in self.features.iter().zip(self.weights) {
            sum += weight * logs[*feature]?;
        }
        // `as` keeps to the range of i32.
        let bin = ((sum / WIDTH).floor() as i32).clamp(-HALF, HALF - 1);
        Some((bin + HALF) as usize)
    }
}

/// Welch's t of the projections that use a feature against those that do not, for each feature where it is positive and
/// there are enough of both.
fn standing_out(said: &[(usize, f64)]) -> Vec<(usize, f64)> {
    let mut all = Moments::default();
    let mut with = [Moments::default(); COUNT];
    for (number, nats) in said {
        all.add(*nats);
        for feature in WEIGHTS[*number].features {
            with[feature].add(*nats);
        }
    }
    let of = |(feature, with): (usize, &Moments)| {
        let without = all.without(with);
        let error = (with.variance_of_mean()? + without.variance_of_mean()?).sqrt();
        let t = (with.sum / with.count - without.sum / without.count) / error;
        (t.is_finite() && t > 0.0).then_some((feature, t))
    };
    with.iter().enumerate().filter_map(of).collect()
}

#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.count += 1.0;
        self.sum += x;
        self.squares += x * x;
    }

    fn without(&self, part: &Self) -> Self {
        Self {
            count: self.count - part.count,
            sum: self.sum - part.sum,
            squares: self.squares - part.squares,
        }
    }

    /// `None` for fewer than three.
    fn variance_of_mean(&self) -> Option<f64> {
        let around_mean = (self.squares - self.sum * self.sum / self.count).max(0.0);
        (self.count >= 3.0).then(|| around_mean / (self.count - 1.0) / self.count)
    }
}

fn logarithms(values: &Values) -> [Option<f64>; COUNT] {
    let mut logs = [None; COUNT];
    for (feature, value) in values.present() {
        logs[feature] = Some(logarithm(feature, value));
    }
    logs
}

/// A sequence that depends on its seed only.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(0x4c4f_4441, self.0)
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f64 {
        let unit = |word: u64| ((word >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (a, b) = (unit(self.next()), unit(self.next()));
        (-2.0 * libm::log(a)).sqrt() * libm::cos(std::f64::consts::TAU * b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets follow flows, bytes follow packets; the size of a window differs.
    fn usual(random: &mut Random) -> Values {
        let size = 3.0 + random.normal();
        let mut values = Values::default();
        for feature in 0..COUNT {
            let own = if feature % 2 == 0 { size } else { 6.0 - size };
            let value = (own + 0.1 * random.normal()).clamp(0.0, 12.0).exp_m1();
            values.set(
                feature,
                Some(value / f64::from(super::super::FEATURES[feature].scale)),
            );
        }
        values
    }

    #[test]
    fn finds_an_odd_combination_of_usual_values() {
        let mut random = Random(1);
        let mut loda = Loda::default();
        (0..4_000).for_each(|_| loda.add(&usual(&mut random)));
        let shares = Shares::new([&loda]);
        let mut ordinary: Vec<f64> = (0..500)
            .map(|_| shares.score(&usual(&mut random)).unwrap())
            .collect();
        ordinary.sort_by(f64::total_cmp);
        // Each value alone is usual: some features are as in a large window, the others as in a small one.
        let mut odd = usual(&mut Random(77));
        for feature in 0..COUNT {
            let log: f64 = match feature {
                0 | 4 | 8 | 12 => 5.0,
                even if even % 2 == 0 => 1.0,
                _ => 5.0,
            };
            odd.set(
                feature,
                Some(log.exp_m1() / f64::from(super::super::FEATURES[feature].scale)),
            );
        }
        let opinion = shares.opinion(&odd).unwrap();
        assert!(
            opinion.score > ordinary[498],
            "{} {}",
            opinion.score,
            ordinary[498]
        );
        assert_eq!(shares.score(&odd), Some(opinion.score));
        let best = opinion.features[0].0;
        assert!([0, 4, 8, 12].contains(&best), "{:?}", opinion.features);
    }

    #[test]
    fn merging_is_counting_both_and_missing_values_leave_projections_out() {
        let mut random = Random(2);
        let (mut a, mut b, mut both) = (Loda::default(), Loda::default(), Loda::default());
        for n in 0..200 {
            let mut values = usual(&mut random);
            values.set(8, None);
            if n % 2 == 0 { &mut a } else { &mut b }.add(&values);
            both.add(&values);
        }
        a.merge(&b);
        assert_eq!(a, both);
        assert_eq!(Loda::from_cells(both.cells()), Some(both.clone()));
        assert_eq!(Loda::from_cells(&[0; 3]), None);
        let shares = Shares::new([&both]);
        assert!(
            shares.known.iter().any(|known| !known),
            "a projection with feature 8 knows nothing"
        );
        let mut whole = usual(&mut random);
        whole.set(8, Some(1e9));
        let mut without = whole;
        without.set(8, None);
        assert_eq!(shares.score(&whole), shares.score(&without));
        assert_eq!(shares.score(&Values::default()), None);
    }
}
