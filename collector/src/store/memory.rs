//! A store that ends with the process: for small things and for tests.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::marks::{self, Mark, Marks};
use super::{
    Admitted, Change, Durability, Entry, Expired, Flush, KeyRange, LogRange, LogRecord, LogRetention, Order,
    Position, Rows, Store, StoreError, StoreStatus, StreamId, Table,
};

/// Tables in ordered maps, log in a queue.
pub struct MemoryStore {
    /// Oldest log entries go when their payloads are larger together; they are needed for queries of flows only.
    max_log_bytes: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    marks: Marks,
    last: u64,
    log: VecDeque<(LogRecord, Vec<u64>)>,
    log_bytes: u64,
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    table_bytes: u64,
}

impl MemoryStore {
    #[must_use]
    pub fn new(max_log_bytes: u64) -> Self {
        Self {
            max_log_bytes,
            inner: Mutex::default(),
        }
    }

    /// Keys and values.
    pub(super) fn table_bytes(&self) -> u64 {
        self.lock().table_bytes
    }

    /// All rows of a table, as they would be written.
    pub(super) fn rows(&self, table: Table) -> Vec<Change> {
        let inner = self.lock();
        let rows = inner.tables.get(&table).into_iter().flatten();
        rows.map(|(key, value)| Change {
            table,
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect()
    }

    pub(super) fn clear_tables(&self) {
        let mut inner = self.lock();
        inner.tables.clear();
        inner.table_bytes = 0;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn expire_to(&mut self, max_bytes: u64, keep_from: Position) -> Expired {
        let mut expired = Expired::default();
        while self.log_bytes > max_bytes
            && let Some((record, _)) = self.log.pop_front()
        {
            let bytes = record.payload.len() as u64;
            self.log_bytes -= bytes;
            expired.entries += 1;
            expired.bytes += bytes;
            expired.forced += u64::from(record.position >= keep_from);
        }
        expired
    }
}

impl Store for MemoryStore {
    fn keeps_log(&self) -> bool {
        self.max_log_bytes > 0
    }

    fn append(&self, mut entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        let mut inner = self.lock();
        let mut position = inner.last;
        let mut last = inner.last;
        let (pending, admitted) = marks::admit_all(&inner.marks, &mut entries, &mut last);
        inner.last = last;
        pending.settle(&mut inner.marks);
        if self.max_log_bytes > 0 {
            for entry in entries {
                position += 1;
                inner.log_bytes += entry.payload.len() as u64;
                let record = LogRecord {
                    position: Position(position),
                    stream: entry.stream,
                    seq: entry.seq,
                    span: entry.span,
                    payload: entry.payload,
                };
                inner.log.push_back((record, entry.keys));
            }
            inner.expire_to(self.max_log_bytes, Position(u64::MAX));
        }
        Ok(admitted)
    }

    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let wanted = |(record, keys): &&(LogRecord, Vec<u64>)| {
            record.position > range.after
                && range
                    .span
                    .is_none_or(|span| record.span.is_some_and(|own| own.overlaps(&span)))
                && (range.keys.is_empty() || range.keys.iter().any(|key| keys.contains(key)))
        };
        // Payloads are reference counted, so the copy is cheap and the lock is not held while visiting.
        let records: Vec<LogRecord> = self
            .lock()
            .log
            .iter()
            .filter(wanted)
            .map(|(record, _)| record.clone())
            .collect();
        for record in records {
            if visit(record).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn marks(&self) -> Vec<(StreamId, Mark)> {
        let inner = self.lock();
        inner
            .marks
            .iter()
            .map(|(stream, mark)| (*stream, mark.clone()))
            .collect()
    }

    fn write(&self, changes: &[Change], _flush: Flush) -> Result<(), StoreError> {
        let mut inner = self.lock();
        for change in changes {
            let added = change
                .value
                .as_ref()
                .map_or(0, |value| (value.len() + change.key.len()) as u64);
            let key_bytes = change.key.len();
            let table = inner.tables.entry(change.table).or_default();
            let old = match &change.value {
                Some(value) => table.insert(change.key.clone(), value.clone()),
                None => table.remove(&change.key),
            };
            let removed = old.map_or(0, |old| (old.len() + key_bytes) as u64);
            inner.table_bytes = inner.table_bytes + added - removed;
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .lock()
            .tables
            .get(&table)
            .and_then(|table| table.get(key))
            .cloned())
    }

    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError> {
        let inner = self.lock();
        let Some(table) = inner.tables.get(&table).filter(|_| !range.is_empty()) else {
            return Ok(Vec::new());
        };
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = (
            range.start.as_ref().map(Vec::as_slice),
            range.end.as_ref().map(Vec::as_slice),
        );
        let rows = table.range::<[u8], _>(bounds);
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Ascending => rows.take(limit).map(copy).collect(),
            Order::Descending => rows.rev().take(limit).map(copy).collect(),
        })
    }

    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        Ok(self.lock().expire_to(retention.max_bytes, keep_from))
    }

    fn status(&self) -> StoreStatus {
        let inner = self.lock();
        StoreStatus {
            engine: "memory",
            durability: Durability::None,
            last_position: Position(inner.last),
            first_position: inner.log.front().map(|(record, _)| record.position),
            log_bytes: inner.log_bytes,
            table_bytes: Some(inner.table_bytes),
            damaged: 0,
            recovered_bytes: 0,
            degraded: None,
        }
    }
}
