//! The outlier detector in the engine: it is fed with the log like the others, but its memory outlives a run.
//!
//! Its state is one row, written with the place of the log that it belongs to; pasts of profiles are rows of their own
//! and know the place that taught them last. A replay begins earlier than that: up to the place of the state the
//! detector is not shown anything, and what it said between is said again from the row, so that alerts add up as they
//! did (`docs/decisions/0140-outlier-state.md`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use lynceus_detect::outlier::{Counters, Judged, Knows, Outlier, Seen};
use lynceus_detect::{Context, Detector, History, ProfileUpdate};
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::{SensorId, Stage, WindowId};

use crate::modules::{Item, ModuleFigures, panic_text};
use crate::rows::outlier as rows;
use crate::store::{Change, Position, Store, StoreError, Table};

pub(super) struct Outliers {
    /// `None`: not enabled, or it panicked.
    detector: Option<Outlier>,
    figures: ModuleFigures,
    /// Place of the state that this run began with.
    known: Position,
    /// What was said at places that a replay may pass again.
    said: BTreeMap<Position, Vec<Evidence>>,
    changed: bool,
}

/// Evidence that may be said again; more alarms between two places of rest are a flood in which one more counts little.
const MAX_SAID: usize = 4_096;

impl Outliers {
    pub(super) fn new(options: &super::EngineOptions) -> Self {
        let context = Context {
            network: std::sync::Arc::new(options.detectors.network.clone()),
            knowledge: std::sync::Arc::<crate::knowledge::Facts>::clone(&options.facts),
        };
        let config = options.detectors.outlier.clone();
        let detector = config.enabled.then(|| {
            let mut detector = Outlier::new(config, &context);
            detector.set_width(options.plan.width);
            detector
        });
        Self {
            detector,
            figures: ModuleFigures {
                name: "outlier",
                ..ModuleFigures::default()
            },
            known: Position(0),
            said: BTreeMap::new(),
            changed: false,
        }
    }

    /// Goes on from the store. A state that cannot be read is told and left: the baseline begins anew.
    pub(super) fn restore(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let Some(detector) = &mut self.detector else {
            return Ok(());
        };
        let Some(value) = store.get(Table::OutlierState, rows::STATE_KEY)? else {
            return Ok(());
        };
        match rows::read_state(&value) {
            Ok((position, state, said)) => {
                if detector.restore(state) {
                    let waiting: Vec<_> = detector.waiting().collect();
                    for profile in waiting {
                        put_own(detector, profile, store)?;
                    }
                    self.known = position;
                    for (position, evidence) in said {
                        self.said.entry(position).or_default().push(evidence);
                    }
                } else {
                    tracing::warn!("outliers: the baseline was made with other features and begins anew");
                }
            }
            Err(error) => tracing::error!(%error, "outliers: the baseline begins anew"),
        }
        Ok(())
    }

    /// Whether what stands at a place of the log is still to be shown.
    pub(super) fn is_new(&self, position: Position) -> bool {
        self.detector.is_some() && position > self.known
    }

