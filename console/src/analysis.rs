//! What passes from a source to the profiler, counted on its way.

use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;
use lynceus_sensor::source::{Event, Source, Status};

/// Sees flow reports on their way.
pub trait Witness {
    /// # Errors
    /// Whatever it cannot do; the source then fails with it.
    fn flow(&mut self, update: &FlowUpdate) -> anyhow::Result<()>;

    /// A message of a flow.
    ///
    /// # Errors
    /// As [`Witness::flow`].
    fn app(&mut self, _record: &AppRecord) -> anyhow::Result<()> {
        Ok(())
    }
}

/// A source whose flow reports are counted and shown to a witness.
pub struct Tap<S, W> {
    pub source: S,
    pub witness: W,
    /// A flow that is reported in parts counts once.
    pub flows: u64,
    /// Packets in the reports: what the accounting law calls recorded.
    pub packets: u64,
    /// Newest packet of a flow.
    pub last: Option<Timestamp>,
}

impl<S, W> Tap<S, W> {
    pub const fn new(source: S, witness: W) -> Self {
        Self {
            source,
            witness,
            flows: 0,
            packets: 0,
            last: None,
        }
    }
}

impl<S: Source, W: Witness> Source for Tap<S, W> {
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status> {
        let before = events.len();
        let status = self.source.next(events);
        for event in &events[before..] {
            match event {
                Event::Flow(update) => {
                    self.flows += u64::from(update.part == 0);
                    self.packets += update.new_out.packets + update.new_back.packets;
                    self.last = self.last.max(Some(update.flow.last));
                    self.witness.flow(update)?;
                }
                Event::App(record) => self.witness.app(record)?,
            }
        }
        status
    }

    fn watermark(&self) -> Timestamp {
        self.source.watermark()
    }

    fn origin(&self) -> Option<Timestamp> {
        self.source.origin()
    }
}
