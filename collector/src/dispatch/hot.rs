//! Windows in memory: those that batches still change. They go to the store when they rest, and come back if they must.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use crate::earlier::Packed;
use crate::rows::{self, WindowRow};
use crate::store::{KeyRange, Order, Position, Store, StoreError, Table};

/// Earlier windows of a profile that detectors may look at: enough for a mean.
pub(super) const HISTORY: usize = 4;

/// One window in memory.
pub(super) struct Hot {
    pub(super) row: WindowRow,
    /// Updates at or before this position were merged before the window was loaded.
    pub(super) loaded_at: Position,
    /// Earlier windows of the profile as they were when this one opened, newest first.
    pub(super) history: Arc<Packed>,
    /// Not yet in the store as it is here.
    pub(super) dirty: bool,
    /// Its summary is not yet in the store.
    pub(super) changed: bool,
    /// Modules elsewhere know it.
    pub(super) told: bool,
    /// Of the earlier windows.
    history_bytes: usize,
    bytes: usize,
    touched: u64,
}

/// Where this run of the collector began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replay {
    /// The log is replayed after this position.
    pub(super) from: Position,
    /// Different for each run.
    pub(super) run: u64,
}

/// All windows in memory, by profile and start.
#[derive(Default)]
pub(super) struct HotWindows {
    windows: BTreeMap<(IpAddr, Timestamp), Hot>,
    clock: u64,
    bytes: usize,
}

impl HotWindows {
    pub(super) fn get(&self, id: WindowId) -> Option<&Hot> {
        self.windows.get(&(id.profile, id.start))
    }

    /// The window; made if there is none. It is fetched from the store if it began at or before the position from which
    /// the log was replayed, or was written in this run; what an earlier run wrote of later windows is built again.
    pub(super) fn take(
        &mut self,
        id: WindowId,
        position: Position,
        replay: Replay,
        store: &dyn Store,
    ) -> Result<Taken<'_>, StoreError> {
        let mut loaded = false;
        let key = (id.profile, id.start);
        if !self.windows.contains_key(&key) {
            let stored = store.get(Table::Windows, &rows::window_key(id))?;
            let stored = stored.map(|value| rows::read_window(&value)).transpose()?;
            let stored = stored.filter(|row| row.since <= replay.from || row.run == replay.run);
            loaded = stored.is_some();
            let loaded_at = stored.as_ref().map_or(Position(0), |row| row.applied);
            let history = self.history(id, store)?;
            let hot = Hot {
                row: stored.unwrap_or_else(|| WindowRow {
                    since: position,
                    applied: position,
                    run: replay.run,
                    closed: false,
                    evidence: 0,
                    alerts: 0,
                    alerted: 0.0,
                    profile: ProfileDelta::new(id).into(),
                }),
                loaded_at,
                history_bytes: history.bytes(),
                history: Arc::new(history),
                dirty: false,
                changed: false,
                told: false,
                bytes: 0,
                touched: 0,
            };
            self.windows.insert(key, hot);
        }
        self.clock += 1;
        let hot = self.windows.get_mut(&key).expect("inserted above");
        hot.touched = self.clock;
        Ok(Taken {
            hot,
            loaded,
            all_bytes: &mut self.bytes,
        })
    }

    /// Windows that were untouched for longest, until the others fit into half of `max_bytes`, if they do not fit into
    /// all of it: down to the bound itself, the very next batch would write everything again.
    pub(super) fn beyond(&self, max_bytes: usize) -> Vec<WindowId> {
        let mut left = self.bytes;
        let mut beyond = Vec::new();
        if left <= max_bytes {
            return beyond;
        }
        let mut windows: Vec<&Hot> = self.windows.values().collect();
        windows.sort_unstable_by_key(|hot| hot.touched);
        for hot in windows {
            if left <= max_bytes / 2 {
                break;
            }
            left -= hot.bytes;
            beyond.push(hot.row.profile.window);
        }
        beyond
    }

    pub(super) fn remove(&mut self, id: WindowId) {
        if let Some(hot) = self.windows.remove(&(id.profile, id.start)) {
            self.bytes -= hot.bytes;
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Hot> {
        self.windows.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Hot> {
        self.windows.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Earlier windows of the profile as they are now, newest first: those in memory, the others from the store.
    pub(super) fn history(&self, id: WindowId, store: &dyn Store) -> Result<Packed, StoreError> {
        let earlier = self
            .windows
            .range((id.profile, Timestamp::MIN)..(id.profile, id.start))
            .rev();
        let mut history = Packed::default();
        let mut oldest = id;
        for (_, hot) in earlier.take(HISTORY) {
            history.push(&hot.row.profile);
            oldest = hot.row.profile.window;
        }
        if history.len() < HISTORY {
            let range = KeyRange {
                start: Bound::Included(rows::address_key(id.profile).to_vec()),
                end: Bound::Excluded(rows::window_key(oldest)),
            };
            for (_, value) in
                store.scan(Table::Windows, &range, Order::Descending, HISTORY - history.len())?
            {
                history.push_row(value);
            }
        }
        Ok(history)
    }
}

/// What [`HotWindows::take`] gives.
pub(super) struct Taken<'a> {
    pub(super) hot: &'a mut Hot,
    /// It was fetched from the store just now: its evidence has to be added up again.
    pub(super) loaded: bool,
    all_bytes: &'a mut usize,
}

impl Taken<'_> {
    /// Notes how large the window is now.
    pub(super) fn weigh(&mut self) {
        let bytes = self.hot.row.profile.bytes() + self.hot.history_bytes;
        *self.all_bytes = *self.all_bytes - self.hot.bytes + bytes;
        self.hot.bytes = bytes;
    }
}