    /// Shows an update of a sensor and the earlier windows of its profile, which only a window that is over needs; gives what is to be said and what was judged, and puts accounts among the changes.
    pub(super) fn inspect(
        &mut self,
        (position, origin): (Position, SensorId),
        update: &ProfileUpdate<'_>,
        (item, history): (&Item, &History<'_>),
        store: &dyn Store,
        changes: &mut Vec<Change>,
    ) -> Result<(Vec<Evidence>, Vec<Judged>), StoreError> {
        if position <= self.known {
            // All that was said at one place of the log, with each of its updates: an id counts once.
            let said = self.said.get(&position).cloned();
            return Ok((said.unwrap_or_default(), Vec::new()));
        }
        let begin = Instant::now();
        let shown = self.guarded(|detector| {
            let profile = update.profile.window.profile;
            // Judging looks at pasts, and only windows that are over are judged.
            if update.stage == Stage::Closed {
                put_own(detector, profile, store)?;
            }
            let index = item.index.min(usize::from(u16::MAX)) as u64;
            detector.set_position(position.0 << 16 | index);
            detector.set_origin(origin);
            let mut found = detector.inspect(update, history);
            if let Some(now) = item.tick {
                found.extend(detector.tick(now));
            }
            Ok::<_, StoreError>((found, detector.take_judged()))
        });
        let Some(shown) = shown else {
            return Ok((Vec::new(), Vec::new()));
        };
        self.figures.updates += 1;
        self.figures.busy += begin.elapsed();
        let (found, judged) = shown?;
        judged.iter().for_each(|judged| changes.extend(of(judged)));
        self.changed = true;
        if !found.is_empty() && self.said.values().map(Vec::len).sum::<usize>() < MAX_SAID {
            self.said
                .entry(position)
                .or_default()
                .extend(found.iter().cloned());
        }
        Ok((found, judged))
    }

    /// Notes evidence of another detector, and adds the account of the window to it. `seen`: see
    /// [`Outlier::explain`].
    pub(super) fn explain(
        &mut self,
        evidence: &mut Evidence,
        (profile, seen): (&ProfileDelta, &mut Seen),
        history: &History<'_>,
        store: &dyn Store,
    ) -> Result<(), StoreError> {
        if evidence.kind == EvidenceType::Outlier {
            return Ok(());
        }
        let explained = self.guarded(|detector| {
            // The account must not depend on whose past happens to be in memory.
            put_own(detector, profile.window.profile, store)?;
            let window = WindowId {
                profile: evidence.profile,
                start: evidence.window_start,
            };
            detector.saw(window, evidence.kind, profile.window);
            detector.explain(evidence, profile, history.windows(), seen);
            Ok(())
        });
        explained.unwrap_or(Ok(()))
    }

    /// Calls the detector. A panic is its end in this run, and nobody else's: its state may be half changed. The next
    /// start goes on from the state in the store.
    fn guarded<T>(&mut self, call: impl FnOnce(&mut Outlier) -> T) -> Option<T> {
        let detector = self.detector.as_mut()?;
        let called = catch_unwind(AssertUnwindSafe(|| call(detector)));
        called
            .inspect_err(|panic| {
                let fault = format!(
                    "panic: {}",
                    panic_text(&**panic).chars().take(300).collect::<String>()
                );
                tracing::error!(fault, "the outlier detector ends until the next start");
                self.detector = None;
                self.figures.stopped = true;
                self.figures.panics += 1;
                self.figures.last_fault = Some(fault);
            })
            .ok()
    }

    /// How the detector is doing; `None` where it is not enabled.
    pub(super) fn figures(&self) -> Option<ModuleFigures> {
        (self.detector.is_some() || self.figures.stopped).then(|| self.figures.clone())
    }

    /// Writes what changed, as it is after `applied`; a replay will not begin before `replay_from`.
    ///
    /// It must be in the store before the windows of this moment: those that are at rest are not built again by a replay,
    /// so they must not be ahead of what this detector was shown.
    pub(super) fn flush(&mut self, applied: Position, replay_from: Position) -> Vec<Change> {
        let Some(detector) = &mut self.detector else {
            return Vec::new();
        };
        self.said.retain(|position, _| *position > replay_from);
        if !std::mem::take(&mut self.changed) || applied <= self.known {
            return Vec::new();
        }
        let mut changes = Vec::new();
        detector.each_changed(|profile, own| changes.push(rows::put_own(profile, own)));
        let said = self.said.iter().flat_map(|(position, evidence)| {
            let position = *position;
            evidence.iter().map(move |evidence| (position, evidence.clone()))
        });
        changes.push(rows::put_state(
            applied,
            &detector.state(),
            &said.collect::<Vec<_>>(),
        ));
        detector.shrink();
        changes
    }

    pub(super) fn is_full(&self) -> bool {
        self.detector.as_ref().is_some_and(Outlier::is_full)
    }

    /// What the baselines know now.
    pub(super) fn warmths(&self) -> Vec<Knows> {
        self.detector
            .as_ref()
            .map_or_else(Vec::new, |detector| detector.warmths().collect())
    }

    /// What was refused.
    pub(super) fn counters(&self) -> Counters {
        self.detector
            .as_ref()
            .map_or_else(Counters::default, Outlier::counters)
    }

    pub(super) fn bytes(&self) -> usize {
        self.detector.as_ref().map_or(0, Outlier::bytes)
    }
}

/// Puts the past of a profile into the detector's memory, if it is only in the store.
fn put_own(detector: &mut Outlier, profile: IpAddr, store: &dyn Store) -> Result<(), StoreError> {
    if !detector.knows(profile)
        && let Some(value) = store.get(Table::OutlierState, &rows::own_key(profile))?
        && let Some(own) = rows::read_own(&value)?
    {
        detector.put_own(profile, own);
    }
    Ok(())
}

fn of(judged: &Judged) -> Vec<Change> {
    rows::put_outlier(&rows::outlier_of(judged), judged.closed.window)
}

#[cfg(test)]
mod tests {
    use lynceus_model::time::{Timestamp, WindowPlan};

    use super::super::EngineOptions;
    use super::*;

    #[test]
    fn a_panic_ends_the_detector_and_nothing_else() {
        let plan = WindowPlan {
            width: WindowPlan::DEFAULT_WIDTH,
            origin: Timestamp(0),
        };
        let mut outliers = Outliers::new(&EngineOptions::new(SensorId([1; 16]), plan));
        assert_eq!(outliers.guarded(|_| 7), Some(7));
        assert!(!outliers.figures().unwrap().stopped);
        // As a panic, but without its message among the output of tests.
        let panics = |_: &mut Outlier| std::panic::resume_unwind(Box::new("half changed"));
        assert_eq!(outliers.guarded(panics), None::<()>);
        assert_eq!(outliers.guarded(|_| 7), None);
        let figures = outliers.figures().unwrap();
        assert!(figures.stopped && figures.panics == 1);
        assert_eq!(figures.last_fault.as_deref(), Some("panic: half changed"));
        assert!(
            outliers.flush(Position(9), Position(0)).is_empty(),
            "the state in the store stays"
        );
    }
}
