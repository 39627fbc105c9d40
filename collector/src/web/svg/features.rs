//! The numbers behind an evidence, next to what is usual and from where on it counts.

use lynceus_model::evidence::Feature;
use lynceus_model::outlier::sentence::odds;
use lynceus_view::human;

use super::Drawing;

/// Ratio of the largest to the smallest number from which on the scale is logarithmic.
const LOG_FROM: f64 = 100.0;

/// A bar for each feature, with marks for the threshold and for what is usual.
#[must_use]
pub fn features(features: &[Feature]) -> String {
    const ROW: f64 = 44.0;
    const LEFT: f64 = 210.0;
    const RIGHT: f64 = 610.0;
    let height = ROW * features.len() as f64 + 6.0;
    let mut drawing = Drawing::new(
        "chart features",
        720,
        height as u32,
        "the numbers behind this finding",
    );
    for (at, feature) in features.iter().enumerate() {
        let y = ROW * at as f64;
        let name = super::short(&feature.name.replace('_', " "), 28);
        drawing.text("name", (0.0, y + 18.0), "start", &name);
        let known = [Some(feature.value), feature.threshold, feature.baseline];
        let numbers = || {
            known
                .iter()
                .flatten()
                .copied()
                .filter(|number| number.is_finite() && *number > 0.0)
        };
        let largest = numbers().fold(0.0, f64::max);
        let smallest = numbers().fold(f64::INFINITY, f64::min);
        let log = largest / smallest > LOG_FROM;
        let place = |value: f64| -> f64 {
            if !value.is_finite() || value <= 0.0 || largest <= 0.0 {
                return LEFT;
            }
            let part = if log {
                ((value / smallest).ln() + 1.0) / ((largest / smallest).ln() + 1.0)
            } else {
                value / largest
            };
            LEFT + (RIGHT - LEFT) * part.clamp(0.0, 1.0)
        };
        drawing.rect("slot", (LEFT, y + 7.0), (RIGHT - LEFT, 14.0), "");
        let beyond = feature
            .threshold
            .is_some_and(|threshold| feature.value >= threshold);
        let class = if beyond { "alert" } else { "evidence" };
        drawing.rect(class, (LEFT, y + 7.0), (place(feature.value) - LEFT, 14.0), "");
        let value = human::quantity(feature.value, &feature.unit);
        drawing.text("number", (720.0, y + 18.0), "end", &value);
        let mut notes = Vec::new();
        if let Some(threshold) = feature.threshold {
            let x = place(threshold);
            drawing.line("threshold", (x, y + 3.0), (x, y + 25.0));
            notes.push(format!(
                "counts from {}",
                human::quantity(threshold, &feature.unit)
            ));
        }
        if let Some(baseline) = feature.baseline {
            let x = place(baseline);
            drawing.line("usual", (x, y + 3.0), (x, y + 25.0));
            notes.push(format!("usual {}", human::quantity(baseline, &feature.unit)));
        }
        if let Some(nats) = feature.surprisal {
            notes.push(odds(nats, false));
        }
        if log {
            notes.push("log scale".to_owned());
        }
        drawing.text("axis", (LEFT, y + 35.0), "start", &notes.join(", "));
    }
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_numbers_are_drawn_too() {
        let feature = |value, threshold, baseline| Feature {
            name: "distinct_hosts".into(),
            value,
            unit: "hosts".into(),
            baseline,
            threshold,
            surprisal: baseline.map(|_| 9.3),
            own: None,
        };
        let svg = features(&[
            feature(12.0, Some(5.0), None),
            feature(f64::NAN, None, None),
            feature(-3.0, Some(0.0), Some(1e12)),
            feature(1e6, Some(10.0), Some(2.0)),
        ]);
        assert!(svg.contains("distinct hosts"));
        assert!(svg.contains("counts from 5 hosts"));
        assert!(svg.contains("usual 2 hosts, 1 in 10^4, log scale"));
        for attribute in ["x=\"NaN", "width=\"NaN", "x=\"inf", "width=\"inf"] {
            assert!(!svg.contains(attribute), "{attribute}");
        }
    }
}
