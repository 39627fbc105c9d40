//! How unusual each feature of a window is, against its peers and against the profile's own past.

use super::{Drawing, short};

/// A feature of an account.
#[derive(Clone, Debug)]
pub struct Surprisal {
    pub name: String,
    /// As people read it.
    pub value: String,
    /// Nats.
    pub peers: f64,
    /// Absent without a past of its own.
    pub own: Option<f64>,
    /// What is usual, and how rare this is.
    pub note: String,
    /// It is one of those that make the score.
    pub counts: bool,
}

/// Two bars for each feature, the upper one against the peers, the lower one against the own past. One scale for all.
#[must_use]
pub fn account(features: &[Surprisal]) -> String {
    const ROW: f64 = 50.0;
    const LEFT: f64 = 210.0;
    const RIGHT: f64 = 560.0;
    const W: f64 = 720.0;
    let height = 24.0 + ROW * features.len() as f64;
    let mut drawing = Drawing::new(
        "chart account",
        W as u32,
        height as u32,
        "how unusual each feature is, against peers above, against its own past below, in nats",
    );
    drawing.rect("evidence", (LEFT, 4.0), (14.0, 8.0), "");
    drawing.text("axis", (LEFT + 20.0, 12.0), "start", "against peers");
    drawing.rect("traffic", (LEFT + 130.0, 4.0), (14.0, 8.0), "");
    drawing.text("axis", (LEFT + 150.0, 12.0), "start", "against its own past");
    let most = features
        .iter()
        .flat_map(|feature| [Some(feature.peers), feature.own])
        .flatten()
        .filter(|nats| nats.is_finite())
        .fold(1.0, f64::max);
    let width = |nats: f64| {
        if nats.is_finite() {
            (RIGHT - LEFT) * (nats / most).clamp(0.0, 1.0)
        } else {
            0.0
        }
    };
    for (at, feature) in features.iter().enumerate() {
        let y = 24.0 + ROW * at as f64;
        let class = if feature.counts { "name" } else { "quiet" };
        drawing.text(
            class,
            (0.0, y + 16.0),
            "start",
            &short(&feature.name.replace('_', " "), 28),
        );
        drawing.rect("slot", (LEFT, y + 4.0), (RIGHT - LEFT, 10.0), "");
        drawing.rect("evidence", (LEFT, y + 4.0), (width(feature.peers), 10.0), "");
        drawing.rect("slot", (LEFT, y + 17.0), (RIGHT - LEFT, 10.0), "");
        match feature.own {
            Some(own) => drawing.rect("traffic", (LEFT, y + 17.0), (width(own), 10.0), ""),
            None => drawing.text("axis", (LEFT + 4.0, y + 26.0), "start", "no past of its own"),
        }
        drawing.text("number", (W, y + 16.0), "end", &short(&feature.value, 24));
        drawing.text("axis", (LEFT, y + 41.0), "start", &short(&feature.note, 90));
    }
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(peers: f64, own: Option<f64>) -> Surprisal {
        Surprisal {
            name: "dst_ips".to_owned(),
            value: "4,210".to_owned(),
            peers,
            own,
            note: "peers' median 6 & own 5".to_owned(),
            counts: true,
        }
    }

    #[test]
    fn bars_are_in_proportion_and_odd_numbers_are_drawn_too() {
        let svg = account(&[feature(20.0, Some(10.0)), feature(f64::NAN, None)]);
        assert!(
            svg.contains("dst ips") && svg.contains("no past of its own"),
            "{svg}"
        );
        assert!(svg.contains("median 6 &amp; own 5"));
        assert!(
            svg.contains("width=\"350.0\" height=\"10.0\"") && svg.contains("width=\"175.0\""),
            "{svg}"
        );
        assert!(!svg.contains("NaN"), "{svg}");
        assert!(account(&[]).contains("<svg"));
    }
}
