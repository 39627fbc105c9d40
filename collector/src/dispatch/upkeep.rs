//! What has to be done now and then: tables written, memory given back, old things forgotten.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lynceus_proto::v1;

use super::live::{REPLAY_FROM, WHOLE_TO, put_position};
use super::{Dispatch, lock};
use crate::retention::expire_rows;
use crate::rows;
use crate::shared::add;
use crate::store::{Change, Flush, Position, Store, StoreError};

/// Between two writes of changed summaries: how old a list on a screen may be.
pub(super) const SUMMARIES: Duration = Duration::from_secs(1);
/// Between two looks at what is too old.
const EXPIRE: Duration = Duration::from_secs(60);

pub(super) struct Timers {
    summaries: Instant,
    checkpoint: Instant,
    expire: Instant,
}

impl Timers {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            summaries: now,
            checkpoint: now,
            expire: now,
        }
    }
}

impl Dispatch {
    pub(super) fn keep_up(&mut self, timers: &mut Timers) -> Result<(), StoreError> {
        self.hear_late()?;
        if timers.checkpoint.elapsed() >= self.checkpoint || lock(&self.engine).is_full() {
            timers.checkpoint = Instant::now();
            timers.summaries = Instant::now();
            self.flush(true)?;
        } else if timers.summaries.elapsed() >= SUMMARIES {
            timers.summaries = Instant::now();
            self.flush(false)?;
        }
        if timers.expire.elapsed() >= EXPIRE {
            timers.expire = Instant::now();
            self.expire()?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, whole: bool) -> Result<(), StoreError> {
        let store = &self.store;
        let mut write = |changes: &[Change]| store.write(changes, Flush::Buffered);
        let held = if whole {
            self.modules.held()
        } else {
            HashSet::new()
        };
        let flushed =
            lock(&self.engine).flush(self.applied, self.replay_from, whole.then_some(&held), &mut write)?;
        if whole && flushed.replay_from > self.replay_from {
            self.replay_from = flushed.replay_from;
            let row = put_position(REPLAY_FROM, self.replay_from);
            self.store.write(&[row], Flush::Durable)?;
        }
        if whole && held.is_empty() && self.applied > self.whole_to {
            self.whole_to = self.applied;
            // Behind the windows in the same journal: it is never there without them.
            let row = put_position(WHOLE_TO, self.whole_to);
            self.store.write(&[row], Flush::Buffered)?;
        }
        if !flushed.summaries.is_empty() {
            let windows = flushed
                .summaries
                .into_iter()
                .map(|(id, summary)| v1::ChangedWindow {
                    profile: rows::address_bytes(id.profile),
                    summary: Some(summary),
                });
            let windows = v1::WindowsChanged {
                windows: windows.collect(),
            };
            self.shared.tell(v1::watch_response::Change::Windows(windows));
        }
        Ok(())
    }

    fn expire(&mut self) -> Result<(), StoreError> {
        self.flush(true)?;
        let expired = self
            .store
            .expire_log(&self.retention.log, Position(self.replay_from.0 + 1))?;
        if expired.forced > 0 {
            tracing::warn!(
                entries = expired.forced,
                "log entries of open windows went by size; a crash now would lose what detectors remember of them"
            );
        }
        let rows = expire_rows(&self.store, self.retention.rows_max_age)?;
        add(&self.shared.counters.expired_entries, expired.entries);
        add(&self.shared.counters.expired_forced, expired.forced);
        add(&self.shared.counters.expired_rows, rows);
        Ok(())
    }
}
