//! Risk ratios, exact tests and false discoveries.

/// Outliers and others, with and without something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub outliers: u64,
    pub others: u64,
    pub all_outliers: u64,
    pub all_others: u64,
}

/// How many times as likely those with it are outliers as those without, with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RiskRatio {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

impl Counts {
    /// Of (outliers, others) with it, among (outliers, others) of all.
    #[must_use]
    pub const fn new(with: (u64, u64), all: (u64, u64)) -> Self {
        Self {
            outliers: with.0,
            others: with.1,
            all_outliers: all.0,
            all_others: all.1,
        }
    }

    /// Risk ratio (Katz et al. 1978). Half a case is added everywhere if one of the four numbers is 0.
    #[must_use]
    pub fn risk_ratio(&self) -> RiskRatio {
        let mut cells = [
            self.outliers as f64,
            self.others as f64,
            self.all_outliers.saturating_sub(self.outliers) as f64,
            self.all_others.saturating_sub(self.others) as f64,
        ];
        if cells.contains(&0.0) {
            cells.iter_mut().for_each(|cell| *cell += 0.5);
        }
        let [a, b, c, d] = cells;
        let log = libm::log(a / (a + b)) - libm::log(c / (c + d));
        let error = 1.96
            * (1.0 / a - 1.0 / (a + b) + 1.0 / c - 1.0 / (c + d))
                .max(0.0)
                .sqrt();
        RiskRatio {
            ratio: libm::exp(log),
            low: libm::exp(log - error),
            high: libm::exp(log + error),
        }
    }

    /// Fisher's exact test, one-tailed: the probability of at least as many outliers among those with it, were it all
    /// one.
    #[must_use]
    pub fn fisher(&self) -> f64 {
        let (outliers, with) = (self.all_outliers, self.outliers + self.others);
        let all = outliers + self.all_others;
        let most = outliers.min(with);
        if self.outliers == 0 || self.outliers > most || with > all {
            return 1.0;
        }
        // Hypergeometric: first term by logarithms, each next one from the one before.
        let first =
            choose(outliers, self.outliers) + choose(self.all_others, self.others) - choose(all, with);
        let (mut term, mut sum) = (1.0, 1.0);
        for k in self.outliers..most {
            let others = with - k;
            let rest = self.all_others + k + 1 - with;
            term *= ((outliers - k) as f64 * others as f64) / ((k + 1) as f64 * rest as f64);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        libm::exp(first + libm::log(sum)).min(1.0)
    }
}

/// ln of the binomial coefficient.
fn choose(n: u64, k: u64) -> f64 {
    let factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    factorial(n) - factorial(k) - factorial(n - k)
}

/// q-values of Benjamini and Hochberg (1995): the false discovery rate at which each is still found, in the order given.
/// `tests`: how many were made, where only the smallest p-values are shown.
#[must_use]
pub fn false_discovery_rates(p_values: &[f64], tests: usize) -> Vec<f64> {
    let tests = tests.max(p_values.len()) as f64;
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]).then(b.cmp(a)));
    let mut rates = vec![1.0; p_values.len()];
    let mut least: f64 = 1.0;
    for (place, at) in order.iter().enumerate() {
        let rank = (p_values.len() - place) as f64;
        least = least.min(p_values[*at] * tests / rank);
        rates[*at] = least;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `outliers.md` §3.3: ja4=17 and dport=23 & sensor=3 among 215 outliers of 20,000.
    #[test]
    fn measured_risk_ratios() {
        let all = (215, 19_785);
        for (with, expected) in [
            ((75, 420), (21.1, 16.2, 27.5)),
            ((32, 28), (58.1, 44.0, 76.7)),
            ((38, 372), (10.3, 7.3, 14.4)),
            ((11, 66), (14.0, 7.9, 24.5)),
        ] {
            let found = Counts::new(with, all).risk_ratio();
            for (value, expected) in [
                (found.ratio, expected.0),
                (found.low, expected.1),
                (found.high, expected.2),
            ] {
                assert!((value - expected).abs() < 0.06, "{with:?}: {found:?}");
            }
        }
    }

    /// The increment of dport=23 & sensor=3 within dport=23, and two that are spurious.
    #[test]
    fn measured_increments() {
        let p = Counts::new((32, 28), (38, 372)).fisher();
        assert!((1e-25..1e-24).contains(&p), "{p}");
        let p = Counts::new((8, 10), (75, 420)).fisher();
        assert!((p - 0.0024).abs() < 0.0001, "{p}");
        let p = Counts::new((11, 66), (38, 372)).fisher();
        assert!((p - 0.076).abs() < 0.001, "{p}");
    }

    #[test]
    fn tables_with_zeros() {
        assert!(Counts::new((5, 0), (5, 100)).risk_ratio().ratio > 100.0);
        assert_eq!(Counts::new((0, 3), (5, 100)).fisher(), 1.0);
        // Fisher's tea: all four found of four among eight.
        let p = Counts::new((4, 0), (4, 4)).fisher();
        assert!((p - 1.0 / 70.0).abs() < 1e-12, "{p}");
    }

    /// The example of Benjamini and Hochberg's paper: 4 of 15 are found at 5 %.
    #[test]
    fn discoveries_of_the_paper() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
            0.6528, 0.7590, 1.0,
        ];
        let found = false_discovery_rates(&p, p.len())
            .iter()
            .filter(|rate| **rate <= 0.05)
            .count();
        assert_eq!(found, 4);
        assert_eq!(false_discovery_rates(&[0.5, 0.01], 2), [0.5, 0.02]);
    }
}
