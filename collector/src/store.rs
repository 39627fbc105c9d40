//! What the collector keeps: a durable log of accepted batches, and ordered tables derived from it.
//!
//! The log is the truth. A batch is acknowledged when its log entry is durable; the entry carries the batch's
//! sequence number, so batch and mark cannot be stored one without the other. Tables (windows, evidence, alerts …)
//! can be computed again from the log, so they need no durable write of their own on the way of a batch
//! (`docs/decisions/0060-log-first.md`).
//!
//! Calls block; the collector makes them from threads of its own.

mod codec;
mod embedded;
mod files;
mod filter;
mod glance;
mod marks;
mod memory;
pub(crate) mod redis;
mod redis_keys;
mod segment;
mod spill;

use std::ops::{Bound, ControlFlow};
use std::path::PathBuf;
use std::time::Duration;

use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use prost::bytes::Bytes;

pub use embedded::{EmbeddedOptions, EmbeddedStore};
pub use files::{FileLog, FileLogOptions};
pub use filter::key_hash;
pub use glance::read as read_glance;
pub use marks::{Admission, Mark, Marks};
pub use memory::MemoryStore;
pub use redis::{RedisOptions, RedisStore};
pub use spill::SpillStore;

/// A durable log and ordered tables. One process owns a store at a time.
pub trait Store: Send + Sync + 'static {
    /// Whether payloads of entries can be read back; if not, the caller need not encode them.
    fn keeps_log(&self) -> bool {
        true
    }

    /// Appends entries and their sequence marks. When this returns `Ok`, every entry survives a crash; on `Err` none
    /// counts as stored and all may be sent again. Entries already stored are told from new ones by their sequence.
    ///
    /// # Errors
    /// [`StoreError::Full`] when there is no room (it may work again later), otherwise why the medium refused.
    fn append(&self, entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError>;

    /// Shows entries of the log in the order of their positions until `visit` breaks.
    ///
    /// # Errors
    /// When the medium cannot be read. Damaged parts are left out and counted in [`StoreStatus::damaged`].
    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Every stream known and how far it has come.
    fn marks(&self) -> Vec<(StreamId, Mark)>;

    /// Writes rows; all changes of one call that share the first 16 bytes of their key appear together or not at all.
    ///
    /// # Errors
    /// As [`Store::append`].
    fn write(&self, changes: &[Change], flush: Flush) -> Result<(), StoreError>;

    /// # Errors
    /// When the medium cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` rows whose keys lie in `range`, in the order asked for.
    ///
    /// # Errors
    /// When the medium cannot be read.
    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError>;

    /// Lets log entries go: those past the age or the bytes, oldest first. Positions at or after `keep_from` go only
    /// for the sake of bytes.
    ///
    /// # Errors
    /// When the medium refuses.
    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError>;

    /// Keeps what `make` gives for readers that come while the store is closed, until the next change. Engines that are
    /// open at once keep nothing.
    ///
    /// # Errors
    /// When the medium refuses.
    fn keep_glance(&self, _make: &mut dyn FnMut() -> Option<Vec<u8>>) -> Result<(), StoreError> {
        Ok(())
    }

    /// State of the store for people and metrics.
    fn status(&self) -> StoreStatus;
}

/// One stream of batches: a sensor numbers them from 1 per boot and stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    pub sensor: SensorId,
    pub boot: [u8; 16],
    pub stream: u32,
}

/// Place of an entry in the log: 1, 2, 3 … in the order of acceptance. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Event times that an entry covers, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Span {
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// A batch on its way into the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub stream: StreamId,
    /// From 1.
    pub seq: u64,
    /// `None` when it holds no events.
    pub span: Option<Span>,
    /// [`key_hash`] of the addresses and Community IDs inside, so that a query can pass over blocks.
    pub keys: Vec<u64>,
    /// Opaque to the store.
    pub payload: Bytes,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    Stored {
        position: Position,
        /// Sequence numbers (inclusive) between the highest one seen before and this one: a gap.
        missing: Option<(u64, u64)>,
    },
    /// It was stored before.
    Duplicate,
}

/// Which entries a reader wants. An entry is shown if it may match; the reader looks closer.
#[derive(Clone, Debug, Default)]
pub struct LogRange {
    /// Entries after this position.
    pub after: Position,
    /// Only entries whose span overlaps; entries without events do not.
    pub span: Option<Span>,
    /// Only entries that may hold one of these; empty means all.
    pub keys: Vec<u64>,
}

/// An entry read back.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    pub position: Position,
    pub stream: StreamId,
    pub seq: u64,
    pub span: Option<Span>,
    pub payload: Bytes,
}

/// The tables. Their keys are made in one place: `rows.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    Windows,
    Summaries,
    WindowsByTime,
    Evidence,
    EvidenceByTime,
    Alerts,
    AlertsByTime,
    Sensors,
    Gaps,
    /// Blocks in the order in which they began, and what was done with them.
    Blocks,
    BlockLog,
    /// Accounts of windows that are over, by time.
    Outliers,
    /// Those that were flagged or labelled: small rows, to be searched.
    OutlierCases,
    /// What the outlier detector remembers.
    OutlierState,
    /// What analysts said of windows.
    Labels,
    /// Position up to which the tables are complete, and the like.
    Meta,
}

