//! How regular a channel is: four numbers between 0 and 1 and their mean, in the line of RITA's beacon score.
//!
//! RITA looks at a day of data and calls quartiles within ten seconds equal; here the units are the channel's own span
//! and its own median gap, so that fast and short channels count as slow and long ones do. Two additions: flows that
//! begin together are one beat, and gaps that alternate between two values are as regular as equal ones (retries of
//! an operating system: 0.5 s, 0.5 s, 1 s).
//!
//! Beside the mean stands the band: programs that draw each sleep between 30 and 60 seconds, as implants do, are uneven
//! by every measure of deviation, but never below the one nor above the other, as chance would be.

/// A flow of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// IP bytes that the client sent.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// Groups of flows that begin together.
    pub beats: usize,
    /// Median gap between beats and the median deviation from it, seconds.
    pub gap: f64,
    pub deviation: f64,
    /// Regularity of the gaps.
    pub timing: f64,
    /// Regularity of what the client sent in each flow.
    pub sizes: f64,
    /// How evenly the beats spread over the span.
    pub steadiness: f64,
    /// Longest part of the span without a hole.
    pub coverage: f64,
    /// Share of the gaps in the octave where most lie, and how probable so many there are by chance.
    pub band: f64,
    pub chance: f64,
}

impl Score {
    /// How regular the gaps are, by the better of both measures.
    pub(crate) const fn gaps(&self) -> f64 {
        self.timing.max(self.band)
    }

    pub(crate) const fn total(&self) -> f64 {
        (self.gaps() + self.sizes + self.steadiness + self.coverage) / 4.0
    }

    /// Of calls in the order of their starts; `None` for fewer than `min_beats`, or all at one moment.
    pub(crate) fn of(calls: &[Call], min_beats: usize) -> Option<Self> {
        let starts: Vec<i64> = calls.iter().map(|call| call.start).collect();
        let beats = beats(&starts);
        if beats.len() < min_beats.max(4) {
            return None;
        }
        let mut gaps = gaps(&beats);
        gaps.sort_unstable_by(f64::total_cmp);
        let mut sizes: Vec<f64> = calls.iter().map(|call| call.bytes as f64).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let median = quantile(&gaps, 0.5);
        let counts = spread(&beats)?;
        let (begin, end) = densest(&gaps, 2.0);
        Some(Self {
            band: (end - begin) as f64 / gaps.len() as f64,
            chance: chance(gaps.len(), end - begin),
            beats: beats.len(),
            gap: median,
            deviation: deviation(&gaps, median),
            timing: regularity(&gaps),
            sizes: regularity(&sizes),
            steadiness: steadiness(&counts),
            coverage: coverage(&counts),
        })
    }
}

/// Flows that begin within a tenth of a usual long gap (third quartile) after the last beat belong to it.
fn beats(starts: &[i64]) -> Vec<i64> {
    let mut between = gaps(starts);
    between.sort_unstable_by(f64::total_cmp);
    let together = quantile(&between, 0.75) / 10.0;
    let mut beats: Vec<i64> = Vec::with_capacity(starts.len());
    for start in starts {
        if beats
            .last()
            .is_none_or(|last| start.saturating_sub(*last) as f64 / 1e9 > together)
        {
            beats.push(*start);
        }
    }
    beats
}

fn gaps(starts: &[i64]) -> Vec<f64> {
    let pairs = starts.iter().zip(starts.iter().skip(1));
    pairs.map(|(a, b)| b.saturating_sub(*a) as f64 / 1e9).collect()
}

/// 1 for equal values or values that lie at two points; for others by skew and deviation.
fn regularity(sorted: &[f64]) -> f64 {
    let median = quantile(sorted, 0.5);
    let evenness = if median > 0.0 {
        f64::max(0.0, (median - deviation(sorted, median)) / median)
    } else {
        0.0
    };
    f64::max(
        f64::midpoint(1.0 - skew(sorted).abs(), evenness),
        two_points(sorted),
    )
}

/// Bowley's skewness; 0 where quartiles lie within 5 % of the median, or a quartile on it.
fn skew(sorted: &[f64]) -> f64 {
    let [q1, q2, q3] = [0.25, 0.5, 0.75].map(|share| quantile(sorted, share));
    if q3 - q1 <= 0.05 * q2 || q2 == q1 || q2 == q3 {
        return 0.0;
    }
    (q1 + q3 - 2.0 * q2) / (q3 - q1)
}

