//! What is usual for one number: moments, the newest values and how far they usually are off.

use std::collections::VecDeque;

/// All values are ln(1 + x).
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    mean: f64,
    variance: f64,
    /// Values learnt.
    pub(super) points: u64,
    values: VecDeque<f64>,
    residuals: VecDeque<f64>,
    /// Smaller spreads are not believed.
    floor: f64,
    /// Scores while training; the threshold is calibrated with them.
    scores: Vec<f64>,
    pub(super) threshold: f64,
}

/// What is made of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Learn {
    Training,
    /// Weight of the new value.
    Moving(f64),
}

impl Baseline {
    const VALUES: usize = 256;
    const RESIDUALS: usize = 64;
    const SCORES: usize = 256;
    /// Fewer points score 0.
    const MIN_POINTS: u64 = 6;
    /// From here on median and deviation are used instead of moments.
    const ROBUST_POINTS: usize = 7;
    const MIN_CALIBRATION: u64 = 10;

    pub(super) const fn new(threshold: f64) -> Self {
        Self {
            mean: 0.0,
            variance: 0.0,
            points: 0,
            values: VecDeque::new(),
            residuals: VecDeque::new(),
            floor: 0.1,
            scores: Vec::new(),
            threshold,
        }
    }

    /// How far off a value is, and what was usual.
    pub(super) fn score(&self, value: f64) -> (f64, f64) {
        if self.points < Self::MIN_POINTS {
            return (0.0, self.mean);
        }
        if self.values.len() < Self::ROBUST_POINTS {
            let spread = self.variance.max(self.floor * self.floor).sqrt();
            return ((value - self.mean).abs() / spread, self.mean);
        }
        let mut values: Vec<f64> = self.values.iter().copied().collect();
        let middle = quantile(&mut values, 0.5);
        values
            .iter_mut()
            .for_each(|value| *value = (*value - middle).abs());
        let deviation = quantile(&mut values, 0.5);
        (
            (value - middle).abs() / f64::max(1.4826 * deviation, self.floor),
            middle,
        )
    }

    pub(super) fn learn(&mut self, value: f64, how: Learn) {
        if how == Learn::Training && self.scores.len() < Self::SCORES {
            self.scores.push(self.score(value).0);
        }
        let off = value - self.mean;
        if self.points > 0 {
            self.keep_residual(off.abs());
        }
        self.points += 1;
        match how {
            _ if self.points == 1 => self.mean = value,
            Learn::Training => {
                let before = self.points as f64 - 1.0;
                self.mean += off / self.points as f64;
                let squares = self.variance * (before - 1.0).max(0.0) + off * (value - self.mean);
                self.variance = squares / before;
            }
            Learn::Moving(weight) => {
                self.mean += weight * off;
                self.variance = (1.0 - weight) * (self.variance + weight * off * off);
            }
        }
        push(&mut self.values, value, Self::VALUES);
    }

    /// Training is over: the threshold is what almost no score of training reached.
    pub(super) fn calibrate(&mut self) {
        if self.points >= Self::MIN_CALIBRATION {
            let mut scores = std::mem::take(&mut self.scores);
            self.threshold = quantile(&mut scores, 0.995).clamp(1.5, 15.0);
        }
        self.scores = Vec::new();
    }

    fn keep_residual(&mut self, residual: f64) {
        push(&mut self.residuals, residual, Self::RESIDUALS);
        if self.residuals.len() >= 5 {
            let mut values: Vec<f64> = self.residuals.iter().copied().collect();
            let low = quantile(&mut values, 0.1);
            let middle = quantile(&mut values, 0.5);
            values
                .iter_mut()
                .for_each(|value| *value = (*value - middle).abs());
            let deviation = quantile(&mut values, 0.5);
            let usual = low.max(1.4826 * deviation).max(0.01);
            self.floor = (0.95 * self.floor + 0.05 * usual).clamp(0.01, 1e6);
        }
    }
}

fn push(values: &mut VecDeque<f64>, value: f64, limit: usize) {
    values.push_back(value);
    if values.len() > limit {
        values.pop_front();
    }
}

/// Between the two nearest values; 0 without values. Changes their order: selecting is cheaper than sorting.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let at = share * last as f64;
    let (_, below, rest) = values.select_nth_unstable_by(at.floor() as usize, f64::total_cmp);
    if at.fract() == 0.0 {
        return *below;
    }
    let above = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(*below);
    *below + (above - *below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_training_are_welford() {
        let mut baseline = Baseline::new(3.0);
        for value in [2.0, 4.0, 4.0, 5.0, 7.0] {
            baseline.learn(value, Learn::Training);
        }
        assert!((baseline.mean - 4.4).abs() < 1e-12);
        assert!((baseline.variance - 3.3).abs() < 1e-12, "{}", baseline.variance);
        assert_eq!(baseline.score(100.0).0, 0.0, "five points are too few");
    }

    #[test]
    fn far_values_score_high_and_few_points_keep_the_threshold() {
        let mut baseline = Baseline::new(3.5);
        for n in 0..9 {
            baseline.learn(8.0 + 0.1 * f64::from(n % 3), Learn::Training);
        }
        baseline.calibrate();
        assert_eq!(baseline.threshold, 3.5);
        assert!(baseline.score(8.1).0 < 1.0);
        assert!(baseline.score(12.0).0 > 15.0);
        for _ in 0..50 {
            baseline.learn(12.0, Learn::Moving(0.5));
        }
        assert!(baseline.score(12.0).0 < 0.01, "what goes on becomes usual");
    }

    #[test]
    fn the_threshold_is_calibrated_within_limits() {
        let mut baseline = Baseline::new(3.5);
        (0..40).for_each(|_| baseline.learn(8.0, Learn::Training));
        baseline.calibrate();
        assert_eq!(baseline.threshold, 1.5);
    }
}
