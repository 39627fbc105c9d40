//! Evidence and alerts as they come, on standard output.

use std::io;

use lynceus_collector::sink::Sink;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

use crate::alerts;
use crate::cli::output;
use crate::human::{self, Clock};
use crate::json::finding;
use crate::text::{Line, Tone};

/// Longest description on a line.
const MAX_DESCRIPTION: usize = 300;

/// A sink of the collector that prints.
pub(super) struct Printer {
    json: bool,
    clock: Clock,
}

impl Printer {
    pub(super) const fn new(json: bool, clock: Clock) -> Self {
        Self { json, clock }
    }
}

impl Sink for Printer {
    fn name(&self) -> &str {
        "terminal"
    }

    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()> {
        if self.json {
            let mut line = Vec::new();
            finding::write_evidence(&mut line, evidence);
            return output::raw(&line);
        }
        let level = evidence.threat_level;
        output::lines(&[
            Line::toned(Tone::Quiet, format!("{}  ", self.clock.date_time(evidence.last)))
                .and(Tone::of_level(level), format!("{:<8}  ", level.name()))
                .and(
                    Tone::Plain,
                    human::printable(&evidence.description, MAX_DESCRIPTION),
                ),
        ])
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        if self.json {
            let mut line = Vec::new();
            finding::write_alert(&mut line, alert);
            return output::raw(&line);
        }
        output::lines(&[
            Line::toned(Tone::Quiet, format!("{}  ", self.clock.date_time(alert.last))).and(
                Tone::Alert,
                format!(
                    "ALERT     {}: accumulated threat {:.2} ≥ {:.2}{}",
                    alert.profile,
                    alert.sum,
                    alert.threshold,
                    alerts::again(alert)
                ),
            ),
        ])
    }
}
