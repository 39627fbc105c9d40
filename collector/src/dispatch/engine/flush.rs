//! Windows go to the tables, and out of memory when they rest.

use std::collections::HashSet;

use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::Engine;
use crate::dispatch::rest::{forgotten_before, is_at_rest};
use crate::dispatch::summary::summary;
use crate::rows;
use crate::store::{Change, Position, StoreError};

/// What [`Engine::flush`] gives.
pub(in crate::dispatch) struct Flushed {
    /// For those who watch.
    pub(in crate::dispatch) summaries: Vec<(WindowId, v1::WindowSummary)>,
    /// A replay has to begin after this position.
    pub(in crate::dispatch) replay_from: Position,
}

/// Bytes of windows that are encoded before they are written.
const WRITE_BYTES: usize = 4 << 20;

impl Engine {
    /// Writes what changed since the last call: summaries, and with `whole` also the windows themselves but for these,
    /// which modules are not through with; then windows at rest leave memory. A replay begins after `durable` until this
    /// has been written. Windows that are held stay, so a replay begins before them and builds them again.
    pub(in crate::dispatch) fn flush(
        &mut self,
        applied: Position,
        durable: Position,
        whole: Option<&HashSet<WindowId>>,
        write: &mut dyn FnMut(&[Change]) -> Result<(), StoreError>,
    ) -> Result<Flushed, StoreError> {
        let (plan, now, threshold) = (self.options.plan, self.now, self.options.policy.threshold());
        let mut summaries = Vec::new();
        let mut changes = Vec::new();
        let mut bytes = 0;
        let held = |id: &WindowId| whole.is_some_and(|held| held.contains(id));
        if whole.is_some() {
            let remembered = self.outliers.flush(applied, durable);
            if !remembered.is_empty() {
                write(&remembered)?;
            }
        }
        for hot in self.windows.iter_mut() {
            if whole.is_some() && hot.dirty && !held(&hot.row.profile.window) {
                let change = rows::put_window(&hot.row);
                bytes += change.value.as_ref().map_or(0, Vec::len);
                changes.push(change);
                hot.dirty = false;
            }
            if hot.changed {
                let id = hot.row.profile.window;
                let summary = summary(hot, &plan, &self.accumulator, threshold);
                changes.extend(rows::put_summary(id, &summary));
                summaries.push((id, summary));
                hot.changed = false;
            }
            if bytes > WRITE_BYTES {
                write(&changes)?;
                changes.clear();
                bytes = 0;
            }
        }
        if !changes.is_empty() {
            write(&changes)?;
        }
        let mut replay_from = applied;
        if whole.is_some() {
            let at_rest: Vec<WindowId> = self
                .windows
                .iter()
                .filter(|hot| is_at_rest(hot.row.profile.window.start, hot.row.closed, &plan, now))
                .map(|hot| hot.row.profile.window)
                .filter(|id| !held(id))
                .collect();
            at_rest.into_iter().for_each(|id| self.windows.remove(id));
            for id in self.windows.beyond(self.options.max_window_bytes) {
                if !held(&id) {
                    self.windows.remove(id);
                }
            }
            if let Some(horizon) = forgotten_before(&plan, now) {
                self.accumulator.forget_before(horizon);
            }
            let earliest = self.windows.iter().map(|hot| hot.row.since).min();
            replay_from = earliest.map_or(applied, |since| Position(since.0.saturating_sub(1)).min(applied));
        }
        Ok(Flushed {
            summaries,
            replay_from,
        })
    }
}
