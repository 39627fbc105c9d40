//! Why there is an alert: what each evidence adds to the sum, up to the threshold and beyond.

use lynceus_view::human;

use super::{Drawing, short};

/// What one evidence adds.
#[derive(Clone, Debug)]
pub struct Part {
    pub label: String,
    /// `high × 0.90`
    pub product: String,
    /// Name of the threat level.
    pub level: &'static str,
    pub weight: f64,
    pub href: String,
}

/// Terms that are drawn one by one; what is beyond is one bar.
const MOST: usize = 24;

/// A bar for each term, each beginning where the one before ended; the line is the threshold.
#[must_use]
pub fn terms(parts: &[Part], sum: f64, threshold: f64) -> String {
    const ROW: f64 = 26.0;
    const LEFT: f64 = 330.0;
    const RIGHT: f64 = 650.0;
    const W: f64 = 720.0;
    let shown = &parts[..parts.len().min(MOST)];
    let rest = &parts[shown.len()..];
    let rows = shown.len() + usize::from(!rest.is_empty()) + 1;
    let height = 20.0 + ROW * rows as f64 + 10.0;
    let label = format!(
        "{} add up to {sum:.2}; the threshold is {threshold:.2}",
        human::plural(parts.len() as u64, "term", "terms")
    );
    let mut drawing = Drawing::new("chart terms", W as u32, height as u32, &label);
    let scale = (RIGHT - LEFT) / sum.max(threshold).max(f64::MIN_POSITIVE);
    let mut done = 0.0;
    let mut y = 20.0;
    for part in shown {
        drawing.link(&part.href, &format!("{} adds {:.2}", part.label, part.weight));
        drawing.text("name", (0.0, y + 16.0), "start", &short(&part.label, 34));
        drawing.text("quiet", (LEFT - 10.0, y + 16.0), "end", &part.product);
        let class = format!("level-{}", part.level);
        let width = (part.weight * scale).max(1.5);
        drawing.rect(
            &class,
            (LEFT + done * scale, y + 4.0),
            (width, ROW - 10.0),
            &part.label,
        );
        drawing.text("number", (W, y + 16.0), "end", &format!("+{:.2}", part.weight));
        drawing.end_link();
        done += part.weight;
        y += ROW;
    }
    if !rest.is_empty() {
        let weight: f64 = rest.iter().map(|part| part.weight).sum();
        drawing.text(
            "quiet",
            (0.0, y + 16.0),
            "start",
            &format!("and {} more", human::count(rest.len() as u64)),
        );
        drawing.rect(
            "quiet",
            (LEFT + done * scale, y + 4.0),
            ((weight * scale).max(1.5), ROW - 10.0),
            "",
        );
        drawing.text("number", (W, y + 16.0), "end", &format!("+{weight:.2}"));
        y += ROW;
    }
    drawing.text("total", (0.0, y + 16.0), "start", "accumulated threat");
    drawing.rect("alert", (LEFT, y + 4.0), (sum * scale, ROW - 10.0), "");
    drawing.text("total", (W, y + 16.0), "end", &format!("{sum:.2}"));
    let x = LEFT + threshold * scale;
    drawing.line("threshold", (x, 16.0), (x, y + ROW));
    drawing.text("axis", (x, 11.0), "middle", &format!("threshold {threshold:.2}"));
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_is_drawn_or_counted() {
        let part = |n: usize| Part {
            label: format!("finding {n}"),
            product: "high × 0.50".into(),
            level: "high",
            weight: 0.4,
            href: format!("/evidence/{n}"),
        };
        let parts: Vec<Part> = (0..40).map(part).collect();
        let svg = terms(&parts, 16.0, 15.0);
        assert_eq!(svg.matches("class=\"level-high\"").count(), MOST);
        assert!(svg.contains("and 16 more"));
        assert!(svg.contains("+6.40"));
        assert!(svg.contains("threshold 15.00"));
    }
}
