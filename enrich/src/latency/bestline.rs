//! How far a landmark's round-trip times usually mean: the line below its own measurements of known places
//! (constraint-based geolocation, Gueye et al. 2006).
//!
//! Routes are no great circles and queues take time, so the line promises less distance than light. It may be wrong,
//! so it only ranks places within the hard region.

/// `rtt = slope · distance + intercept`, below all measurements and as near to them as such a line can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bestline {
    /// ms of round trip per km, at least that of light in fiber.
    pub slope: f64,
    /// ms, at least 0.
    pub intercept: f64,
}

impl Bestline {
    /// The line for (distance in km, round-trip time in ms) of known places, for a speed in km/ms. O(n log n).
    ///
    /// `None` without points, and where light in fiber could not have made one of them: then a position is wrong.
    #[must_use]
    pub fn fit(points: &[(f64, f64)], speed_km_per_ms: f64) -> Option<Self> {
        let least = 2.0 / speed_km_per_ms;
        let good = |(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && *x >= 0.0 && *y >= least * *x;
        if points.is_empty() || !points.iter().all(good) {
            return None;
        }
        // The sum of heights above a line below all points is concave in its slope; the edge of the lower hull over
        // the mean distance is its top, and the bounds of slope and intercept cut it off.
        let hull = lower_hull(points);
        let mean = points.iter().map(|(x, _)| x / points.len() as f64).sum::<f64>();
        let edge = hull.windows(2).find(|edge| edge[1].0 >= mean);
        let free = edge.map_or(least, |edge| (edge[1].1 - edge[0].1) / (edge[1].0 - edge[0].0));
        let steepest = points
            .iter()
            .filter(|(x, _)| *x > 0.0)
            .map(|(x, y)| y / x)
            .fold(f64::MAX, f64::min);
        let slope = free.min(steepest).max(least);
        let room = hull.iter().map(|(x, y)| y - slope * x);
        let intercept = room.fold(f64::MAX, f64::min).max(0.0);
        Some(Self { slope, intercept })
    }

    /// The distance in km that a round-trip time usually means at most.
    #[must_use]
    pub fn reach_km(&self, rtt_ms: f64) -> f64 {
        ((rtt_ms - self.intercept) / self.slope).max(0.0)
    }
}

/// The lower convex hull, from left to right (Andrew's monotone chain).
fn lower_hull(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // Of several at one distance only the lowest can be on it.
    sorted.dedup_by(|next, kept| next.0 <= kept.0);
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for point in sorted {
        while let [.., a, b] = hull[..]
            && (b.0 - a.0) * (point.1 - a.1) <= (b.1 - a.1) * (point.0 - a.0)
        {
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEED: f64 = 199.86;

    fn heights(line: &Bestline, points: &[(f64, f64)]) -> f64 {
        points
            .iter()
            .map(|(x, y)| y - line.slope * x - line.intercept)
            .sum()
    }

    #[test]
    fn two_points_are_on_their_line() {
        let line = Bestline::fit(&[(100.0, 3.0), (1100.0, 18.0)], SPEED).unwrap();
        assert!((line.slope - 0.015).abs() < 1e-12);
        assert!((line.intercept - 1.5).abs() < 1e-12);
        assert!((line.reach_km(16.5) - 1000.0).abs() < 1e-9);
        assert!(line.reach_km(1.0) <= 0.0);
    }

    #[test]
    fn faster_than_light_and_nothing_make_no_line() {
        assert_eq!(Bestline::fit(&[], SPEED), None);
        assert_eq!(Bestline::fit(&[(1000.0, 9.0)], SPEED), None);
        assert_eq!(Bestline::fit(&[(f64::NAN, 9.0)], SPEED), None);
    }

    proptest! {
        /// No line through two of the points, or with a slope at a bound, that lies below all is nearer to them.
        #[test]
        fn no_other_line_below_is_nearer(
            points in prop::collection::vec((0.0f64..15_000.0, 1.0f64..3.0, 0.0f64..30.0), 1..12)
        ) {
            let least = 2.0 / SPEED;
            let points: Vec<(f64, f64)> = points.iter().map(|(x, factor, extra)| (*x, x * least * factor + extra)).collect();
            let line = Bestline::fit(&points, SPEED).unwrap();
            prop_assert!(line.slope >= least && line.intercept >= 0.0);
            let below = |line: &Bestline| points.iter().all(|(x, y)| line.slope * x + line.intercept <= y + 1e-9);
            prop_assert!(below(&line));
            let best = heights(&line, &points);
            let mut slopes = vec![least];
            for (x, y) in &points {
                if *x > 0.0 { slopes.push(y / x); }
                for (u, w) in &points {
                    if (x - u).abs() > 1e-9 { slopes.push((y - w) / (x - u)); }
                }
            }
            for slope in slopes.into_iter().filter(|slope| *slope >= least) {
                let intercept = points.iter().map(|(x, y)| y - slope * x).fold(f64::MAX, f64::min);
                if intercept < -1e-12 { continue; }
                let other = Bestline { slope, intercept: intercept.max(0.0) };
                prop_assert!(heights(&other, &points) >= best - 1e-6, "{other:?} beats {line:?}");
            }
        }
    }
}