/// Share of the values within ±5 % of one of the two points where most lie.
fn two_points(sorted: &[f64]) -> f64 {
    let (begin, end) = densest(sorted, TOGETHER);
    let rest: Vec<f64> = [&sorted[..begin], &sorted[end..]].concat();
    let (second, end_second) = densest(&rest, TOGETHER);
    (end - begin + end_second - second) as f64 / sorted.len().max(1) as f64
}

/// Values of which the largest is at most a tenth above the smallest lie at one point.
const TOGETHER: f64 = 1.1;

/// The longest run of values of which the largest is at most `factor` times the smallest.
fn densest(sorted: &[f64], factor: f64) -> (usize, usize) {
    let (mut best, mut begin) = ((0, 0), 0);
    for end in 1..=sorted.len() {
        while sorted[end - 1] > sorted[begin] * factor {
            begin += 1;
        }
        if end - begin > best.1 - best.0 {
            best = (begin, end);
        }
    }
    best
}

/// At most so probable is it that `inside` of `gaps` gaps between calls that have nothing to do with each other (a Poisson
/// process) lie within some octave. One gap lies in `[a, 2a)` with e^(−a/m) − e^(−2a/m) ≤ 1/4; the octave may begin at any gap.
fn chance(gaps: usize, inside: usize) -> f64 {
    let Some(others) = gaps.checked_sub(1) else {
        return 1.0;
    };
    let least = inside.saturating_sub(1);
    // (3/4)^n and on by the ratio of neighbours; n is at most 127, so nothing underflows.
    let mut exactly = 0.75_f64.powi(others as i32);
    let mut tail = 0.0;
    for k in 0..=others {
        if k >= least {
            tail += exactly;
        }
        exactly *= (others - k) as f64 / (k + 1) as f64 / 3.0;
    }
    (tail * gaps as f64).min(1.0)
}

/// Beats in each of 2 to 24 equal parts of the span, four a part where there are few; `None` without a span.
fn spread(beats: &[i64]) -> Option<Vec<u32>> {
    let (first, last) = (*beats.first()?, *beats.last()?);
    let span = last.checked_sub(first).filter(|span| *span > 0)?;
    let mut counts = vec![0; (beats.len() / 4).clamp(2, 24)];
    let parts = counts.len();
    for beat in beats {
        let part = i128::from(beat - first) * parts as i128 / (i128::from(span) + 1);
        counts[part as usize] += 1;
    }
    Some(counts)
}

/// 1 − standard deviation / mean, not below 0.
fn steadiness(counts: &[u32]) -> f64 {
    let mean = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
    let squares: f64 = counts
        .iter()
        .map(|count| (f64::from(*count) - mean).powi(2))
        .sum();
    f64::max(0.0, 1.0 - (squares / counts.len() as f64).sqrt() / mean)
}

/// Share of the parts in the longest run of parts that are not empty.
fn coverage(counts: &[u32]) -> f64 {
    let longest = counts.split(|count| *count == 0).map(<[u32]>::len).max();
    longest.unwrap_or(0) as f64 / counts.len() as f64
}

