//! The default store: the log in files, the tables in fjall, both in one directory of this machine.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::codec::{decode_mark, encode_mark, mark_key};
use super::files::{FileLog, FileLogOptions};
use super::glance::GlanceFile;
use super::marks::{Mark, Marks};
use super::{
    Admitted, Change, Durability, Entry, Expired, Flush, KeyRange, LogRange, LogRecord, LogRetention, Order,
    Position, Rows, Store, StoreError, StoreStatus, StreamId, Table,
};

/// Settings of the embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    pub directory: PathBuf,
    pub log: FileLogOptions,
    /// Memory for blocks of tables read from disk.
    pub cache_bytes: u64,
    /// Rows of one table that wait in memory to be written out.
    pub unwritten_bytes: u64,
    /// It will not be opened again: nothing is prepared for that when it closes.
    pub temporary: bool,
}

impl EmbeddedOptions {
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            log: FileLogOptions::default(),
            cache_bytes: 64 << 20,
            unwritten_bytes: 64 << 20,
            temporary: false,
        }
    }
}

/// Log in files, tables in fjall.
pub struct EmbeddedStore {
    directory: PathBuf,
    log: FileLog,
    database: Database,
    /// In the order of [`Table::ALL`].
    tables: Vec<Keyspace>,
    marks: Keyspace,
    own: Keyspace,
    temporary: bool,
    /// Of rows since the tables were last brought to rest.
    written: AtomicU64,
    glance: GlanceFile,
}

/// Bytes of rows after which closing writes the tables out: reading them back out of the journal would cost the next
/// opening more than this costs now.
const REST_BYTES: u64 = 4 << 20;
/// Row in `own`: position up to which the rows in `marks` speak.
const MARKS_AFTER: &[u8] = b"marks_after";

impl EmbeddedStore {
    /// Opens or makes the store. The directory is locked against other processes.
    ///
    /// # Errors
    /// When another process has it open, or a file cannot be read.
    pub fn open(options: &EmbeddedOptions) -> Result<Self, StoreError> {
        let directory = options.directory.clone();
        std::fs::create_dir_all(&directory).map_err(|source| StoreError::io(&directory, source))?;
        let tables = directory.join("tables");
        let fault = |error| engine(&tables, error);
        let database = Database::builder(&tables)
            .cache_size(options.cache_bytes)
            .worker_threads(1)
            .open()
            .map_err(fault)?;
        let form = || KeyspaceCreateOptions::default().max_memtable_size(options.unwritten_bytes);
        let keyspace = |name: &str| database.keyspace(name, form).map_err(fault);
        let own = keyspace("own")?;
        let marks = keyspace("marks")?;
        let (known, after) = load_marks(&marks, &own).map_err(fault)?;
        let log = FileLog::open(&directory.join("log"), options.log, known, after)?;
        Ok(Self {
            log,
            tables: Table::ALL
                .iter()
                .map(|table| keyspace(table.name()))
                .collect::<Result<_, _>>()?,
            glance: GlanceFile::new(&directory),
            directory,
            database,
            marks,
            own,
            temporary: options.temporary,
            written: AtomicU64::new(0),
        })
    }

    fn table(&self, table: Table) -> &Keyspace {
        let index = Table::ALL.iter().position(|other| *other == table);
        &self.tables[index.expect("ALL holds every table")]
    }

    fn fault(&self, error: fjall::Error) -> StoreError {
        engine(&self.directory, error)
    }

    /// Saves the marks, so that they outlive the segments that hold them.
    fn save_marks(&self) -> fjall::Result<()> {
        let (marks, after) = self.log.checkpoint();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (stream, mark) in marks.iter() {
            batch.insert(&self.marks, mark_key(stream), encode_mark(stream, mark));
        }
        batch.insert(&self.own, MARKS_AFTER, after.0.to_be_bytes());
        batch.commit()
    }

