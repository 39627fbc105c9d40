//! What intake, dispatch and queries tell each other: counters, progress, sensors, changes for those who watch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;
use tokio::sync::broadcast;

use crate::attach::Seats;
use crate::output::OutputCounters;
use crate::store::Position;

/// State that the parts of one collector share.
pub struct Shared {
    pub started: Timestamp,
    pub counters: Counters,
    stopping: AtomicBool,
    /// Another collector took the store over, or an invariant broke: nothing goes on.
    fatal: Mutex<Option<String>>,
    degraded: Mutex<Option<String>>,
    applied: AtomicU64,
    connected: Mutex<BTreeMap<SensorId, u32>>,
    watchers: broadcast::Sender<v1::WatchResponse>,
    /// Modules in programs of their own.
    pub seats: Seats,
    streams: Mutex<Streams>,
}

/// Detectors that run elsewhere, and the streams between them and us.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    pub modules: Vec<v1::ModuleStatus>,
    /// In the stream of updates, and removed from it by its bound since it was made.
    pub entries: u64,
    pub trimmed: u64,
    /// What they said and we have not come to.
    pub waiting: u64,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub struct Counters {
    pub batches: AtomicU64,
    pub bytes: AtomicU64,
    pub flows: AtomicU64,
    pub apps: AtomicU64,
    pub updates: AtomicU64,
    pub gaps: AtomicU64,
    pub duplicates: AtomicU64,
    /// Sequence numbers that were passed over.
    pub missing: AtomicU64,
    pub evidence: AtomicU64,
    pub alerts: AtomicU64,
    /// Log entries that went by age or size, and windows, evidence and alerts that went by age.
    pub expired_entries: AtomicU64,
    pub expired_forced: AtomicU64,
    pub expired_rows: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
    outputs: Mutex<Vec<(String, Arc<OutputCounters>)>>,
}

/// Changes kept for a watcher that is slow; then it is told how many it missed.
const WATCH_BUFFER: usize = 1024;
/// Bound of the reasons: field names are few; whatever is beyond counts as `other`.
const MAX_REASONS: usize = 128;

impl Shared {
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            counters: Counters::default(),
            stopping: AtomicBool::new(false),
            fatal: Mutex::default(),
            degraded: Mutex::default(),
            applied: AtomicU64::new(0),
            connected: Mutex::default(),
            watchers: broadcast::channel(WATCH_BUFFER).0,
            seats: Seats::default(),
            streams: Mutex::default(),
        }
    }

    /// Detectors that run elsewhere, as of the last second.
    #[must_use]
    pub fn streams(&self) -> Streams {
        lock(&self.streams).clone()
    }

    pub(crate) fn set_streams(&self, streams: Streams) {
        *lock(&self.streams) = streams;
    }

    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Everything up to here has its effects in the tables.
    #[must_use]
    pub fn applied(&self) -> Position {
        Position(self.applied.load(Ordering::Acquire))
    }

    pub fn set_applied(&self, position: Position) {
        self.applied.store(position.0, Ordering::Release);
    }

    /// Why the tables are not written now.
    #[must_use]
    pub fn degraded(&self) -> Option<String> {
        lock(&self.degraded).clone()
    }

    pub fn set_degraded(&self, reason: Option<String>) {
        *lock(&self.degraded) = reason;
    }

    /// Why the collector cannot go on.
    #[must_use]
    pub fn fatal(&self) -> Option<String> {
        lock(&self.fatal).clone()
    }

    pub fn set_fatal(&self, reason: String) {
        lock(&self.fatal).get_or_insert(reason);
        self.stop();
    }

    /// Notes a stream of a sensor until the guard goes.
    pub fn connect(self: &std::sync::Arc<Self>, sensor: SensorId) -> Connected {
        *lock(&self.connected).entry(sensor).or_default() += 1;
        Connected {
            shared: std::sync::Arc::clone(self),
            sensor,
        }
    }

    #[must_use]
    pub fn is_connected(&self, sensor: SensorId) -> bool {
        lock(&self.connected).contains_key(&sensor)
    }

    #[must_use]
    pub fn connections(&self) -> u64 {
        lock(&self.connected)
            .values()
            .map(|count| u64::from(*count))
            .sum()
    }

    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<v1::WatchResponse> {
        self.watchers.subscribe()
    }

    /// Whoever begins to watch after this reads the tables first.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.watchers.receiver_count() > 0
    }

    pub fn tell(&self, change: v1::watch_response::Change) {
        // Nobody watching is not an error.
        let _ = self.watchers.send(v1::WatchResponse { change: Some(change) });
    }
}

impl Counters {
    /// Counts something refused under the name of its reason.
    pub fn refuse(&self, reason: &str) {
        let mut refused = lock(&self.refused);
        match refused.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                let name = if refused.len() < MAX_REASONS {
                    reason
                } else {
                    "other"
                };
                *refused.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    pub(crate) fn set_outputs(&self, outputs: Vec<(String, Arc<OutputCounters>)>) {
        *lock(&self.outputs) = outputs;
    }

    /// What became of the messages of each output.
    #[must_use]
    pub fn outputs(&self) -> Vec<(String, Arc<OutputCounters>)> {
        lock(&self.outputs).clone()
    }

    #[must_use]
    pub fn refused(&self) -> BTreeMap<String, u64> {
        lock(&self.refused).clone()
    }

    /// Totals by name.
    #[must_use]
    pub fn totals(&self) -> [(&'static str, u64); 13] {
        [
            ("batches", &self.batches),
            ("bytes", &self.bytes),
            ("flows", &self.flows),
            ("apps", &self.apps),
            ("updates", &self.updates),
            ("gaps", &self.gaps),
            ("duplicates", &self.duplicates),
            ("missing", &self.missing),
            ("evidence", &self.evidence),
            ("alerts", &self.alerts),
            ("expired_entries", &self.expired_entries),
            ("expired_forced", &self.expired_forced),
            ("expired_rows", &self.expired_rows),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// Adds to a counter.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// A sensor is connected as long as this lives.
pub struct Connected {
    shared: std::sync::Arc<Shared>,
    sensor: SensorId,
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut connected = lock(&self.shared.connected);
        if let Some(count) = connected.get_mut(&self.sensor) {
            *count -= 1;
            if *count == 0 {
                connected.remove(&self.sensor);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change under these locks is one assignment, so the value is whole even after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
