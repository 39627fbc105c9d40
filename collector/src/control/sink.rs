//! Alerts that block.

use std::io;
use std::sync::Arc;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;

use super::Control;
use crate::sink::Sink;

/// Blocks the profile of each alert, where `block.on_alert` says so.
pub struct BlockSink(pub Arc<Control>);

impl Sink for BlockSink {
    fn name(&self) -> &str {
        "block"
    }

    fn evidence(&mut self, _: &Evidence) -> io::Result<()> {
        Ok(())
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        let blocked = self.0.alert(alert, crate::now());
        blocked
            .map(|_| ())
            .map_err(|error| io::Error::other(error.to_string()))
    }
}
