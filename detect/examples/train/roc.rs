//! How good a model is on traces that it did not see, as markdown.

use std::fmt::Write as _;

use crate::traces::{Kind, Trace};

/// Highest score of each trace, with its kind.
pub(crate) struct Scores(Vec<(Kind, f32)>);

impl Scores {
    pub(crate) fn of(traces: &[Trace], highest: impl Fn(&[u8]) -> f32) -> Self {
        Self(
            traces
                .iter()
                .map(|trace| (trace.kind, highest(&trace.letters)))
                .collect(),
        )
    }

    /// Share of the traces, malicious or good, that score above the limit.
    pub(crate) fn rate(&self, malicious: bool, limit: f32) -> f64 {
        share(
            self.0.iter().filter(|(kind, _)| kind.malicious() == malicious),
            limit,
        )
    }

    fn rate_of(&self, kind: Kind, limit: f32) -> f64 {
        share(self.0.iter().filter(|(other, _)| *other == kind), limit)
    }

    /// The limit that at most this share of the good traces exceed.
    pub(crate) fn limit(&self, false_alarms: f64) -> f32 {
        let good = self.0.iter().filter(|(kind, _)| !kind.malicious());
        let mut scores: Vec<f32> = good.map(|(_, score)| *score).collect();
        scores.sort_by(f32::total_cmp);
        let allowed = (scores.len() as f64 * false_alarms) as usize;
        scores[scores.len() - 1 - allowed]
    }

    /// Chance that a malicious trace scores above a good one.
    pub(crate) fn area(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.0.malicious().cmp(&a.0.malicious())));
        let (mut good, mut above) = (0_u64, 0_u64);
        for (kind, _) in &sorted {
            if kind.malicious() {
                above += good;
            } else {
                good += 1;
            }
        }
        above as f64 / (good * (sorted.len() as u64 - good)).max(1) as f64
    }

    pub(crate) fn by_kind(&self, limit: f32) -> String {
        let mut table = "| trace | judged as a channel |\n|---|---:|\n".to_owned();
        for kind in Kind::ALL {
            let name = if kind.malicious() { "C&C" } else { "good" };
            // Writing to a string does not fail.
            let _ = writeln!(
                table,
                "| {name}: {kind:?} | {:.2} % |",
                100.0 * self.rate_of(kind, limit)
            );
        }
        table
    }
}

fn share<'a>(scores: impl Iterator<Item = &'a (Kind, f32)>, limit: f32) -> f64 {
    let (mut all, mut above) = (0_u32, 0_u32);
    for (_, score) in scores {
        all += 1;
        above += u32::from(*score > limit);
    }
    f64::from(above) / f64::from(all.max(1))
}

/// Detection at some rates of false alarms.
pub(crate) fn table(models: &[(&str, &Scores)]) -> String {
    let mut table = "| model | area under ROC".to_owned();
    const RATES: [f64; 4] = [0.0005, 0.001, 0.005, 0.01];
    for rate in RATES {
        let _ = write!(table, " | found at {:.2} % false", rate * 100.0);
    }
    table.push_str(" |\n|---|---:|---:|---:|---:|---:|\n");
    for (name, scores) in models {
        let _ = write!(table, "| {name} | {:.4}", scores.area());
        for rate in RATES {
            let _ = write!(table, " | {:.1} %", 100.0 * scores.rate(true, scores.limit(rate)));
        }
        table.push_str(" |\n");
    }
    table
}
