//! What is too old goes: windows with their evidence and alerts, and gaps.

use std::ops::Bound;
use std::time::{Duration, SystemTime};

use lynceus_model::time::Timestamp;

use crate::rows;
use crate::store::{Change, Flush, KeyRange, LogRetention, Order, Store, StoreError, Table};

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub log: LogRetention,
    /// Windows, evidence and alerts, by the begin of their window (event time).
    pub rows_max_age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            log: LogRetention {
                max_age: Duration::from_secs(7 * 24 * 3600),
                max_bytes: 20 << 30,
            },
            rows_max_age: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// Windows of one step: bounds the memory of a step.
const STEP: usize = 512;
/// Gaps that are kept: the newest.
const MAX_GAPS: usize = 10_000;

/// Removes windows that began longer than `max_age` ago, with everything that belongs to them, and the oldest gaps.
/// Where all windows are old (a capture of last year), their age counts from the newest of them. Returns how many
/// windows and gaps went.
///
/// # Errors
/// When the store refuses.
pub fn expire_rows(store: &dyn Store, max_age: Duration) -> Result<u64, StoreError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let now = Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
    let newest = store.scan(Table::WindowsByTime, &KeyRange::all(), Order::Descending, 1)?;
    let newest = newest.first().and_then(|(key, _)| rows::window_of_time_key(key));
    let now = newest.map_or(now, |newest| now.min(newest.start));
    let max_age = i64::try_from(max_age.as_nanos()).unwrap_or(i64::MAX);
    let horizon = Timestamp(now.0.saturating_sub(max_age));
    let range = KeyRange {
        start: Bound::Unbounded,
        end: Bound::Excluded(rows::time_key(horizon).to_vec()),
    };
    let mut gone = expire_gaps(store)?;
    loop {
        let windows = store.scan(Table::WindowsByTime, &range, Order::Ascending, STEP)?;
        for (key, _) in &windows {
            if let Some(window) = rows::window_of_time_key(key) {
                let prefix = rows::window_key(window);
                expire_of_window(store, &prefix, Table::Evidence, Table::EvidenceByTime)?;
                expire_of_window(store, &prefix, Table::Alerts, Table::AlertsByTime)?;
                let changes = vec![
                    remove(Table::Outliers, key.clone()),
                    remove(Table::OutlierCases, key.clone()),
                    remove(Table::Labels, prefix.clone()),
                    remove(Table::Windows, prefix.clone()),
                    remove(Table::Summaries, prefix),
                    remove(Table::WindowsByTime, key.clone()),
                ];
                store.write(&changes, Flush::Buffered)?;
            }
        }
        gone += windows.len() as u64;
        if windows.len() < STEP {
            return Ok(gone);
        }
    }
}

fn expire_of_window(
    store: &dyn Store,
    prefix: &[u8],
    table: Table,
    by_time: Table,
) -> Result<(), StoreError> {
    loop {
        let found = store.scan(table, &KeyRange::prefix(prefix), Order::Ascending, STEP)?;
        let mut changes = Vec::with_capacity(found.len() * 2);
        for (key, value) in &found {
            let last = match table {
                Table::Alerts => rows::read_alert(value).map(|alert| alert.last),
                _ => rows::read_evidence(value).map(|row| row.evidence.last),
            };
            // An unreadable row goes too; its place in the order of time stays behind and leads nowhere.
            if let Ok(last) = last {
                changes.push(remove(by_time, rows::by_time_key(last, key)));
            }
            changes.push(remove(table, key.clone()));
        }
        store.write(&changes, Flush::Buffered)?;
        if found.len() < STEP {
            return Ok(());
        }
    }
}

fn expire_gaps(store: &dyn Store) -> Result<u64, StoreError> {
    let newest = store.scan(Table::Gaps, &KeyRange::all(), Order::Descending, MAX_GAPS)?;
    let Some((oldest_kept, _)) = newest.last().filter(|_| newest.len() == MAX_GAPS) else {
        return Ok(0);
    };
    let range = KeyRange {
        start: Bound::Unbounded,
        end: Bound::Excluded(oldest_kept.clone()),
    };
    let old = store.scan(Table::Gaps, &range, Order::Ascending, STEP)?;
    let count = old.len() as u64;
    let old: Vec<Change> = old.into_iter().map(|(key, _)| remove(Table::Gaps, key)).collect();
    store.write(&old, Flush::Buffered)?;
    Ok(count)
}

const fn remove(table: Table, key: Vec<u8>) -> Change {
    Change {
        table,
        key,
        value: None,
    }
}