impl Table {
    pub const ALL: [Self; 16] = [
        Self::Windows,
        Self::Summaries,
        Self::WindowsByTime,
        Self::Evidence,
        Self::EvidenceByTime,
        Self::Alerts,
        Self::AlertsByTime,
        Self::Sensors,
        Self::Gaps,
        Self::Blocks,
        Self::BlockLog,
        Self::Outliers,
        Self::OutlierCases,
        Self::OutlierState,
        Self::Labels,
        Self::Meta,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Summaries => "summaries",
            Self::WindowsByTime => "windows_by_time",
            Self::Evidence => "evidence",
            Self::EvidenceByTime => "evidence_by_time",
            Self::Alerts => "alerts",
            Self::AlertsByTime => "alerts_by_time",
            Self::Sensors => "sensors",
            Self::Gaps => "gaps",
            Self::Blocks => "blocks",
            Self::BlockLog => "block_log",
            Self::Outliers => "outliers",
            Self::OutlierCases => "outlier_cases",
            Self::OutlierState => "outlier_state",
            Self::Labels => "labels",
            Self::Meta => "meta",
        }
    }
}

/// One row to write or to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub table: Table,
    pub key: Vec<u8>,
    /// `None` removes the row.
    pub value: Option<Vec<u8>>,
}

/// Whether a write must be on the medium before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Survives the death of the process.
    Buffered,
    /// Survives the loss of power, together with everything buffered before it.
    Durable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Keys with their values.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Keys from `start` to `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Bound<Vec<u8>>,
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    #[must_use]
    pub const fn all() -> Self {
        Self {
            start: Bound::Unbounded,
            end: Bound::Unbounded,
        }
    }

    /// Keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(end)
            }
            None => Bound::Unbounded,
        };
        Self {
            start: Bound::Included(prefix.to_vec()),
            end,
        }
    }

    /// Whether no key can lie in it (engines differ in what they do then).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (
                Bound::Included(start) | Bound::Excluded(start),
                Bound::Included(end) | Bound::Excluded(end),
            ) => start >= end,
        }
    }
}

/// How long the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRetention {
    /// By arrival time.
    pub max_age: Duration,
    /// As stored (compressed where the store compresses).
    pub max_bytes: u64,
}

/// What a call of [`Store::expire_log`] let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub entries: u64,
    pub bytes: u64,
    /// Entries at or after `keep_from` that had to go for the sake of bytes: a crash now would lose what they hold.
    pub forced: u64,
}

/// How much an acknowledgement is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the medium (fdatasync, or Redis with `appendfsync always`).
    Durable,
    /// The medium may lose acknowledged batches on a crash: outside law 3.
    Weak,
    /// Gone with the process, on purpose (`analyze`).
    None,
}

impl Durability {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Weak => "weak",
            Self::None => "none",
        }
    }
}

/// State of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// `embedded`, `redis`, `memory`.
    pub engine: &'static str,
    pub durability: Durability,
    pub last_position: Position,
    /// First position still in the log; `None` when the log is empty.
    pub first_position: Option<Position>,
    pub log_bytes: u64,
    pub table_bytes: Option<u64>,
    /// Blocks or rows that failed their checksum since the start.
    pub damaged: u64,
    /// Bytes cut from a torn tail when the store was opened.
    pub recovered_bytes: u64,
    /// Why the store refuses writes now.
    pub degraded: Option<String>,
}

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space left on the device, quota reached, or Redis at `maxmemory`.
    #[error("{place} is full")]
    Full { place: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{place}: {what}")]
    Damaged { place: String, what: String },
    #[error("another collector took over this store")]
    Fenced,
    #[error("{what} of {bytes} bytes is more than the {limit} that the store takes")]
    TooLarge {
        what: &'static str,
        bytes: usize,
        limit: usize,
    },
    #[error("{} is in use by another process", place.display())]
    InUse { place: PathBuf },
    #[error("{engine}: {message}")]
    Engine { engine: &'static str, message: String },
}

impl StoreError {
    /// An I/O error with its path, telling a full medium from other trouble.
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => Self::Full {
                place: path.display().to_string(),
            },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_of_ones_has_no_upper_bound() {
        assert_eq!(KeyRange::prefix(&[0xff, 0xff]).end, Bound::Unbounded);
        assert_eq!(KeyRange::prefix(&[1, 0xff]).end, Bound::Excluded(vec![2]));
    }

    #[test]
    fn empty_ranges_are_known() {
        let range = |start, end| KeyRange { start, end };
        assert!(range(Bound::Included(vec![2]), Bound::Excluded(vec![2])).is_empty());
        assert!(!range(Bound::Included(vec![2]), Bound::Included(vec![2])).is_empty());
        assert!(range(Bound::Excluded(vec![3]), Bound::Included(vec![2])).is_empty());
    }
}
