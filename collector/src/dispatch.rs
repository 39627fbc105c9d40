//! From the log to windows, evidence and alerts, in the order of the log.
//!
//! The order of the log is the order of everything: for one sensor it is the order in which it cut its deltas, so the
//! same input gives the same evidence however batches were cut; for several sensors it is the order of acceptance,
//! which the log fixes. After a crash the log is replayed from the first update of the oldest window that was not at
//! rest: detectors see the same sequence again and say the same evidence under the same ids
//! (`docs/decisions/0061-replay.md`).

mod effects;
mod engine;
mod hot;
mod late;
mod left_out;
mod live;
mod options;
mod outliers;
mod patient;
mod related;
mod replay;
mod rest;
mod summary;
mod upkeep;

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lynceus_model::evidence::Evidence;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::Content;
use lynceus_proto::module::Said;
use lynceus_proto::v1;

pub use engine::EngineFigures;
pub use live::Live;
pub(crate) use live::is_whole;
pub use options::EngineOptions;
pub(crate) use rest::is_at_rest;

use self::effects::Effects;
use self::engine::Engine;
use self::late::no_thread;
use self::live::{REPLAY_FROM, WHOLE_TO, position};
use self::patient::Patient;
use self::upkeep::{SUMMARIES, Timers};
use crate::external::External;
use crate::modules::{Group, Item, LOOK, Modules};
use crate::peers;
use crate::retention::Retention;
use crate::rows;
use crate::shared::{Shared, add};
use crate::sink::Sink;
use crate::store::{Flush, Position, Store, StoreError};

/// What the intake hands over.
pub(crate) enum Work {
    /// Entries that are in the log.
    Logged(Vec<Logged>),
    /// Write everything that waits and answer.
    Flush(SyncSender<()>),
}

/// An entry that is in the log, decoded.
pub(crate) struct Logged {
    pub(crate) position: Position,
    pub(crate) sensor: SensorId,
    pub(crate) content: Content,
    /// Of a module instead of a sensor.
    pub(crate) said: Option<Said>,
    /// Room in the intake, given back when the effects are in the tables.
    pub(crate) _room: Option<tokio::sync::OwnedSemaphorePermit>,
}

/// Settings of the dispatch.
pub struct DispatchOptions {
    pub engine: EngineOptions,
    pub sinks: Vec<Box<dyn Sink>>,
    pub retention: Retention,
    /// Between two writes of changed windows; bounds the replay after a crash no further than windows at rest do.
    pub checkpoint: Duration,
}

/// The thread that applies the log.
pub(crate) struct Dispatch {
    store: Patient,
    shared: Arc<Shared>,
    engine: Arc<Mutex<Engine>>,
    external: Option<Arc<External>>,
    modules: Modules,
    sinks: Vec<Box<dyn Sink>>,
    retention: Retention,
    checkpoint: Duration,
    applied: Position,
    replay_from: Position,
    whole_to: Position,
}

