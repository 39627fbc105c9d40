//! The way to the collector: batches, the spool that bridges its absence, and the sender.
//!
//! Every window update takes one path: [`batcher`] → [`Exporter`]. Over the network that is the [`outbox`] (a
//! [`spool`] on disk or in memory) and the sender in [`grpc`]; in one process the collector's ingest implements
//! [`Exporter`] itself.

pub mod backoff;
pub mod batcher;
pub mod counters;
pub mod grpc;
pub mod outbox;
pub mod spool;
pub mod target;

use lynceus_model::status::SensorStatus;
use lynceus_proto::batch::Content;

/// Takes away what the profiler made. Called from the pipeline's own thread.
pub trait Exporter: Send {
    /// Hands over a batch; may block while there is no room (that holds back the source).
    ///
    /// # Errors
    /// Nothing can be handed over any more.
    fn export(&mut self, content: Content) -> anyhow::Result<()>;

    /// Hands over the newest status; an older one that was not sent yet is dropped.
    ///
    /// # Errors
    /// Nothing can be handed over any more.
    fn report(&mut self, status: SensorStatus) -> anyhow::Result<()>;
}
