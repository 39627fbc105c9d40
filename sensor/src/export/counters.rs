//! What the export did, readable from any thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Cumulative since the start of the sensor.
#[derive(Debug, Default)]
pub struct Counters {
    pub batches_stored: AtomicU64,
    pub batches_sent: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub batches_acked: AtomicU64,
    /// Refused by the collector for good.
    pub batches_refused: AtomicU64,
    pub connects: AtomicU64,
    pub connect_failures: AtomicU64,
    pub connected: AtomicBool,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Name and value of each.
    #[must_use]
    pub fn values(&self) -> [(&'static str, u64); 7] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("batches_stored", read(&self.batches_stored)),
            ("batches_sent", read(&self.batches_sent)),
            ("bytes_sent", read(&self.bytes_sent)),
            ("batches_acked", read(&self.batches_acked)),
            ("batches_refused", read(&self.batches_refused)),
            ("connects", read(&self.connects)),
            ("connect_failures", read(&self.connect_failures)),
        ]
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}
