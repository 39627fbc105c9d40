//! What a profile itself showed in its earlier windows.

use super::features::logarithm;
use super::{Surprise, Values};
use crate::outlier::COUNT;

/// Summaries of all features of one profile: 18 bytes a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    counts: [u16; COUNT],
    means: [f32; COUNT],
    variances: [f32; COUNT],
    smallest: [f32; COUNT],
    largest: [f32; COUNT],
}

/// Summary of one feature of one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Windows; stays at its maximum.
    pub count: u16,
    /// Decayed mean and variance of ln(1 + scale · value).
    pub mean: f32,
    pub variance: f32,
    /// Of the values themselves.
    pub smallest: f32,
    pub largest: f32,
}

/// Windows after which an observation has lost 63 % of its weight: about a week of windows of an hour.
const MEMORY: f64 = 168.0;
/// Smallest deviation in nats of ln(1 + x): windows of a machine that does always the same still differ.
const MIN_DEVIATION: f64 = 0.25;
/// Windows that the smallest deviation counts for, so that two equal windows are no certainty.
const PRIOR: f64 = 4.0;

impl Past {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: [0; COUNT],
            means: [0.0; COUNT],
            variances: [0.0; COUNT],
            smallest: [0.0; COUNT],
            largest: [0.0; COUNT],
        }
    }

    /// Learns from a window.
    pub fn learn(&mut self, values: &Values) {
        for (feature, value) in values.present() {
            let log = logarithm(feature, value);
            let small = value as f32;
            let count = &mut self.counts[feature];
            if *count == 0 {
                (self.smallest[feature], self.largest[feature]) = (small, small);
                (self.means[feature], self.variances[feature]) = (log as f32, 0.0);
            } else {
                self.smallest[feature] = self.smallest[feature].min(small);
                self.largest[feature] = self.largest[feature].max(small);
                // A plain mean at first, then one that forgets (West 1979).
                let weight = 1.0 / (f64::from(*count) + 1.0).min(MEMORY);
                let mean = f64::from(self.means[feature]);
                let away = log - mean;
                self.means[feature] = (mean + weight * away) as f32;
                let variance = f64::from(self.variances[feature]);
                self.variances[feature] = ((1.0 - weight) * (variance + weight * away * away)) as f32;
            }
            *count = count.saturating_add(1);
        }
    }

    /// The summary of a feature; `None` before its first value.
    #[must_use]
    pub fn summary(&self, feature: usize) -> Option<Summary> {
        let count = *self.counts.get(feature)?;
        (count > 0).then(|| Summary {
            count,
            mean: self.means[feature],
            variance: self.variances[feature],
            smallest: self.smallest[feature],
            largest: self.largest[feature],
        })
    }

    /// Puts a summary back, as from the store. What is no number becomes no summary.
    pub fn put(&mut self, feature: usize, summary: Summary) {
        let numbers = [summary.mean, summary.variance, summary.smallest, summary.largest];
        if feature >= COUNT || !numbers.iter().all(|number| number.is_finite()) {
            return;
        }
        self.counts[feature] = summary.count;
        self.means[feature] = summary.mean;
        self.variances[feature] = summary.variance.max(0.0);
        self.smallest[feature] = summary.smallest;
        self.largest[feature] = summary.largest;
    }

    /// How unusual a value is for this profile; `None` before its first window.
    #[must_use]
    pub fn surprise(&self, feature: usize, value: f64) -> Option<Surprise> {
        self.summary(feature)
            .map(|summary| summary.surprise(feature, value))
    }
}

impl Default for Past {
    fn default() -> Self {
        Self::new()
    }
}

impl Summary {
    /// Two-sided tail of a normal distribution of the logarithm, with a deviation that is wide while windows are few.
    #[must_use]
    pub fn surprise(&self, feature: usize, value: f64) -> Surprise {
        let away = logarithm(feature, value) - f64::from(self.mean);
        let count = f64::from(self.count).min(MEMORY);
        let variance = (f64::from(self.variance) * count + PRIOR * prior_variance()) / (count + PRIOR);
        // One more observation is as far away as the mean is uncertain, too.
        let deviation = (variance * (1.0 + 1.0 / count)).sqrt().max(MIN_DEVIATION);
        Surprise {
            nats: normal_nats(away.abs() / deviation).min(Surprise::MAX),
            high: away >= 0.0,
            extrapolated: false,
        }
    }

