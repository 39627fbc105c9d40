//! Where traffic comes from. Every source ends in the same events, so everything behind it is the same code.

mod argus;
pub mod files;
pub mod follow;
mod input;
pub mod kernel;
pub mod log;
pub mod netflow;
mod nfdump;
pub mod pcap;
mod recognize;
mod suricata;
pub(crate) mod zeek;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;

/// What a source tells the profiler.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Flow(Box<FlowUpdate>),
    App(Box<AppRecord>),
}

impl Event {
    /// Event time: when the flow began or the message was seen.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        match self {
            Self::Flow(update) => update.flow.first,
            Self::App(record) => record.time,
        }
    }

    /// Packets that a flow report adds.
    #[must_use]
    pub fn packets(&self) -> u64 {
        match self {
            Self::Flow(update) => update.new_out.packets + update.new_back.packets,
            Self::App(_) => 0,
        }
    }
}

/// What the last call of [`Source::next`] left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Call again at once.
    More,
    /// Nothing now; call again after a short wait.
    Idle,
    /// Nothing will ever come again; everything was flushed.
    Ended,
}

/// A source of events: kernel capture, capture files, flow logs.
pub trait Source {
    /// Appends the next events. A source appends a bounded number (at most about 4,096) per call.
    ///
    /// # Errors
    /// What was readable before the fault was already handed out; the error names file and offset, or interface.
    fn next(&mut self, events: &mut Vec<Event>) -> anyhow::Result<Status>;

    /// Newest packet that was handled. Flows that began earlier may still be open.
    fn watermark(&self) -> Timestamp;

    /// From where windows are counted: the first packet of a file, known with the first events at the latest. `None`:
    /// the Unix epoch.
    fn origin(&self) -> Option<Timestamp> {
        None
    }
}
