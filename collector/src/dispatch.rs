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
mod left_out;
mod live;
mod options;
mod outliers;
mod patient;
mod related;
mod rest;
mod summary;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lynceus_model::evidence::Evidence;
use lynceus_model::window::SensorId;
use lynceus_proto::batch::Content;
use lynceus_proto::module::Said;
use lynceus_proto::v1;
use prost::Message;

pub use engine::EngineFigures;
pub use live::Live;
pub(crate) use live::is_whole;
pub use options::EngineOptions;
pub(crate) use rest::is_at_rest;

use self::effects::Effects;
use self::engine::Engine;
use self::live::{REPLAY_FROM, WHOLE_TO, position, put_position};
use self::patient::Patient;
use crate::external::External;
use crate::modules::{Group, Item, Modules};
use crate::peers;
use crate::retention::{Retention, expire_rows};
use crate::rows;
use crate::shared::{Shared, add};
use crate::sink::Sink;
use crate::store::{Change, Flush, LogRange, Position, Store, StoreError};

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

/// Between two writes of changed summaries: how old a list on a screen may be.
const SUMMARIES: Duration = Duration::from_secs(1);
/// Between two looks at what is too old.
const EXPIRE: Duration = Duration::from_secs(60);
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
        let modules = Modules::new(options.engine.makers(), options.engine.patience);
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
            let done = match work.recv_timeout(SUMMARIES) {
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
        if let Err(error) = self.flush(true) {
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
                self.flush(true)?;
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
        Ok(())
    }

    fn keep_up(&mut self, timers: &mut Timers) -> Result<(), StoreError> {
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
        effects.close();
        self.say(&effects);
        if !effects.changes.is_empty() {
            self.store
                .write(&std::mem::take(&mut effects.changes), Flush::Buffered)?;
        }
        self.applied = self.applied.max(position);
        self.shared.set_applied(self.applied);
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
        let found = self.modules.inspect(&group).map_err(|source| StoreError::Io {
            path: "modules".into(),
            source,
        })?;
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
        self.add_up(position, self.modules.late(), effects)
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

    fn flush(&mut self, whole: bool) -> Result<(), StoreError> {
        let store = &self.store;
        let mut write = |changes: &[Change]| store.write(changes, Flush::Buffered);
        let flushed = lock(&self.engine).flush(self.applied, self.replay_from, whole, &mut write)?;
        if whole && flushed.replay_from > self.replay_from {
            self.replay_from = flushed.replay_from;
            let row = put_position(REPLAY_FROM, self.replay_from);
            self.store.write(&[row], Flush::Durable)?;
        }
        if whole && self.applied > self.whole_to {
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

    fn replay(&mut self) -> Result<(), StoreError> {
        let after = self.replay_from;
        if self.store.status().last_position <= after {
            self.shared.set_applied(self.applied);
            return Ok(());
        }
        let begin = Instant::now();
        let mut entries = 0_u64;
        let range = LogRange {
            after,
            ..LogRange::default()
        };
        // Reading goes through an Arc of the same store, as `apply` needs `self`.
        let store = self.store.inner();
        let mut failed = None;
        store.read_log(&range, &mut |record| {
            entries += 1;
            let applied = match decode(&record.payload) {
                Ok((content, said)) => {
                    self.apply(record.position, record.stream.sensor, &Arc::new(content), said)
                }
                Err(what) => {
                    tracing::error!(position = record.position.0, what, "log entry left out");
                    self.shared.counters.refuse("damaged_entry");
                    Ok(())
                }
            };
            match applied {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        tracing::info!(entries, seconds = begin.elapsed().as_secs_f64(), "log replayed");
        Ok(())
    }
}

/// Content of a log entry. It was checked before it was stored, so an error means damage or another version.
pub(crate) fn decode(payload: &[u8]) -> Result<(Content, Option<Said>), String> {
    let mut payload = v1::Payload::decode(payload).map_err(|error| error.to_string())?;
    let said = payload.said.take().map(Said::try_from).transpose();
    let content = Content::try_from(payload).map_err(|error| error.to_string())?;
    Ok((content, said.map_err(|error| error.to_string())?))
}

struct Timers {
    summaries: Instant,
    checkpoint: Instant,
    expire: Instant,
}

impl Timers {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            summaries: now,
            checkpoint: now,
            expire: now,
        }
    }
}

fn lock(engine: &Mutex<Engine>) -> MutexGuard<'_, Engine> {
    // A panic of ours ends the dispatch thread; queries may still look.
    engine.lock().unwrap_or_else(PoisonError::into_inner)
}
