//! How fast a tail falls beyond the data.

/// What lies beyond the anchor on one side of a distribution, as distances in logarithms: a generalized Pareto tail
/// (Pickands 1975) whose shape is kept from 0 (exponential) to [`Tail::MAX_SHAPE`]. A negative shape would give a tail
/// an end, and one step beyond it any surprisal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tail {
    shape: f64,
    scale: f64,
}

impl Tail {
    /// Heavier tails of logarithms do not occur in traffic; they occur in samples that are too small.
    const MAX_SHAPE: f64 = 0.5;
    /// Nats of ln(1 + x). A feature that never moved is not called impossible when it moves a little.
    const MIN_SCALE: f64 = 0.25;
    /// Excesses from which on the shape is estimated; below, the tail is exponential.
    pub(super) const MIN_EXCESSES: u64 = 25;

    /// From excesses over a threshold with their counts, ascending.
    pub(super) fn fit(excesses: &[(f64, u64)]) -> Self {
        let count: u64 = excesses.iter().map(|(_, count)| *count).sum();
        if count < Self::MIN_EXCESSES {
            return Self {
                shape: 0.0,
                scale: (median(excesses, count) / std::f64::consts::LN_2).max(Self::MIN_SCALE),
            };
        }
        let (a0, a1) = weighted_moments(excesses, count);
        let shape = (2.0 - a0 / (a0 - 2.0 * a1)).clamp(0.0, Self::MAX_SHAPE);
        // Of the mean a0 = scale / (1 - shape).
        let scale = (a0 * (1.0 - shape)).max(Self::MIN_SCALE);
        Self {
            shape: if shape.is_finite() { shape } else { 0.0 },
            scale: if scale.is_finite() { scale } else { Self::MIN_SCALE },
        }
    }

    /// −ln of the share of the tail that lies beyond `distance`.
    pub(super) fn nats(self, distance: f64) -> f64 {
        let distance = distance.max(0.0) / self.scale;
        if self.shape < 1e-9 {
            distance
        } else {
            libm::log1p(self.shape * distance) / self.shape
        }
    }
}

/// Probability-weighted moments (Hosking and Wallis 1987): the mean, and the mean weighted with 1 − the plotting
/// position (i − 0.35) / m. Equal excesses have ranks in a row, so their mean rank stands for all.
fn weighted_moments(excesses: &[(f64, u64)], count: u64) -> (f64, f64) {
    let all = count as f64;
    let mut before = 0;
    let (mut a0, mut a1) = (0.0, 0.0);
    for (excess, count) in excesses {
        let rank = before as f64 + (*count as f64 + 1.0) / 2.0;
        a0 += excess * *count as f64;
        a1 += excess * *count as f64 * (1.0 - (rank - 0.35) / all);
        before += count;
    }
    (a0 / all, a1 / all)
}

fn median(excesses: &[(f64, u64)], count: u64) -> f64 {
    let mut before = 0;
    let middle = excesses.iter().find(|(_, here)| {
        before += here;
        before * 2 >= count
    });
    middle.map_or(0.0, |(excess, _)| *excess)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Excesses at the plotting positions of a distribution with the inverse survival function `at`.
    fn sample(at: impl Fn(f64) -> f64) -> Vec<(f64, u64)> {
        let m = 2_000;
        (1..=m)
            .map(|i| (at(1.0 - (f64::from(i) - 0.5) / f64::from(m)), 1))
            .collect()
    }

    #[test]
    fn finds_shape_and_scale_of_its_own_kind() {
        let exponential = Tail::fit(&sample(|p| -2.0 * p.ln()));
        assert!(exponential.shape < 0.03, "{exponential:?}");
        assert!((exponential.scale - 2.0).abs() < 0.06, "{exponential:?}");
        let heavy = Tail::fit(&sample(|p| (p.powf(-0.3) - 1.0) / 0.3));
        assert!((heavy.shape - 0.3).abs() < 0.03, "{heavy:?}");
        assert!((heavy.scale - 1.0).abs() < 0.05, "{heavy:?}");
        assert!((heavy.nats(1.0) - 1.3_f64.ln() / 0.3).abs() < 0.1);
    }

    #[test]
    fn a_bounded_tail_is_taken_as_exponential() {
        let uniform = Tail::fit(&sample(|p| 1.0 - p));
        assert_eq!(uniform.shape, 0.0);
        assert!((uniform.scale - 0.5).abs() < 0.01, "{uniform:?}");
    }

    #[test]
    fn no_or_equal_excesses_have_the_smallest_scale() {
        for excesses in [&[][..], &[(0.0, 3)], &[(0.0, 1_000)]] {
            let tail = Tail::fit(excesses);
            assert_eq!((tail.shape, tail.scale), (0.0, Tail::MIN_SCALE));
            assert_eq!(tail.nats(1.0), 4.0);
        }
    }
}
