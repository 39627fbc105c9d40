//! What is known beside the tables: windows in memory, and how far the tables go.

use std::sync::{Arc, Mutex, OnceLock};

use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::engine::{Engine, EngineFigures};
use super::{EngineOptions, lock};
use crate::knowledge::Facts;
use crate::modules::{Board, ModuleFigures, Modules};
use crate::store::{Change, Position, Store, StoreError, Table};

/// Row in `Meta`: position from which a replay begins.
pub(super) const REPLAY_FROM: &[u8] = b"replay_from";
/// Row in `Meta`: position up to which the tables hold everything, windows that are still open too.
pub(super) const WHOLE_TO: &[u8] = b"whole_to";

/// A look at the windows in memory for queries.
#[derive(Clone)]
pub struct Live {
    windows: Windows,
    facts: Arc<Facts>,
    modules: Arc<Board>,
}

#[derive(Clone)]
enum Windows {
    InMemory(Arc<Mutex<Engine>>),
    /// The tables have everything.
    AtRest(Arc<AtRest>),
}

/// A store that nobody feeds.
struct AtRest {
    store: Arc<dyn Store>,
    options: EngineOptions,
    /// Baselines, read when somebody asks for them.
    engine: OnceLock<Mutex<Engine>>,
}

impl AtRest {
    fn engine(&self) -> &Mutex<Engine> {
        self.engine.get_or_init(|| {
            let mut engine = Engine::new(self.options.clone(), Position(0), 0);
            if let Err(error) = engine
                .restore(&*self.store)
                .and_then(|()| engine.come_to_rest(&*self.store))
            {
                tracing::error!(%error, "what the outlier detector remembers cannot be read");
            }
            Mutex::new(engine)
        })
    }
}

impl Live {
    pub(super) fn new(engine: Arc<Mutex<Engine>>, modules: Arc<Board>) -> Self {
        let facts = lock(&engine).facts();
        Self {
            facts,
            windows: Windows::InMemory(engine),
            modules,
        }
    }

    /// Of a store whose tables are complete, for those who only read: detectors are named, none runs.
    pub(crate) fn at_rest(store: Arc<dyn Store>, options: EngineOptions) -> Self {
        let modules = Modules::new(options.makers(), options.hosting.clone());
        Self {
            facts: Arc::clone(&options.facts),
            modules: modules.board(),
            windows: Windows::AtRest(Arc::new(AtRest {
                store,
                options,
                engine: OnceLock::new(),
            })),
        }
    }

    /// The window as it is now, if it is in memory.
    #[must_use]
    pub fn window(&self, id: WindowId) -> Option<(ProfileDelta, v1::WindowSummary)> {
        match &self.windows {
            Windows::InMemory(engine) => lock(engine).window(id),
            Windows::AtRest(_) => None,
        }
    }

    /// What detectors may ask and what is left out.
    #[must_use]
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts)
    }

    #[must_use]
    pub fn figures(&self) -> EngineFigures {
        match &self.windows {
            Windows::InMemory(engine) => lock(engine).figures(),
            Windows::AtRest(_) => EngineFigures::default(),
        }
    }

    /// What the baselines of the outlier detector know.
    #[must_use]
    pub fn warmths(&self) -> Vec<lynceus_detect::outlier::Knows> {
        match &self.windows {
            Windows::InMemory(engine) => lock(engine).warmths(),
            Windows::AtRest(rest) => lock(rest.engine()).warmths(),
        }
    }

    /// How each detector is doing.
    #[must_use]
    pub fn modules(&self) -> Vec<ModuleFigures> {
        let outlier = match &self.windows {
            Windows::InMemory(engine) => lock(engine).outlier_figures(),
            Windows::AtRest(rest) => lock(rest.engine()).outlier_figures(),
        };
        self.modules.figures().into_iter().chain(outlier).collect()
    }
}

/// Whether the tables of a store hold everything that its log brings about, so that nothing must be replayed to read it.
///
/// # Errors
/// When the store cannot be read.
pub(crate) fn is_whole(store: &dyn Store) -> Result<bool, StoreError> {
    Ok(position(store, WHOLE_TO)? >= store.status().last_position)
}

pub(super) fn position(store: &dyn Store, row: &[u8]) -> Result<Position, StoreError> {
    let value = store.get(Table::Meta, row)?;
    let value = value.and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?)));
    Ok(Position(value.unwrap_or(0)))
}

pub(super) fn put_position(row: &[u8], position: Position) -> Change {
    Change {
        table: Table::Meta,
        key: row.to_vec(),
        value: Some(position.0.to_be_bytes().to_vec()),
    }
}