    /// Leaves the store so that it opens fast: what was proven whole need not be read again, and the tables stand in
    /// their own files instead of the journal.
    fn rest(&self) -> fjall::Result<()> {
        let (_, known) = load_marks(&self.marks, &self.own)?;
        if self.log.last_position() > known {
            self.save_marks()?;
        }
        if self.written.swap(0, Ordering::Relaxed) >= REST_BYTES {
            for table in &self.tables {
                table.rotate_memtable_and_wait()?;
            }
        }
        Ok(())
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if !self.temporary
            && let Err(error) = self.rest()
        {
            tracing::warn!(%error, store = %self.directory.display(), "the next opening takes longer");
        }
    }
}

impl Store for EmbeddedStore {
    fn append(&self, entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        if !entries.is_empty() {
            self.glance.forget()?;
        }
        self.log.append(entries)
    }

    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.log.read(range, visit)
    }

    fn marks(&self) -> Vec<(StreamId, Mark)> {
        self.log.marks()
    }

    fn write(&self, changes: &[Change], flush: Flush) -> Result<(), StoreError> {
        if !changes.is_empty() {
            self.glance.forget()?;
        }
        let mode = match flush {
            Flush::Buffered => PersistMode::Buffer,
            Flush::Durable => PersistMode::SyncData,
        };
        let mut batch = self.database.batch().durability(Some(mode));
        for change in changes {
            let table = self.table(change.table);
            let bytes = change.key.len() + change.value.as_ref().map_or(0, Vec::len);
            self.written.fetch_add(bytes as u64, Ordering::Relaxed);
            match &change.value {
                Some(value) => batch.insert(table, change.key.as_slice(), value.as_slice()),
                None => batch.remove(table, change.key.as_slice()),
            }
        }
        batch.commit().map_err(|error| self.fault(error))
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.table(table).get(key).map_err(|error| self.fault(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self
            .table(table)
            .range::<Vec<u8>, _>((range.start.clone(), range.end.clone()));
        let copy = |row: fjall::Guard| {
            let (key, value) = row.into_inner().map_err(|error| self.fault(error))?;
            Ok((key.to_vec(), value.to_vec()))
        };
        match order {
            Order::Ascending => rows.take(limit).map(copy).collect(),
            Order::Descending => rows.rev().take(limit).map(copy).collect(),
        }
    }

    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        self.save_marks().map_err(|error| self.fault(error))?;
        self.log.expire(retention, keep_from)
    }

    fn keep_glance(&self, make: &mut dyn FnMut() -> Option<Vec<u8>>) -> Result<(), StoreError> {
        if self.temporary {
            return Ok(());
        }
        self.glance.keep(make)
    }

    fn status(&self) -> StoreStatus {
        let figures = self.log.figures();
        StoreStatus {
            engine: "embedded",
            durability: Durability::Durable,
            last_position: self.log.last_position(),
            first_position: figures.first_position,
            log_bytes: figures.bytes,
            table_bytes: self.database.disk_space().ok(),
            damaged: figures.damaged,
            recovered_bytes: figures.recovered_bytes,
            degraded: figures.degraded,
        }
    }
}

fn load_marks(marks: &Keyspace, own: &Keyspace) -> fjall::Result<(Marks, Position)> {
    let Some(after) = own
        .get(MARKS_AFTER)?
        .and_then(|value| Some(u64::from_be_bytes(value.as_ref().try_into().ok()?)))
    else {
        return Ok((Marks::default(), Position(0)));
    };
    let mut known = Marks::default();
    for row in marks.iter() {
        let (_, value) = row.into_inner()?;
        if let Some((stream, mark)) = decode_mark(&value) {
            known.set(stream, mark);
        }
    }
    Ok((known, Position(after)))
}

fn engine(place: &Path, error: fjall::Error) -> StoreError {
    match error {
        fjall::Error::Io(source) => StoreError::io(place, source),
        fjall::Error::Locked => StoreError::InUse {
            place: place.to_owned(),
        },
        fjall::Error::Poisoned => StoreError::Engine {
            engine: "embedded",
            message: format!(
                "{}: an earlier write failed; restart to recover from the log",
                place.display()
            ),
        },
        other => StoreError::Engine {
            engine: "embedded",
            message: format!("{}: {other}", place.display()),
        },
    }
}
