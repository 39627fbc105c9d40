//! Whether the mean of a series has changed: ADWIN (Bifet and Gavaldà, "Learning from time-changing data with adaptive
//! windowing", 2007) over at most 256 values, each cut tried, which needs none of its buckets.

use std::collections::VecDeque;

#[derive(Clone, Debug, Default)]
pub(super) struct Drift {
    values: VecDeque<f64>,
}

impl Drift {
    const VALUES: usize = 256;
    /// Chance of a false alarm.
    const DELTA: f64 = 0.01;
    /// Values before any cut is tried, and on each side of a cut.
    const GRACE: usize = 5;

    /// Takes a value; true if the older ones had another mean and are forgotten.
    pub(super) fn add(&mut self, value: f64) -> bool {
        self.values.push_back(value);
        if self.values.len() > Self::VALUES {
            self.values.pop_front();
        }
        let mut drifted = false;
        while let Some(cut) = self.cut() {
            self.values.drain(..cut);
            drifted = true;
        }
        drifted
    }

    /// The first cut at which the two sides differ by more than chance explains.
    fn cut(&self) -> Option<usize> {
        let all = self.values.len();
        if all <= Self::GRACE {
            return None;
        }
        let total: f64 = self.values.iter().sum();
        let mean = total / all as f64;
        let variance = self
            .values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / all as f64;
        let log = (2.0 * (all as f64).ln() / Self::DELTA).ln();
        // Chance is least where both sides are equally long. Where even that is not exceeded, nothing needs a root or a
        // division; the margin is for rounding.
        let least =
            ((8.0 / all as f64 * variance * log).sqrt() + 8.0 / (3.0 * all as f64) * log) * (1.0 - 1e-9);
        let mut older = 0.0;
        for (at, value) in self.values.iter().enumerate() {
            let (before, after) = (at, all - at);
            let product = (before * after) as f64;
            let large = (older * all as f64 - total * before as f64).abs() >= least * product;
            if large && before >= Self::GRACE && after >= Self::GRACE {
                let harmonic = 1.0 / (1.0 / before as f64 + 1.0 / after as f64);
                let chance = (2.0 / harmonic * variance * log).sqrt() + 2.0 / (3.0 * harmonic) * log;
                let apart = (older / before as f64 - (total - older) / after as f64).abs();
                if apart > chance {
                    return Some(at);
                }
            }
            older += value;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_level_is_a_drift_and_noise_is_none() {
        let mut drift = Drift::default();
        assert!((0..200).all(|n| !drift.add(f64::from(n * 7 % 11))));
        let seen = (0..60).position(|n| drift.add(f64::from(n * 7 % 11) + 60.0));
        assert!(seen.is_some_and(|after| after < 20), "{seen:?}");
        let old = drift.values.iter().filter(|value| **value < 60.0).count();
        assert!(old < 20 && drift.values.len() <= Drift::VALUES, "{old}");
    }
}
