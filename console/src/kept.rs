//! What an analysis or a collector left: its store, to be looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::pipeline::Collector;
use lynceus_collector::query::QueryService;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, Store, StoreError, read_glance};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use lynceus_proto::v1::query_server::QueryServer;

use crate::query::{self, Query};
use crate::view::Overview;

/// The profiles of a store as it was closed, without opening it; `None` where they were not kept: an older store, one
/// whose collector died, or one with very many profiles.
///
/// # Errors
/// What is wrong with the file that they were kept in. The store opens without it.
pub fn glance(store: &Path) -> anyhow::Result<Option<Overview>> {
    read_glance(store)?.map(query::overview).transpose()
}

/// Why a store does not open, and what to do where another process has it open.
fn told(store: &Path, error: StoreError) -> anyhow::Error {
    if !matches!(error, StoreError::InUse { .. }) {
        return error.into();
    }
    let mut way = "close the other lynceus that has it open".to_owned();
    let alerts = store.with_file_name("alerts.jsonl");
    if alerts.is_file() {
        way += &format!(", or read {}", alerts.display());
    }
    anyhow::anyhow!("{error}; {way}")
}

/// A store that nobody else has open.
pub struct Kept {
    service: QueryService,
    /// Only where the store was left in the middle of something: it finishes that, and then has nothing to do.
    collector: Option<Collector>,
}

impl Kept {
    /// Opens the store. One that was closed in order is only read where it is looked at; one whose collector died is
    /// brought up to its log first, which takes time with the length of what is missing.
    ///
    /// # Errors
    /// When the store cannot be opened, as when another process has it open.
    pub fn open(store: &Path) -> anyhow::Result<Self> {
        let opened = EmbeddedStore::open(&EmbeddedOptions::new(store)).map_err(|error| told(store, error));
        let opened: Arc<dyn Store> =
            Arc::new(opened.with_context(|| format!("cannot open the store in {}", store.display()))?);
        let plan = WindowPlan {
            origin: Timestamp(0),
            width: WindowPlan::DEFAULT_WIDTH,
        };
        let engine = EngineOptions::new(SensorId::default(), plan);
        let looked = Collector::look(Arc::clone(&opened), engine.clone());
        if let Some(service) = looked.context("cannot read the store")? {
            return Ok(Self {
                service,
                collector: None,
            });
        }
        let options = DispatchOptions {
            engine,
            sinks: Vec::new(),
            retention: Retention::default(),
            checkpoint: Duration::from_secs(60),
        };
        let collector = Collector::start(opened, options).context("cannot start the collector")?;
        Ok(Self {
            service: collector.query(),
            collector: Some(collector),
        })
    }

    /// Whether the log had to be replayed.
    #[must_use]
    pub const fn was_replayed(&self) -> bool {
        self.collector.is_some()
    }

    /// Answers questions as long as this is there.
    #[must_use]
    pub fn service(&self) -> QueryService {
        self.service.clone()
    }

    /// Asks this store, which closes with the answer.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn into_query(self) -> anyhow::Result<Query> {
        let service = QueryServer::new(self.service);
        let runtime = crate::cli::place::runtime()?;
        let query = Query::new(runtime, service, "own store", false, Vec::new());
        Ok(match self.collector {
            Some(collector) => query.behind(collector),
            None => query,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_in_use_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let open = EmbeddedStore::open(&EmbeddedOptions::new(&store)).unwrap();
        let refused = || format!("{:#}", Kept::open(&store).err().unwrap());
        let why = refused();
        assert!(
            why.ends_with("; close the other lynceus that has it open"),
            "{why}"
        );
        assert!(why.contains("is in use by another process"), "{why}");
        let alerts = folder.path().join("alerts.jsonl");
        std::fs::write(&alerts, "").unwrap();
        let why = refused();
        assert!(why.ends_with(&format!("or read {}", alerts.display())), "{why}");
        drop(open);
    }
}
