//! The store of `lynceus analyze`: it ends with the process, and takes no more memory than it is given.
//!
//! Most files are small and never touch the disk. A capture of a day has more windows than memory: once the rows are too
//! many, all of them move into tables in a temporary directory (`TMPDIR`), and later ones go there at once.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use tempfile::TempDir;

use super::marks::Mark;
use super::{
    Admitted, Change, EmbeddedOptions, EmbeddedStore, Entry, Expired, Flush, KeyRange, LogRange, LogRecord,
    LogRetention, MemoryStore, Order, Position, Rows, Store, StoreError, StoreStatus, StreamId, Table,
};

/// Rows in memory up to a bound, then all of them on disk. The log is that of the store in memory.
pub struct SpillStore {
    memory: MemoryStore,
    max_bytes: u64,
    /// There as soon as memory was too small.
    disk: RwLock<Option<Disk>>,
}

struct Disk {
    tables: EmbeddedStore,
    /// After the tables: fields are dropped in order.
    folder: TempDir,
}

/// Memory for what the disk holds: rows of a table before they are written out, and blocks read back.
const UNWRITTEN_BYTES: u64 = 8 << 20;
const CACHE_BYTES: u64 = 16 << 20;
/// Rows that move at once.
const STEP: usize = 256;

impl SpillStore {
    /// `max_bytes`: keys and values that stay in memory.
    #[must_use]
    pub const fn new(memory: MemoryStore, max_bytes: u64) -> Self {
        Self {
            memory,
            max_bytes,
            disk: RwLock::new(None),
        }
    }

    /// Where the rows are, if they were too many.
    #[must_use]
    pub fn spilled_to(&self) -> Option<PathBuf> {
        Some(self.disk().as_ref()?.folder.path().to_owned())
    }

    fn disk(&self) -> RwLockReadGuard<'_, Option<Disk>> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves all rows to the disk, unless another thread was faster.
    fn spill(&self) -> Result<(), StoreError> {
        let mut disk = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        if disk.is_some() {
            return Ok(());
        }
        let folder = tempfile::Builder::new().prefix("lynceus-").tempdir();
        let folder = folder.map_err(|source| StoreError::io(std::env::temp_dir(), source))?;
        let tables = EmbeddedStore::open(&EmbeddedOptions {
            cache_bytes: CACHE_BYTES,
            unwritten_bytes: UNWRITTEN_BYTES,
            temporary: true,
            ..EmbeddedOptions::new(folder.path())
        })?;
        for table in Table::ALL {
            let rows = self.memory.rows(table);
            for rows in rows.chunks(STEP) {
                tables.write(rows, Flush::Buffered)?;
            }
        }
        self.memory.clear_tables();
        *disk = Some(Disk { tables, folder });
        Ok(())
    }
}

impl Store for SpillStore {
    fn keeps_log(&self) -> bool {
        self.memory.keeps_log()
    }

    fn append(&self, entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        self.memory.append(entries)
    }

    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.memory.read_log(range, visit)
    }

    fn marks(&self) -> Vec<(StreamId, Mark)> {
        self.memory.marks()
    }

    fn write(&self, changes: &[Change], flush: Flush) -> Result<(), StoreError> {
        match &*self.disk() {
            Some(disk) => return disk.tables.write(changes, flush),
            None => self.memory.write(changes, flush)?,
        }
        if self.memory.table_bytes() > self.max_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match &*self.disk() {
            Some(disk) => disk.tables.get(table, key),
            None => self.memory.get(table, key),
        }
    }

    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError> {
        match &*self.disk() {
            Some(disk) => disk.tables.scan(table, range, order, limit),
            None => self.memory.scan(table, range, order, limit),
        }
    }

    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        self.memory.expire_log(retention, keep_from)
    }

    fn status(&self) -> StoreStatus {
        let mut status = self.memory.status();
        if let Some(disk) = &*self.disk() {
            status.table_bytes = disk.tables.status().table_bytes;
        }
        status
    }
}