impl Dispatch {
    /// Replays what the last run left unfinished.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub(crate) fn open(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        options: DispatchOptions,
    ) -> Result<Self, StoreError> {
        let replay_from = position(&*store, REPLAY_FROM)?;
        let whole_to = position(&*store, WHOLE_TO)?;
        let first = store
            .status()
            .first_position
            .map_or(0, |first| first.0.saturating_sub(1));
        let replay_from = replay_from.max(Position(first));
        // The wall clock never gives two runs of one store the same nanosecond.
        let run = shared.started.0.unsigned_abs();
        let modules = Modules::new(options.engine.makers(), options.engine.hosting.clone());
        let external = options.engine.external.clone();
        let mut engine = Engine::new(options.engine, replay_from, run);
        engine.restore(&*store)?;
        let mut dispatch = Self {
            modules,
            external,
            engine: Arc::new(Mutex::new(engine)),
            store: Patient::new(store, Arc::clone(&shared)),
            shared,
            sinks: options.sinks,
            retention: options.retention,
            checkpoint: options.checkpoint,
            applied: replay_from,
            replay_from,
            whole_to,
        };
        dispatch.replay()?;
        Ok(dispatch)
    }

    pub(crate) fn live(&self) -> Live {
        Live::new(Arc::clone(&self.engine), self.modules.board())
    }

    /// Works until the intake is gone and everything is written.
    pub(crate) fn run(mut self, work: &Receiver<Work>) {
        let mut timers = Timers::new();
        loop {
            // What a module that is behind finds is not to wait for traffic.
            let wait = if self.modules.is_behind() { LOOK } else { SUMMARIES };
            let done = match work.recv_timeout(wait) {
                Ok(work) => self.work(work),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let done = done.and_then(|()| self.keep_up(&mut timers));
            if let Err(error) = done {
                if !self.shared.is_stopping() {
                    tracing::error!(%error, "dispatch ends");
                    self.shared.set_fatal(error.to_string());
                }
                return;
            }
        }
        // What is still open after that is judged again by the next run.
        let patience = Some(self.modules.patience());
        if let Err(error) = self.settle(patience).and_then(|()| self.flush(true)) {
            tracing::error!(%error, "the last windows were not written; the log has them");
        }
    }

    fn work(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Logged(entries) => {
                for entry in entries {
                    self.apply(entry.position, entry.sensor, &Arc::new(entry.content), entry.said)?;
                }
            }
            Work::Flush(done) => {
                self.settle(None)?;
                self.flush(true)?;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
        Ok(())
    }

    fn apply(
        &mut self,
        position: Position,
        sensor: SensorId,
        content: &Arc<Content>,
        said: Option<Said>,
    ) -> Result<(), StoreError> {
        let mut effects = Effects::default();
        for (index, gap) in content.gaps.iter().enumerate() {
            effects.changes.push(rows::put_gap(position, index, sensor, gap));
        }
        let mut next = 0;
        let mut openings = Vec::new();
        while next < content.updates.len() {
            let group;
            (group, next) = self.merge(position, content, next)?;
            openings.extend(group.items.iter().filter_map(Item::opening));
            self.judge((position, sensor), group, &mut effects)?;
        }
        self.publish(position, sensor, content, openings)?;
        if let Some(mut said) = said {
            let mut engine = lock(&self.engine);
            for evidence in &mut said.evidence {
                engine.explain_late(evidence, &self.store)?;
            }
            drop(engine);
            self.add_up(position, said.evidence, &mut effects)?;
            effects.changes.push(rows::put_cursor(&said.module, said.cursor));
        }
        self.write(&mut effects)?;
        self.applied = self.applied.max(position);
        self.shared.set_applied(self.applied);
        self.tell(effects);
        Ok(())
    }

    /// Merges updates from `first` on, as many as the modules may be shown at once; gives the first one after them.
    ///
    /// What a module finds at one update may open windows, and an opened window looks back at earlier ones. So a group
    /// ends where a window comes again or another time begins: it makes no difference how updates were cut.
    fn merge(
        &self,
        position: Position,
        content: &Arc<Content>,
        first: usize,
    ) -> Result<(Group, usize), StoreError> {
        let mut engine = lock(&self.engine);
        let start = content.updates[first].delta.window.start;
        let mut profiles = HashSet::new();
        let mut group = Group {
            sensor: engine.group(),
            items: Vec::new(),
        };
        let mut next = first;
        while let Some(update) = content.updates.get(next) {
            let window = update.delta.window;
            if window.start != start || !profiles.insert(window.profile) {
                break;
            }
            match engine.merge(position, content, next, &self.store) {
                Ok(item) => group.items.extend(item),
                Err(error) => self.left_out(error)?,
            }
            next += 1;
        }
        Ok((group, next))
    }

    /// Shows a group to the modules and adds up what they find.
    fn judge(
        &mut self,
        (position, sensor): (Position, SensorId),
        group: Group,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let group = Arc::new(group);
        let found = self.modules.inspect(&group).map_err(no_thread)?;
        let mut found = found.into_iter().peekable();
        let mut engine = lock(&self.engine);
        for (index, item) in group.items.iter().enumerate() {
            engine.learn(item);
            while let Some(found) = found.next_if(|found| found.item == index) {
                for mut evidence in found.evidence {
                    let taken = engine
                        .explain(&mut evidence, item, &self.store)
                        .and_then(|()| engine.take_evidence(evidence, position, &self.store, effects));
                    if let Err(error) = taken {
                        self.left_out(error)?;
                    }
                }
            }
            if let Err(error) = engine.look_for_outliers(item, (position, sensor), &self.store, effects) {
                self.left_out(error)?;
            }
        }
        drop(engine);
        self.add_late(position, effects)
    }

    fn add_up(
        &self,
        position: Position,
        found: Vec<Evidence>,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        let mut engine = lock(&self.engine);
        for evidence in found {
            if let Err(error) = engine.take_evidence(evidence, position, &self.store, effects) {
                self.left_out(error)?;
            }
        }
        Ok(())
    }

    /// Tells modules elsewhere. Before anything of the entry is in the tables: a replay that begins after it need not.
    fn publish(
        &self,
        position: Position,
        sensor: SensorId,
        content: &Content,
        openings: Vec<v1::WindowOpening>,
    ) -> Result<(), StoreError> {
        let Some(external) = &self.external else {
            return Ok(());
        };
        if content.updates.is_empty() || !external.wants(position.0) {
            return Ok(());
        }
        let entry = v1::ModuleUpdates {
            cursor: position.0,
            sensor_id: sensor.0.to_vec(),
            updates: content.updates.iter().cloned().map(Into::into).collect(),
            openings,
        };
        self.store.again(|| external.publish(&entry))
    }

    /// One unreadable row must not stop the rest; it is told and counted.
    fn left_out(&self, error: StoreError) -> Result<(), StoreError> {
        let StoreError::Damaged { place, what } = error else {
            return Err(error);
        };
        tracing::error!(place, what, "update left out");
        self.shared.counters.refuse("damaged_row");
        Ok(())
    }

    /// Says and writes what was found.
    fn write(&mut self, effects: &mut Effects) -> Result<(), StoreError> {
        effects.close();
        self.say(effects);
        if effects.changes.is_empty() {
            return Ok(());
        }
        let changes = std::mem::take(&mut effects.changes);
        self.store.write(&changes, Flush::Buffered)
    }

    /// Tells whoever watches what is in the tables now.
    fn tell(&self, effects: Effects) {
        if !self.shared.is_watched() {
            return;
        }
        for evidence in effects.evidence.into_iter().chain(effects.grown) {
            self.shared
                .tell(v1::watch_response::Change::Evidence(peers::evidence_to_wire(
                    evidence,
                )));
        }
        for alert in effects.alerts {
            self.shared
                .tell(v1::watch_response::Change::Alert(peers::alert_to_wire(alert)));
        }
    }

    /// Sinks come before the store: after a crash between the two a line may come twice, never not at all; files
    /// leave out ids that they hold already.
    fn say(&mut self, effects: &Effects) {
        add(&self.shared.counters.evidence, effects.evidence.len() as u64);
        add(&self.shared.counters.alerts, effects.alerts.len() as u64);
        for sink in &mut self.sinks {
            let mut said = Ok(());
            for evidence in &effects.evidence {
                said = said.and_then(|()| sink.evidence(evidence));
            }
            for alert in &effects.alerts {
                said = said.and_then(|()| sink.alert(alert));
            }
            if let Err(error) = said {
                tracing::error!(sink = sink.name(), %error, "sink failed; the store has everything");
                self.shared.counters.refuse(&format!("sink_{}", sink.name()));
            }
        }
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    // A panic of ours ends the dispatch thread; queries may still look.
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}
