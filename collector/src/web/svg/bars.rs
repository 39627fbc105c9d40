//! Counts over time, windows of a profile, shares and small lines.

use lynceus_model::time::Timestamp;
use lynceus_view::human::{Clock, count, plural};

use super::Drawing;

/// What happened in one slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub evidence: u64,
    pub alerts: u64,
}

/// Slices of equal width that hold all `times` (in any order), at most `most` of them; their start and width in seconds.
/// Widths are those that people count in.
#[must_use]
pub fn buckets(evidence: &[Timestamp], alerts: &[Timestamp], most: usize) -> (Timestamp, i64, Vec<Bucket>) {
    const WIDTHS: [i64; 14] = [
        1, 10, 60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_419_200, 31_536_000,
    ];
    const SECOND: i64 = 1_000_000_000;
    let all = || {
        evidence
            .iter()
            .chain(alerts)
            .map(|time| time.0.div_euclid(SECOND))
    };
    let (Some(first), Some(last)) = (all().min(), all().max()) else {
        return (Timestamp(0), 1, Vec::new());
    };
    let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
    let fits = |width: &i64| last.div_euclid(*width) - first.div_euclid(*width) < most;
    // Beyond a year a slice, whatever is needed.
    let width = WIDTHS
        .into_iter()
        .find(|width| fits(width))
        .unwrap_or((last - first) / most + 1);
    let start = first.div_euclid(width);
    let len = usize::try_from(last.div_euclid(width) - start + 1).unwrap_or(1);
    let mut slices = vec![Bucket::default(); len];
    let place = |time: &Timestamp| usize::try_from(time.0.div_euclid(SECOND).div_euclid(width) - start).ok();
    for slice in evidence.iter().filter_map(place) {
        slices[slice].evidence += 1;
    }
    for slice in alerts.iter().filter_map(place) {
        slices[slice].alerts += 1;
    }
    (Timestamp::from_secs(start * width), width, slices)
}

/// Evidence over time with the slices that hold alerts marked.
#[must_use]
pub fn time_bars(start: Timestamp, width: i64, slices: &[Bucket], clock: &Clock) -> String {
    const W: f64 = 720.0;
    const H: f64 = 150.0;
    const LEFT: f64 = 34.0;
    const TOP: f64 = 10.0;
    const BASE: f64 = 124.0;
    let evidence: u64 = slices.iter().map(|slice| slice.evidence).sum();
    let alerts: u64 = slices.iter().map(|slice| slice.alerts).sum();
    let label = format!(
        "{} and {} over time",
        plural(evidence, "piece of evidence", "pieces of evidence"),
        plural(alerts, "alert", "alerts")
    );
    let mut drawing = Drawing::new("chart", W as u32, H as u32, &label);
    let highest = slices
        .iter()
        .map(|slice| slice.evidence.max(slice.alerts))
        .max()
        .unwrap_or(0)
        .max(1);
    // Even, so that the line in the middle stands for a whole number.
    let highest = if highest > 1 {
        highest.next_multiple_of(2)
    } else {
        highest
    };
    for part in [0.5, 1.0] {
        let y = BASE - part * (BASE - TOP);
        drawing.line("grid", (LEFT, y), (W, y));
        let value = (highest as f64 * part).round() as u64;
        if part == 1.0 || highest > 1 {
            drawing.text(
                "axis",
                (LEFT - 5.0, y + 4.0),
                "end",
                &lynceus_view::human::short_count(value),
            );
        }
    }
    drawing.line("base", (LEFT, BASE), (W, BASE));
    let step = (W - LEFT) / slices.len().max(1) as f64;
    let bar = (step * 0.8).clamp(1.0, 40.0);
    for (at, slice) in slices.iter().enumerate() {
        let from = start.saturating_add(std::time::Duration::from_secs((at as u64) * width.unsigned_abs()));
        let title = format!(
            "{} {}: {} evidence, {}",
            clock.date_minute(from),
            clock.label(),
            count(slice.evidence),
            plural(slice.alerts, "alert", "alerts")
        );
        let x = LEFT + step * at as f64 + (step - bar) / 2.0;
        let height = |value: u64| (BASE - TOP) * value as f64 / highest as f64;
        if slice.evidence > 0 {
            let height = height(slice.evidence).max(2.0);
            drawing.rect("evidence", (x, BASE - height), (bar, height), &title);
        }
        if slice.alerts > 0 {
            let height = height(slice.alerts).max(4.0);
            drawing.rect("alert", (x, BASE - height), (bar, height), &title);
        }
    }
    let end = start.saturating_add(std::time::Duration::from_secs(
        (slices.len() as u64).saturating_mul(width.unsigned_abs()),
    ));
    // Within some minutes both ends would read the same.
    let short = end.since(start) < std::time::Duration::from_secs(600);
    let ends = |time| {
        if short {
            clock.date_time(time)
        } else {
            clock.date_minute(time)
        }
    };
    drawing.text("axis", (LEFT, H - 8.0), "start", &ends(start));
    drawing.text(
        "axis",
        (W, H - 8.0),
        "end",
        &format!("{} {}", ends(end), clock.label()),
    );
    drawing.finish()
}

/// One window in the strip of a profile.
#[derive(Clone, Debug)]
pub struct Strip {
    pub href: String,
    pub title: String,
    pub threat: f64,
    pub alerts: u64,
    pub evidence: u64,
    /// Relative amount of traffic, 0 to 1.
    pub traffic: f64,
    pub selected: bool,
}

