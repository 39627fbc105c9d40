//! From a source to profiles: reads events, feeds the profiler, hands its updates on. The same code for files and live.

use lynceus_model::flow::FlowUpdate;
use lynceus_model::profiler::Profiler;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowUpdate;
use lynceus_sensor::source::{Event, Source, Status};

/// Source and profiler with their buffers.
pub struct Analysis {
    profiler: Profiler,
    updates: Vec<WindowUpdate>,
    flows: u64,
}

impl Analysis {
    #[must_use]
    pub const fn new(profiler: Profiler) -> Self {
        Self { profiler, updates: Vec::new(), flows: 0 }
    }

    /// Flows so far; one that is reported in parts counts once.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.flows
    }

    #[must_use]
    pub const fn profiler(&self) -> &Profiler {
        &self.profiler
    }

    /// Feeds events to the profiler; `each_flow` sees every report on its way.
    ///
    /// # Errors
    /// Those of `each_flow`.
    pub fn feed<E>(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        mut each_flow: impl FnMut(&FlowUpdate) -> Result<(), E>,
    ) -> Result<(), E> {
        for event in events {
            match event {
                Event::Flow(update) => {
                    self.flows += u64::from(update.part == 0);
                    each_flow(&update)?;
                    self.profiler.observe(*update);
                }
                Event::App(record) => self.profiler.observe_app(*record),
            }
        }
        Ok(())
    }

    /// Nothing came: event time passes all the same.
    pub fn idle(&mut self, now: Timestamp) {
        self.profiler.idle(now);
    }

    /// The source ended.
    pub fn finish(&mut self) {
        self.profiler.finish();
    }

    /// Updates that are ready.
    pub fn ready(&mut self) -> std::vec::Drain<'_, WindowUpdate> {
        self.profiler.drain(&mut self.updates);
        self.updates.drain(..)
    }
}

/// Calls the source until it gives something or ends.
///
/// # Errors
/// Those of the source; what was readable before is in `events`.
pub fn first_events(source: &mut dyn Source, events: &mut Vec<Event>) -> anyhow::Result<Status> {
    loop {
        match source.next(events)? {
            Status::More if events.is_empty() => {}
            status => return Ok(status),
        }
    }
}
