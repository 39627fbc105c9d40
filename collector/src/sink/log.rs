//! One log line for each alert.

use std::io;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

use crate::sink::Sink;

/// Writes alerts to the program's log; evidence only at debug level.
#[derive(Debug, Default)]
pub struct LogLine;

impl Sink for LogLine {
    fn name(&self) -> &str {
        "log"
    }

    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()> {
        tracing::debug!(
            id = %evidence.id,
            kind = evidence.kind.name(),
            profile = %evidence.profile,
            level = evidence.threat_level.name(),
            confidence = evidence.confidence.value(),
            description = evidence.description,
            "evidence"
        );
        Ok(())
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        tracing::warn!(
            id = %alert.id,
            profile = %alert.profile,
            window = alert.window,
            sum = alert.sum,
            threshold = alert.threshold,
            terms = alert.terms.len(),
            "alert"
        );
        Ok(())
    }
}
