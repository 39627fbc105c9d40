//! From updates to windows, evidence and alerts. One thread, no clock: everything follows from the log.

mod flush;

use std::sync::Arc;

use lynceus_detect::History;
use lynceus_detect::outlier::{Counters, Judged, Knows, Seen};
use lynceus_model::alert::{Accumulator, AlertPolicy};
use lynceus_model::evidence::Evidence;

use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, Stage, WindowId};
use lynceus_proto::batch::Content;
use lynceus_proto::v1;

use super::effects::Effects;
use super::hot::{Hot, HotWindows, Replay};
use super::left_out::LeftOut;
use super::options::EngineOptions;
use super::outliers::Outliers;
use super::related;
use super::rest::is_at_rest;
use super::summary::summary;
use crate::earlier::LookBack;
use crate::knowledge::Facts;
use crate::modules::{Item, ModuleFigures};
use crate::rows::{self, EvidenceRow};
use crate::store::{KeyRange, Order, Position, Store, StoreError, Table};

pub(super) struct Engine {
    options: EngineOptions,
    windows: HotWindows,
    accumulator: Accumulator,
    replay: Replay,
    left_out: LeftOut,
    outliers: Outliers,
    /// Earlier windows of the profile that is looked at, once they were asked for.
    earlier: Option<LookBack>,
    /// What was derived of the window that is looked at, once something was found in it.
    seen: Seen,
    /// Newest event time.
    now: Timestamp,
}

impl Engine {
    /// `run`: another number for each run.
    pub(super) fn new(options: EngineOptions, replay_from: Position, run: u64) -> Self {
        Self {
            accumulator: Accumulator::new(options.group, options.policy),
            windows: HotWindows::default(),
            left_out: LeftOut::new(Arc::clone(&options.facts)),
            outliers: Outliers::new(&options),
            earlier: None,
            seen: Seen::default(),
            replay: Replay {
                from: replay_from,
                run,
            },
            now: Timestamp::MIN,
            options,
        }
    }

    /// Takes up what an earlier run remembered.
    pub(super) fn restore(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        self.outliers.restore(store)
    }

    /// Takes the newest window's end for the newest event time, where no update will tell.
    pub(super) fn come_to_rest(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let newest = store.scan(Table::WindowsByTime, &KeyRange::all(), Order::Descending, 1)?;
        let window = newest.first().and_then(|(key, _)| rows::window_of_time_key(key));
        if let Some(window) = window {
            self.now = window.start.saturating_add(self.options.plan.width);
        }
        Ok(())
    }

    /// Shows an update of the sensor `origin` to the outlier detector and adds up what it finds, after the other detectors.
    pub(super) fn look_for_outliers(
        &mut self,
        item: &Item,
        (position, origin): (Position, SensorId),
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let update = item.update();
        let shown = item.shown(self.options.group);
        let now = (update.stage == Stage::Closed && self.outliers.is_new(position))
            .then(|| earlier(&mut self.earlier, &self.windows, item.profile.window, store))
            .transpose()?;
        let history = now.map_or_else(History::default, |now| History::new(now));
        let (found, judged) = self.outliers.inspect(
            (position, origin),
            &shown,
            (item, &history),
            store,
            &mut effects.changes,
        )?;
        for evidence in found {
            self.take_evidence(evidence, position, store, effects)?;
        }
        for judged in judged {
            self.complete(&judged, store, effects)?;
        }
        Ok(())
    }

    /// Adds the account of a window that is over to its evidence that was said when no peers were known. Sinks have
    /// that evidence as it was said; tables and whoever watches have it complete.
    fn complete(&self, judged: &Judged, store: &dyn Store, effects: &mut Effects) -> Result<(), StoreError> {
        let window = judged.closed.window;
        if self.windows.get(window).is_some_and(|hot| hot.row.evidence == 0) {
            return Ok(());
        }
        let mut seen = Seen::default();
        effects.complete(judged, &mut seen);
        let range = KeyRange::prefix(&rows::window_key(window));
        let most = Accumulator::MAX_EVIDENCE;
        for (_, value) in store.scan(Table::Evidence, &range, Order::Ascending, most)? {
            let mut row = rows::read_evidence(&value)?;
            if effects.touched(row.evidence.id).is_none() && judged.complete(&mut row.evidence, &mut seen) {
                let last = row.evidence.last;
                effects.touch(row, Some(last));
            }
        }
        Ok(())
    }

    /// Notes that something was found at an update, and adds the account of its window.
    pub(super) fn explain(
        &mut self,
        evidence: &mut Evidence,
        item: &Item,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let history = earlier(&mut self.earlier, &self.windows, item.profile.window, store)?;
        let history = History::new(history);
        let window = (&*item.profile, &mut self.seen);
        self.outliers.explain(evidence, window, &history, store)
    }

