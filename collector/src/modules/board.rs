//! What is known of each module at this moment, for people: written by the threads that run them, read by queries.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Longest text of a fault that is kept, in bytes.
const FAULT_BYTES: usize = 300;

/// All modules of a collector.
#[derive(Debug, Default)]
pub struct Board {
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    name: &'static str,
    stopped: AtomicBool,
    updates: AtomicU64,
    nanos: AtomicU64,
    slow: AtomicU64,
    panics: AtomicU64,
    hangs: AtomicU64,
    late: AtomicU64,
    waiting: AtomicU64,
    full: AtomicU64,
    missed: AtomicU64,
    refused: AtomicU64,
    last_fault: Mutex<Option<String>>,
}

/// One module as people see it. Counts are since the start of the collector.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleFigures {
    pub name: &'static str,
    /// It failed too often and sees nothing more until the collector starts again.
    pub stopped: bool,
    /// Updates that it was shown.
    pub updates: u64,
    /// Time that it took for them.
    pub busy: Duration,
    /// Groups of updates for which it took longer than a module should.
    pub slow: u64,
    pub panics: u64,
    pub hangs: u64,
    /// Findings that came after the others had gone on.
    pub late: u64,
    /// Groups of updates that wait for it now, the one that it is at among them: above 0 it is behind the others.
    pub waiting: u64,
    /// Groups that found its queue full, so that everything waited for it.
    pub full: u64,
    /// Groups that it was not shown, because its queue stayed full or it was stopped.
    pub missed: u64,
    /// What its bounded memory refused or forgot: findings that may be missing. Begins anew with the module.
    pub refused: u64,
    pub last_fault: Option<String>,
}

impl ModuleFigures {
    /// How often it was begun anew.
    #[must_use]
    pub const fn restarts(&self) -> u64 {
        self.panics + self.hangs
    }
}

impl Board {
    pub(super) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        Self {
            rows: names
                .map(|name| Row {
                    name,
                    ..Row::default()
                })
                .collect(),
        }
    }

    /// The modules in the order in which they speak.
    #[must_use]
    pub fn figures(&self) -> Vec<ModuleFigures> {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let row = |row: &Row| ModuleFigures {
            name: row.name,
            stopped: row.stopped.load(Ordering::Relaxed),
            updates: get(&row.updates),
            busy: Duration::from_nanos(get(&row.nanos)),
            slow: get(&row.slow),
            panics: get(&row.panics),
            hangs: get(&row.hangs),
            late: get(&row.late),
            waiting: get(&row.waiting),
            full: get(&row.full),
            missed: get(&row.missed),
            refused: get(&row.refused),
            last_fault: row
                .last_fault
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        };
        self.rows.iter().map(row).collect()
    }

    pub(super) fn worked(&self, module: usize, updates: usize, took: Duration, slow: bool, refused: u64) {
        let row = &self.rows[module];
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        row.updates.fetch_add(updates as u64, Ordering::Relaxed);
        row.nanos.fetch_add(nanos, Ordering::Relaxed);
        row.slow.fetch_add(u64::from(slow), Ordering::Relaxed);
        row.refused.store(refused, Ordering::Relaxed);
    }

    /// It was shown updates of which it will not tell itself.
    pub(super) fn shown(&self, module: usize, updates: usize) {
        self.rows[module]
            .updates
            .fetch_add(updates as u64, Ordering::Relaxed);
    }

    /// So many groups wait for it now.
    pub(super) fn waits(&self, module: usize, groups: usize) {
        self.rows[module].waiting.store(groups as u64, Ordering::Relaxed);
    }

    pub(super) fn full(&self, module: usize) {
        self.rows[module].full.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn missed(&self, module: usize, groups: usize) {
        self.rows[module]
            .missed
            .fetch_add(groups as u64, Ordering::Relaxed);
    }

    pub(super) fn late(&self, module: usize, findings: usize) {
        self.rows[module]
            .late
            .fetch_add(findings as u64, Ordering::Relaxed);
    }

    /// Notes a panic; gives how many there were.
    pub(super) fn panicked(&self, module: usize, what: &str) -> u64 {
        let row = &self.rows[module];
        self.fault(row, format!("panic: {what}"));
        row.panics.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes a call that did not return in time; gives how many there were.
    pub(super) fn hung(&self, module: usize, waited: Duration) -> u64 {
        let row = &self.rows[module];
        self.fault(row, format!("no answer for {:.1} s", waited.as_secs_f64()));
        row.hangs.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn stop(&self, module: usize) {
        self.rows[module].stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self, module: usize) -> bool {
        self.rows[module].stopped.load(Ordering::Relaxed)
    }

    fn fault(&self, row: &Row, mut text: String) {
        let mut end = text.len().min(FAULT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        tracing::error!(module = row.name, fault = text, "module failed; it begins anew");
        *row.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}
