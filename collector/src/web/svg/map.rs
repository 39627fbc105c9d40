//! The world with the places of peers. The outline is Natural Earth's (public domain), made by `cargo xtask map`.

use std::fmt::Write as _;

use super::Escaped;

/// Land as an SVG path: 1440 × 720 units, a quarter of a degree each, the upper left corner at 180° W, 90° N.
const LAND: &str = include_str!("../../../data/world.path");

/// Something on the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Degrees; east and north are positive.
    pub longitude: f64,
    pub latitude: f64,
    /// Told when it is pointed at.
    pub title: String,
    pub href: String,
    /// Relative weight, 0 to 1.
    pub weight: f64,
    /// Evidence names it.
    pub bad: bool,
}

/// Points that are drawn; the heaviest come first, so these are the ones that matter.
const MOST: usize = 500;

/// A map of the points; the bad ones lie on top.
#[must_use]
pub fn world(points: &[Point]) -> String {
    let label = format!(
        "map of {}",
        lynceus_view::human::plural(points.len() as u64, "place", "places")
    );
    let mut svg = format!(
        r#"<svg class="map" viewBox="0 20 1440 580" role="img" aria-label="{}"><path class="land" d="{}"/>"#,
        Escaped(&label),
        LAND.trim_end()
    );
    for bad in [false, true] {
        for point in points.iter().take(MOST).filter(|point| point.bad == bad) {
            if !point.longitude.is_finite() || !point.latitude.is_finite() {
                continue;
            }
            let x = (point.longitude.clamp(-180.0, 180.0) + 180.0) * 4.0;
            let y = (90.0 - point.latitude.clamp(-90.0, 90.0)) * 4.0;
            let radius = 6.0 + 12.0 * point.weight.clamp(0.0, 1.0);
            // Writing into a string cannot fail.
            let _ = write!(
                svg,
                r#"<a href="{}" aria-label="{}"><circle class="{}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"><title>{}</title></circle></a>"#,
                Escaped(&point.href),
                Escaped(&point.title),
                if bad { "place bad" } else { "place" },
                Escaped(&point.title)
            );
        }
    }
    if points.is_empty() {
        svg.push_str(
            r#"<text class="quiet" x="720" y="320" text-anchor="middle">no peer whose place is known</text>"#,
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_where_they_are() {
        let point = Point {
            longitude: 14.4,
            latitude: 50.1,
            title: "Prague <CZ>".into(),
            href: "/ip/1.2.3.4".into(),
            weight: 1.0,
            bad: true,
        };
        let svg = world(&[point]);
        assert!(svg.contains(r#"cx="777.6" cy="159.6""#), "{svg}");
        assert!(svg.contains("Prague &lt;CZ&gt;") && !svg.contains("no peer"));
        assert!(world(&[]).contains("no peer whose place is known"));
    }

    #[test]
    fn the_outline_stays_on_the_map_and_draws_no_line_across_it() {
        let mut rings = 0;
        for ring in LAND.trim_end().trim_end_matches('z').split('z') {
            rings += 1;
            let (start, rest) = ring.trim_start_matches('M').split_once('l').unwrap();
            let mut numbers = start.split(' ').map(|number| number.parse::<i32>().unwrap());
            let (mut x, mut y) = (numbers.next().unwrap(), numbers.next().unwrap());
            let spaced = rest.replace('-', " -");
            let steps: Vec<i32> = spaced
                .split_whitespace()
                .map(|number| number.parse().unwrap())
                .collect();
            assert_eq!(steps.len() % 2, 0);
            for step in steps.chunks(2) {
                x += step[0];
                y += step[1];
                assert!((0..=1440).contains(&x) && (0..=720).contains(&y), "{x} {y}");
                assert!(step[0].abs() < 360, "a line across the map in {ring}");
            }
        }
        assert!(rings > 90, "{rings}");
    }
}