    /// The value at the decayed mean of the logarithms.
    #[must_use]
    pub fn center(&self, feature: usize) -> f64 {
        let scale = super::FEATURES
            .get(feature)
            .map_or(1.0, |info| f64::from(info.scale));
        (libm::expm1(f64::from(self.mean)) / scale).max(0.0)
    }
}

/// Before a profile is known its windows may well differ by a factor of e.
const fn prior_variance() -> f64 {
    1.0
}

/// −ln of the two-sided tail of the standard normal distribution.
fn normal_nats(z: f64) -> f64 {
    // Beyond, erfc leaves the range of doubles; the first term of its asymptotic series is exact enough.
    let two_sided = libm::erfc(z / std::f64::consts::SQRT_2);
    if two_sided > 1e-280 {
        return -libm::log(two_sided);
    }
    z * z / 2.0 + libm::log(z * (std::f64::consts::PI / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(flows: f64) -> Values {
        let mut values = Values::default();
        values.set(0, Some(flows));
        values
    }

    #[test]
    fn a_summary_is_small() {
        // The bound is 24 bytes a feature. The counts, of two bytes, stand before numbers of four.
        assert_eq!(size_of::<Past>(), (COUNT * 18).next_multiple_of(4));
        assert!(size_of::<Summary>() <= 24);
    }

    #[test]
    fn mean_and_deviation_of_logarithms() {
        let mut past = Past::new();
        let logs = [3.0_f64, 5.0, 4.0, 6.0];
        logs.iter().for_each(|log| past.learn(&values(log.exp_m1())));
        let summary = past.summary(0).unwrap();
        assert_eq!(summary.count, 4);
        assert!((summary.mean - 4.5).abs() < 1e-5);
        assert!((summary.variance - 1.25).abs() < 1e-5);
        assert!((f64::from(summary.largest) - 6_f64.exp_m1()).abs() < 1e-4);
        assert_eq!(past.summary(1), None, "a missing value is no zero");
    }

    #[test]
    fn drift_is_followed_and_a_jump_is_not_usual() {
        let mut past = Past::new();
        let mut most: f64 = 0.0;
        for window in 0..800 {
            // 0.2 % more each window: five times as much after a month of hours.
            let now = values(100.0 * 1.002_f64.powi(window));
            if window > 24 {
                most = most.max(past.surprise(0, now.get(0).unwrap()).unwrap().nats);
            }
            past.learn(&now);
        }
        assert!(most < 2.0, "{most}");
        let now = past.summary(0).unwrap().center(0);
        assert!(past.surprise(0, now * 1_000.0).unwrap().nats > 20.0);
    }

    #[test]
    fn few_windows_are_no_certainty() {
        let mut past = Past::new();
        past.learn(&values(10.0));
        assert!(past.surprise(0, 30.0).unwrap().nats < 2.0);
        (0..100).for_each(|_| past.learn(&values(10.0)));
        assert!(past.surprise(0, 1_000.0).unwrap().nats > 20.0);
    }

    #[test]
    fn normal_tails() {
        assert!((normal_nats(1.96) + 0.05_f64.ln()).abs() < 1e-3);
        // 36² / 2 + ln(36 · √(π/2)); the two forms meet between 35 and 36.
        assert!(
            (normal_nats(36.0) - 651.809).abs() < 0.01,
            "{}",
            normal_nats(36.0)
        );
        let steps = [35.0, 35.5, 36.0, 36.5].map(normal_nats);
        assert!((steps[2] - steps[1] - (steps[1] - steps[0]) - 0.25).abs() < 0.01);
    }

    #[test]
    fn what_the_store_gives_is_checked() {
        let mut past = Past::new();
        let wrong = Summary {
            count: 3,
            mean: f32::NAN,
            ..Summary::default()
        };
        past.put(0, wrong);
        assert_eq!(past.summary(0), None);
    }
}
