//! Collects window updates until a batch is worth sending, by size or by age.

use std::time::{Duration, Instant};

use lynceus_model::window::WindowUpdate;
use lynceus_proto::batch::Content;

/// Most that waits here is one batch and one update.
#[derive(Debug)]
pub struct Batcher {
    max_bytes: usize,
    max_delay: Duration,
    updates: Vec<WindowUpdate>,
    bytes: usize,
    oldest: Option<Instant>,
}

impl Batcher {
    /// Estimated bytes at which a batch is cut. Large enough that one disk sync for each costs little, small enough
    /// that the collector's commits stay short. The exact bound is that of the message
    /// ([`limits::BATCH_BYTES`](lynceus_proto::limits::BATCH_BYTES)), which the outbox keeps.
    pub const BYTES: usize = 512 << 10;
    /// Mean encoded size of a flow report and of a message, rounded up.
    const FLOW_BYTES: usize = 160;
    const APP_BYTES: usize = 200;

    #[must_use]
    pub const fn new(max_bytes: usize, max_delay: Duration) -> Self {
        Self {
            max_bytes,
            max_delay,
            updates: Vec::new(),
            bytes: 0,
            oldest: None,
        }
    }

    /// Adds an update; gives the batch if it is full now.
    pub fn push(&mut self, update: WindowUpdate, now: Instant) -> Option<Content> {
        // What a profile takes in memory is about what it takes on the wire.
        self.bytes += update.delta.bytes() / 2
            + update.flows.len() * Self::FLOW_BYTES
            + update.apps.len() * Self::APP_BYTES;
        self.updates.push(update);
        self.oldest.get_or_insert(now);
        (self.bytes >= self.max_bytes).then(|| self.take())
    }

    /// The batch if its oldest update waited long enough.
    pub fn due(&mut self, now: Instant) -> Option<Content> {
        let oldest = self.oldest?;
        (now.saturating_duration_since(oldest) >= self.max_delay).then(|| self.take())
    }

    /// Whatever is there.
    pub fn take(&mut self) -> Content {
        self.bytes = 0;
        self.oldest = None;
        Content {
            updates: std::mem::take(&mut self.updates),
            gaps: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::profile::ProfileDelta;
    use lynceus_model::time::Timestamp;
    use lynceus_model::window::{Stage, WindowId};

    use super::*;

    fn update() -> WindowUpdate {
        let window = WindowId {
            profile: [10, 0, 0, 1].into(),
            start: Timestamp(0),
        };
        WindowUpdate {
            delta: Box::new(ProfileDelta::new(window)),
            stage: Stage::Refreshed,
            flows: Vec::new(),
            apps: Vec::new(),
        }
    }

    #[test]
    fn a_batch_is_cut_by_size() {
        let mut batcher = Batcher::new(10 * update().delta.bytes() / 2, Duration::MAX);
        let now = Instant::now();
        let batches: Vec<usize> = (0..25)
            .filter_map(|_| batcher.push(update(), now))
            .map(|content| content.updates.len())
            .collect();
        assert_eq!(batches, [10, 10]);
        assert_eq!(batcher.take().updates.len(), 5);
    }

    #[test]
    fn a_batch_is_cut_by_age() {
        let mut batcher = Batcher::new(usize::MAX, Duration::from_secs(1));
        let start = Instant::now();
        assert!(batcher.due(start).is_none());
        assert!(batcher.push(update(), start).is_none());
        assert!(batcher.due(start + Duration::from_millis(999)).is_none());
        assert_eq!(
            batcher.due(start + Duration::from_secs(1)).unwrap().updates.len(),
            1
        );
        assert!(batcher.due(start + Duration::from_secs(9)).is_none());
    }
}