    /// The same for what was found elsewhere: with its window as it is now, if it is in memory.
    pub(super) fn explain_late(
        &mut self,
        evidence: &mut Evidence,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        let id = rows::window_of_evidence(evidence);
        match self.windows.get(id) {
            Some(hot) => {
                let mut history = None;
                let history = History::new(earlier(&mut history, &self.windows, id, store)?);
                let window = (&*hot.row.profile, &mut Seen::default());
                self.outliers.explain(evidence, window, &history, store)
            }
            None => Ok(()),
        }
    }

    /// Merges an update; gives what the modules are to be shown, if it was not merged before.
    pub(super) fn merge(
        &mut self,
        position: Position,
        content: &Arc<Content>,
        index: usize,
        store: &dyn Store,
    ) -> Result<Option<Item>, StoreError> {
        let update = &content.updates[index];
        let id = update.delta.window;
        let mut taken = self.windows.take(id, position, self.replay, store)?;
        if taken.loaded {
            add_up_again(taken.hot, &mut self.accumulator, store)?;
        }
        let hot = &mut *taken.hot;
        if position <= hot.loaded_at {
            return Ok(None);
        }
        let tells = self.options.external.is_some()
            && (!std::mem::replace(&mut hot.told, true)
                || is_at_rest(id.start, hot.row.closed, &self.options.plan, self.now));
        let opened = tells.then(|| Arc::clone(&hot.row.profile));
        // Nobody else holds it now, but for a module that was left behind.
        let merged = Arc::make_mut(&mut hot.row.profile).merge(&update.delta);
        debug_assert!(merged, "the window was looked up by the delta's own identity");
        hot.row.applied = position;
        hot.row.run = self.replay.run;
        // A record that comes after the end opens the window again until it is at rest.
        hot.row.closed = update.stage == Stage::Closed;
        (hot.dirty, hot.changed) = (true, true);
        let (profile, history) = (Arc::clone(&hot.row.profile), Arc::clone(&hot.history));
        taken.weigh();
        let last = update.delta.span.map(|(_, last)| last);
        let tick = last.filter(|last| *last > self.now);
        self.now = tick.unwrap_or(self.now);
        Ok(Some(Item {
            content: Arc::clone(content),
            index,
            profile,
            history: LookBack::new(history),
            number: self.options.plan.number_of(id.start),
            tick,
            opened,
        }))
    }

    /// What the whitelist knows of addresses grows with the updates, so that it does not depend on how they were grouped.
    pub(super) fn learn(&mut self, item: &Item) {
        (self.earlier, self.seen) = (None, Seen::default());
        let update = item.update();
        self.left_out.learn(&update.apps, &update.flows);
    }

    /// Whether the windows in memory are beyond their bound, so that they should be flushed now.
    pub(super) fn is_full(&self) -> bool {
        self.windows.bytes() > self.options.max_window_bytes || self.outliers.is_full()
    }

    pub(super) fn window(&self, id: WindowId) -> Option<(ProfileDelta, v1::WindowSummary)> {
        let hot = self.windows.get(id)?;
        Some((
            ProfileDelta::clone(&hot.row.profile),
            summary(
                hot,
                &self.options.plan,
                &self.accumulator,
                self.options.policy.threshold(),
            ),
        ))
    }

    pub(super) const fn group(&self) -> SensorId {
        self.options.group
    }