/// Median absolute deviation.
fn deviation(sorted: &[f64], median: f64) -> f64 {
    let mut distances: Vec<f64> = sorted.iter().map(|value| (value - median).abs()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    quantile(&distances, 0.5)
}

/// Between the two nearest values; 0 without values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = share * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(gaps: impl IntoIterator<Item = f64>, bytes: u64) -> Score {
        let mut now = 0.0;
        let starts = std::iter::once(0.0).chain(gaps.into_iter().map(|gap| {
            now += gap;
            now
        }));
        let calls: Vec<Call> = starts
            .map(|start| Call {
                start: (start * 1e9) as i64,
                bytes,
            })
            .collect();
        Score::of(&calls, 4).expect("enough beats")
    }

    #[test]
    fn a_clock_is_perfect_at_any_pace() {
        for gap in [0.01, 0.53, 2.0, 60.0, 3_600.0, 86_000.0] {
            let score = score([gap; 40], 120);
            assert!(score.total() > 0.97, "{gap}: {score:?}");
            assert!((score.gap - gap).abs() < 1e-6 && score.deviation < 1e-6);
        }
    }

    #[test]
    fn retries_of_an_operating_system_are_regular() {
        let gaps = [0.53, 0.53, 1.03].into_iter().cycle().take(300);
        let score = score(gaps, 104);
        assert!(score.timing > 0.99 && score.total() > 0.9, "{score:?}");
    }

    #[test]
    fn flows_that_begin_together_are_one_beat() {
        let gaps = [0.01, 0.02, 60.0].into_iter().cycle().take(90);
        let score = score(gaps, 700);
        assert_eq!(score.beats, 31);
        assert!(score.timing > 0.99, "{score:?}");
    }

    #[test]
    fn growing_gaps_and_bursts_are_not_regular() {
        let growing = score((0..40).map(|n| 1.2_f64.powi(n)), 700);
        assert!(growing.timing < 0.6, "{growing:?}");
        let bursts = [
            0.3, 5.0, 0.9, 2.0, 400.0, 0.4, 31.0, 7.0, 0.8, 1_100.0, 13.0, 90.0,
        ];
        let bursts = score(bursts.into_iter().cycle().take(48), 700);
        assert!(bursts.timing < 0.6 && bursts.total() < 0.8, "{bursts:?}");
    }

    #[test]
    fn nothing_to_say() {
        let same = [Call { start: 5, bytes: 1 }; 50];
        assert_eq!(Score::of(&same, 4), None);
        assert_eq!(Score::of(&[], 4), None);
        let ends = [i64::MIN, -1, 0, 1, i64::MAX].map(|start| Call {
            start,
            bytes: u64::MAX,
        });
        assert!(Score::of(&ends, 4).is_none_or(|score| score.total().is_finite()));
    }

    /// Share of made-up channels that the default limits report, judged at so many flows.
    fn reported(gap: impl FnMut(f64) -> f64) -> f64 {
        reported_at(60, gap)
    }

    fn reported_at(flows: usize, mut gap: impl FnMut(f64) -> f64) -> f64 {
        let mut word = 1_u64;
        let mut unit = || {
            word = word
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            (word >> 11) as f64 / (1_u64 << 53) as f64
        };
        let config = crate::beaconing::Config::default();
        let reported =
            (0..1_000).filter(|_| config.beats(&score((1..flows).map(|_| 30.0 * gap(unit())), 500)));
        reported.count() as f64 / 1_000.0
    }

    /// The figures in `docs/detections.md`.
    #[test]
    fn jitter_is_found_and_chance_is_not() {
        let clock = reported(|unit| 0.95 + 0.1 * unit);
        let jitter_30 = reported(|unit| 0.7 + 0.6 * unit);
        let jitter_50 = reported(|unit| 0.5 + unit);
        let any_gap = reported(|unit| 2.0 * unit);
        let poisson = reported(|unit| -(1.0 - unit).ln());
        let found = [clock, jitter_30, jitter_50, any_gap, poisson];
        assert!(clock == 1.0 && jitter_30 > 0.99, "{found:?}");
        assert!(jitter_50 > 0.4 && any_gap < 0.08 && poisson < 0.01, "{found:?}");
        // Ten flows say less: what has no rhythm must stay rare, what has one must be found.
        let few = [
            reported_at(10, |unit| 0.7 + 0.6 * unit),
            reported_at(10, |unit| 2.0 * unit),
            reported_at(10, |unit| -(1.0 - unit).ln()),
        ];
        assert!(few[0] > 0.9 && few[1] < 0.25 && few[2] < 0.02, "{few:?}");
    }

    /// An implant that sleeps between 30 and 60 seconds, its hello before that, and results that go out with an order.
    #[test]
    fn a_sleep_drawn_between_two_values_is_a_rhythm() {
        let gaps = [6.0, 0.6, 41.0, 34.0, 56.0, 44.0, 57.0, 56.0, 0.05, 51.0, 34.0];
        let found = score(gaps, 498);
        let config = crate::beaconing::Config::default();
        assert!(
            found.timing < 0.9 && found.band > 0.88 && found.chance < 0.01,
            "{found:?}"
        );
        assert!(config.beats(&found), "{found:?}");
    }

    #[test]
    fn chance_of_an_octave() {
        // All of n gaps: n · (1/4)^(n−1).
        for gaps in [2_usize, 5, 9, 127] {
            let all = gaps as f64 * 0.25_f64.powi(gaps as i32 - 1);
            assert!((chance(gaps, gaps) - all.min(1.0)).abs() < 1e-12, "{gaps}");
        }
        assert_eq!((chance(0, 0), chance(1, 1), chance(9, 1)), (1.0, 1.0, 1.0));
        let falling: Vec<f64> = (1..=60).map(|inside| chance(60, inside)).collect();
        assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]), "{falling:?}");
    }
}
