//! Where evidence and alerts go besides the store.

mod jsonl;
mod log;

use std::io;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

pub use jsonl::JsonLines;
pub use log::LogLine;

/// Somebody who wants to hear of evidence and alerts, each once and in order.
pub trait Sink: Send {
    /// Name in logs and metrics.
    fn name(&self) -> &str;

    /// # Errors
    /// It was not taken; it is not offered again.
    fn evidence(&mut self, evidence: &Evidence) -> io::Result<()>;

    /// # Errors
    /// It was not taken; it is not offered again.
    fn alert(&mut self, alert: &Alert) -> io::Result<()>;
}