    pub(super) fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.options.facts)
    }

    pub(super) fn figures(&self) -> EngineFigures {
        EngineFigures {
            windows: self.windows.len() as u64,
            window_bytes: self.windows.bytes() as u64,
            evidence_refused: self.accumulator.refused(),
            evidence_whitelisted: self.left_out.count(),
            outlier_bytes: self.outliers.bytes() as u64,
            outliers: self.outliers.counters(),
        }
    }

    /// What the baselines of the outlier detector know.
    pub(super) fn warmths(&self) -> Vec<Knows> {
        self.outliers.warmths()
    }

    /// How the outlier detector is doing, which is no module of a group's.
    pub(super) fn outlier_figures(&self) -> Option<ModuleFigures> {
        self.outliers.figures()
    }

    /// Adds up a finding.
    pub(super) fn take_evidence(
        &mut self,
        evidence: Evidence,
        position: Position,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        self.add_up((evidence, position), false, store, effects)
    }

    /// Explains and adds up what a module found after the others had gone on.
    pub(super) fn take_late(
        &mut self,
        mut evidence: Evidence,
        item: &Item,
        position: Position,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        // They are of the window that was looked at last.
        (self.earlier, self.seen) = (None, Seen::default());
        self.explain(&mut evidence, item, store)?;
        self.add_up((evidence, position), true, store, effects)
    }

    fn add_up(
        &mut self,
        (evidence, position): (Evidence, Position),
        late: bool,
        store: &dyn Store,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        if self.left_out.leaves_out(&evidence) {
            return Ok(());
        }
        self.options.facts.note_evidence(&evidence);
        let id = rows::window_of_evidence(&evidence);
        let taken = self.windows.take(id, position, self.replay, store)?;
        if taken.loaded {
            add_up_again(taken.hot, &mut self.accumulator, store)?;
        }
        let hot = taken.hot;
        // The window had it when it was loaded. Late ones say nothing of when they were found; ids count once.
        if position <= hot.loaded_at && !late {
            return Ok(());
        }
        let (known, stored) = match effects.touched(evidence.id) {
            Some(touched) => (Some(touched.row.clone()), touched.stored),
            None => {
                let value = store.get(Table::Evidence, &rows::evidence_key(id, evidence.id))?;
                let stored = value.as_deref().map(rows::read_evidence).transpose()?;
                let last = stored.as_ref().map(|row| row.evidence.last);
                (stored, last)
            }
        };
        let is_new = known.is_none();
        let (mut row, changed) = match known {
            // What was said stays as it was said, unless the finding grew.
            Some(mut row) => {
                let grown = evidence.revision > row.evidence.revision;
                if grown {
                    // It was counted when it was said first.
                    let accumulated = row.evidence.accumulated;
                    row.evidence = Evidence {
                        accumulated,
                        ..evidence
                    };
                }
                (row, grown)
            }
            None => {
                let row = EvidenceRow {
                    position,
                    order: hot.row.evidence,
                    weight: AlertPolicy::weight(&evidence),
                    evidence,
                };
                (row, true)
            }
        };
        // An id that this run of the window has seen adds nothing; the accumulator knows.
        let before = self.accumulator.evidence(id);
        let alert = self.accumulator.add_weighing(&row.evidence, row.weight);
        if self.accumulator.evidence(id) > before {
            hot.row.evidence += 1;
            hot.row.applied = position;
            hot.row.run = self.replay.run;
            (hot.dirty, hot.changed) = (true, true);
        }
        if is_new {
            let left = self.accumulator.sum(id);
            row.evidence.accumulated = Some(alert.as_ref().map_or(left, |alert| alert.sum));
        }
        if changed {
            effects.touch(row, stored);
        }
        if let Some(mut alert) = alert {
            hot.row.alerts += 1;
            hot.row.alerted += alert.sum;
            let known = store
                .get(Table::Alerts, &rows::alert_key(id, alert.id))?
                .is_some();
            if !known {
                let near = related::group_near(id, &self.options.plan, store, &effects.alerts)?;
                alert.group = near.unwrap_or(alert.group);
                effects.changes.extend(rows::put_alert(&alert));
                effects.alerts.push(alert);
            }
        }
        Ok(())
    }
}

/// How full the engine is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineFigures {
    pub windows: u64,
    pub window_bytes: u64,
    /// Evidence that found no place in the accumulation.
    pub evidence_refused: u64,
    /// Evidence that the whitelist left out.
    pub evidence_whitelisted: u64,
    /// Baselines and pasts of the outlier detector.
    pub outlier_bytes: u64,
    /// What the outlier detector refused.
    pub outliers: Counters,
}

/// Feeds the evidence that a window had when it was stored to the accumulation, in the order in which it came. What the
/// accumulation still knows adds nothing.
fn add_up_again(hot: &Hot, accumulator: &mut Accumulator, store: &dyn Store) -> Result<(), StoreError> {
    let id = hot.row.profile.window;
    let range = KeyRange::prefix(&rows::window_key(id));
    let stored = store.scan(
        Table::Evidence,
        &range,
        Order::Ascending,
        Accumulator::MAX_EVIDENCE,
    )?;
    let mut stored: Vec<EvidenceRow> = stored
        .iter()
        .map(|(_, value)| rows::read_evidence(value))
        .collect::<Result<_, _>>()?;
    // An earlier run may have said more than the replay has come to.
    stored.retain(|row| row.position <= hot.row.applied);
    stored.sort_by_key(|row| (row.position, row.order));
    for row in stored {
        // Its alerts are counted in the row of the window.
        let _ = accumulator.add_weighing(&row.evidence, row.weight);
    }
    Ok(())
}

/// Earlier windows of a profile as they are now, asked for once an update. Those that a window keeps from its opening are
/// not the same after a restart: the store has them as they became.
fn earlier<'a>(
    known: &'a mut Option<LookBack>,
    windows: &HotWindows,
    id: WindowId,
    store: &dyn Store,
) -> Result<&'a LookBack, StoreError> {
    let found = match known.take() {
        Some(found) => found,
        None => LookBack::new(Arc::new(windows.history(id, store)?)),
    };
    Ok(known.insert(found))
}