/// Windows of a profile as bars: traffic below, threat above, the line is the threshold of an alert.
#[must_use]
pub fn strip(windows: &[Strip], threshold: f64) -> String {
    const H: f64 = 90.0;
    const BASE: f64 = 62.0;
    const TOP: f64 = 6.0;
    const LOW: f64 = 84.0;
    let step = (720.0 / windows.len().max(1) as f64).clamp(4.0, 36.0);
    let width = (step * windows.len() as f64).max(160.0);
    let mut drawing = Drawing::new("chart strip", width as u32, H as u32, "windows of this profile");
    let highest = windows
        .iter()
        .map(|window| window.threat)
        .fold(threshold, f64::max)
        .max(f64::MIN_POSITIVE);
    for (at, window) in windows.iter().enumerate() {
        let x = step * at as f64;
        drawing.link(&window.href, &window.title);
        let back = if window.selected { "slot selected" } else { "slot" };
        drawing.rect(back, (x, 0.0), (step - 1.0, H), &window.title);
        let class = match window {
            Strip { alerts: 1.., .. } => "alert",
            Strip { evidence: 1.., .. } => "evidence",
            _ => "quiet",
        };
        let height = (BASE - TOP) * (window.threat / highest).clamp(0.0, 1.0);
        drawing.rect(
            class,
            (x + 1.0, BASE - height.max(1.5)),
            (step - 3.0, height.max(1.5)),
            "",
        );
        let traffic = (LOW - BASE - 4.0) * window.traffic.clamp(0.0, 1.0);
        drawing.rect(
            "traffic",
            (x + 1.0, BASE + 4.0),
            (step - 3.0, traffic.max(1.0)),
            "",
        );
        drawing.end_link();
    }
    if threshold > 0.0 {
        let y = BASE - (BASE - TOP) * (threshold / highest).clamp(0.0, 1.0);
        drawing.line("threshold", (0.0, y), (width, y));
    }
    drawing.finish()
}

/// A share of a whole on a log scale, as in Kalipso's gauges: 1 is a hair, the largest fills it.
#[must_use]
pub fn share(value: u64, largest: u64) -> String {
    let part = if largest == 0 || value == 0 {
        0.0
    } else {
        (1.0 + value as f64).ln() / (1.0 + largest as f64).ln()
    };
    let mut drawing = Drawing::new("share", 80, 8, "");
    drawing.rect("slot", (0.0, 0.0), (80.0, 8.0), "");
    drawing.rect("traffic", (0.0, 0.0), (80.0 * part, 8.0), "");
    drawing
        .finish()
        .replace(r#" role="img" aria-label="""#, r#" aria-hidden="true""#)
}

/// A line of the last values, the newest on the right.
#[must_use]
pub fn spark(values: &[f64], label: &str) -> String {
    let mut drawing = Drawing::new("spark", 120, 28, label);
    let highest = values.iter().copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let step = 120.0 / values.len().saturating_sub(1).max(1) as f64;
    for (at, pair) in values.windows(2).enumerate() {
        let y = |value: f64| 26.0 - 24.0 * (value / highest).clamp(0.0, 1.0);
        let x = step * at as f64;
        drawing.line("line", (x, y(pair[0])), (x + step, y(pair[1])));
    }
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: &[i64]) -> Vec<Timestamp> {
        seconds.iter().copied().map(Timestamp::from_secs).collect()
    }

    #[test]
    fn slices_hold_everything_and_are_few() {
        let (start, width, slices) = buckets(&at(&[10, 20, 7300]), &at(&[7200]), 60);
        assert_eq!((start, width), (Timestamp::from_secs(0), 300));
        assert_eq!(slices.len(), 25);
        assert_eq!(slices[0].evidence, 2);
        assert_eq!(
            slices[24],
            Bucket {
                evidence: 1,
                alerts: 1
            }
        );
        let (_, _, slices) = buckets(
            &at(&[i64::MIN / 2_000_000_000, i64::MAX / 2_000_000_000]),
            &[],
            60,
        );
        assert!(slices.len() <= 61, "{}", slices.len());
        assert!(buckets(&[], &[], 60).2.is_empty());
    }

    #[test]
    fn the_line_in_the_middle_is_half_of_the_one_above() {
        let axis = |evidence: u64| -> Vec<String> {
            let slices = [Bucket { evidence, alerts: 0 }];
            let svg = time_bars(Timestamp::from_secs(0), 60, &slices, &Clock::utc());
            let labels = svg.split("<text ").skip(1).take(2);
            labels
                .map(|text| text[text.find('>').unwrap() + 1..text.find('<').unwrap()].to_owned())
                .collect()
        };
        assert_eq!(axis(25), ["13", "26"]);
        assert_eq!(axis(24), ["12", "24"]);
        assert_eq!(axis(1)[0], "1");
    }

    #[test]
    fn shares_are_logarithmic() {
        let width = |svg: &str| -> f64 {
            let at = svg.rfind("width=\"").unwrap() + 7;
            svg[at..].split('"').next().unwrap().parse().unwrap()
        };
        assert_eq!(width(&share(1000, 1000)), 80.0);
        assert_eq!(width(&share(0, 1000)), 0.0);
        let middle = width(&share(31, 1000));
        assert!((38.0..42.0).contains(&middle), "{middle}");
    }
}
