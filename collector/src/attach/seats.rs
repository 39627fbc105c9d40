//! Who is attached, and how they are doing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

/// All modules in programs of their own that came since the collector began.
#[derive(Debug, Default)]
pub struct Seats(Mutex<BTreeMap<String, Arc<Row>>>);

/// Names that are kept: each costs a thread while it is attached.
const MAX_MODULES: usize = 64;

#[derive(Debug, Default)]
struct Row {
    name: String,
    version: Mutex<String>,
    connections: AtomicU32,
    came: AtomicU64,
    position: AtomicU64,
    updates: AtomicU64,
    findings: AtomicU64,
    last_fault: Mutex<Option<String>>,
    /// Sequence number of the last entry that it put into the log; held while one is put there.
    seq: tokio::sync::Mutex<Option<u64>>,
}

/// One connection of a module.
#[derive(Clone, Debug)]
pub struct Seat(Arc<Taken>);

#[derive(Debug)]
struct Taken(Arc<Row>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A module as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatFigures {
    pub name: String,
    pub version: String,
    pub attached: bool,
    /// How often it came back.
    pub restarts: u64,
    pub position: u64,
    pub updates: u64,
    pub findings: u64,
    pub last_fault: Option<String>,
}

impl Seats {
    /// Takes the place of a module. Two of one name share it: what both say has the same ids.
    ///
    /// # Errors
    /// There are too many modules.
    pub fn sit(&self, name: &str, version: &str) -> Result<Seat, Status> {
        let mut rows = lock(&self.0);
        if !rows.contains_key(name) && rows.len() >= MAX_MODULES {
            return Err(Status::resource_exhausted(format!(
                "there are {MAX_MODULES} modules already"
            )));
        }
        let row = rows.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(Row {
                name: name.to_owned(),
                ..Row::default()
            })
        });
        version.clone_into(&mut lock(&row.version));
        row.connections.fetch_add(1, Ordering::Relaxed);
        row.came.fetch_add(1, Ordering::Relaxed);
        Ok(Seat(Arc::new(Taken(Arc::clone(row)))))
    }

    #[must_use]
    pub fn figures(&self) -> Vec<SeatFigures> {
        let figures = |row: &Arc<Row>| SeatFigures {
            name: row.name.clone(),
            version: lock(&row.version).clone(),
            attached: row.connections.load(Ordering::Relaxed) > 0,
            restarts: row.came.load(Ordering::Relaxed).saturating_sub(1),
            position: row.position.load(Ordering::Relaxed),
            updates: row.updates.load(Ordering::Relaxed),
            findings: row.findings.load(Ordering::Relaxed),
            last_fault: lock(&row.last_fault).clone(),
        };
        lock(&self.0).values().map(figures).collect()
    }
}

impl Seat {
    pub(crate) fn name(&self) -> &str {
        &self.0.0.name
    }

    pub(crate) async fn seq(&self) -> tokio::sync::MutexGuard<'_, Option<u64>> {
        self.0.0.seq.lock().await
    }

    /// The last entry that any connection of the module acknowledged.
    pub(super) fn position(&self) -> u64 {
        self.0.0.position.load(Ordering::Relaxed)
    }

    pub(super) fn reached(&self, position: u64) {
        self.0.0.position.fetch_max(position, Ordering::Relaxed);
    }

    pub(super) fn shown(&self, updates: usize) {
        self.0.0.updates.fetch_add(updates as u64, Ordering::Relaxed);
    }

    pub(super) fn said(&self, findings: usize) {
        self.0.0.findings.fetch_add(findings as u64, Ordering::Relaxed);
    }

    pub(super) fn fault(&self, what: &str) {
        *lock(&self.0.0.last_fault) = Some(what.chars().take(300).collect());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
