//! A store that waits out trouble: what fails for a while is tried again, so the engine sees answers or the end.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::shared::Shared;
use crate::store::{
    Admitted, Change, Entry, Expired, Flush, KeyRange, LogRange, LogRecord, LogRetention, Mark, Order,
    Position, Rows, Store, StoreError, StoreStatus, StreamId, Table,
};

pub(super) struct Patient {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
}

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

impl Patient {
    pub(super) const fn new(store: Arc<dyn Store>, shared: Arc<Shared>) -> Self {
        Self { store, shared }
    }

    /// The store behind, for readers that handle trouble themselves.
    pub(super) fn inner(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    pub(super) fn again<T>(&self, work: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let error = match work() {
                Ok(done) => {
                    self.shared.set_degraded(None);
                    return Ok(done);
                }
                Err(error) => error,
            };
            let passes = matches!(
                error,
                StoreError::Full { .. } | StoreError::Io { .. } | StoreError::Engine { .. }
            );
            if !passes || self.shared.is_stopping() {
                return Err(error);
            }
            tracing::error!(%error, "the store does not take the tables; trying again");
            self.shared.set_degraded(Some(error.to_string()));
            std::thread::sleep(PAUSE);
        }
    }
}

impl Store for Patient {
    fn keeps_log(&self) -> bool {
        self.store.keeps_log()
    }

    fn append(&self, entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        self.store.append(entries)
    }

    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.store.read_log(range, visit)
    }

    fn marks(&self) -> Vec<(StreamId, Mark)> {
        self.store.marks()
    }

    fn write(&self, changes: &[Change], flush: Flush) -> Result<(), StoreError> {
        self.again(|| self.store.write(changes, flush))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.again(|| self.store.get(table, key))
    }

    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError> {
        self.again(|| self.store.scan(table, range, order, limit))
    }

    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        self.again(|| self.store.expire_log(retention, keep_from))
    }

    fn status(&self) -> StoreStatus {
        self.store.status()
    }
}
