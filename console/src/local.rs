//! A collector in this process: what `analyze` and `live` send their updates to.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::feeds::Keeper;
use lynceus_collector::knowledge::Facts;
use lynceus_collector::modules::Hosting;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::shared::Connected;
use lynceus_collector::sink::Sink;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, MemoryStore, SpillStore, Store};
use lynceus_detect::DetectConfig;
use lynceus_model::alert::AlertPolicy;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::WindowPlan;
use lynceus_model::window::{SensorId, WindowUpdate};
use lynceus_proto::batch::{Batch, BatchId, BootId, Content, StreamId};
use lynceus_proto::v1::query_server::QueryServer;

use crate::query::Query;

/// Window updates of one batch: enough to make the way of a batch cheap, few enough to keep memory flat.
const BATCH_UPDATES: usize = 256;
/// Flows and messages after which a batch goes early.
const BATCH_TRAFFIC: usize = 8192;
/// Rows of a store that is not kept: beyond it they go to a temporary directory.
const SPILL_BYTES: u64 = 64 << 20;

/// Where the collector keeps things.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Gone with the process; on disk meanwhile, where it is much. Flows and messages are not kept.
    Nothing,
    /// Everything, in this directory.
    In(&'a Path),
}

/// The collector with the stream of batches that leads into it.
pub struct Local {
    collector: Collector,
    sensor: SensorId,
    boot: BootId,
    seq: u64,
    waiting: Content,
    traffic: usize,
    /// The sensor counts as connected as long as it feeds this collector.
    _connected: Option<Connected>,
    /// Keeps feeds and whitelist fresh as long as the collector runs.
    _keeper: Option<Keeper>,
    /// Where the store is, if it goes with this. After the collector: fields are dropped in order.
    _folder: Option<tempfile::TempDir>,
}

/// How findings are judged.
#[derive(Debug, Default)]
pub struct Judging {
    pub policy: AlertPolicy,
    pub detect: DetectConfig,
    pub facts: Arc<Facts>,
    pub keeper: Option<Keeper>,
    /// As [`Hosting::grace`]: of what people look at while it grows.
    pub grace: Option<Duration>,
}

impl Local {
    /// Name of the store in a result folder.
    pub const STORE: &'static str = "store";

    /// Asks this collector, which ends with the answer.
    ///
    /// # Errors
    /// As [`Local::query`].
    pub fn into_query(self) -> anyhow::Result<Query> {
        Ok(self.query(false, Vec::new())?.behind(self))
    }

    /// As [`Local::into_query`], with the folder of the store, which goes afterwards.
    ///
    /// # Errors
    /// As [`Local::query`].
    pub fn into_query_within(mut self, folder: tempfile::TempDir) -> anyhow::Result<Query> {
        self._folder = Some(folder);
        self.into_query()
    }

    /// `max_window_bytes`: memory for windows, as [`EngineOptions::max_window_bytes`].
    ///
    /// # Errors
    /// When the store cannot be opened, as when another process has it open.
    pub fn open(
        keep: Keep<'_>,
        sensor: SensorId,
        boot: BootId,
        plan: WindowPlan,
        max_window_bytes: usize,
        judging: Judging,
        sinks: Vec<Box<dyn Sink>>,
    ) -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = match keep {
            Keep::Nothing => Arc::new(SpillStore::new(MemoryStore::new(0), SPILL_BYTES)),
            Keep::In(directory) => {
                let store = EmbeddedStore::open(&EmbeddedOptions::new(directory));
                Arc::new(store.with_context(|| format!("cannot open the store in {}", directory.display()))?)
            }
        };
        let options = DispatchOptions {
            engine: EngineOptions {
                policy: judging.policy,
                detectors: judging.detect,
                facts: judging.facts,
                max_window_bytes,
                hosting: Hosting {
                    grace: judging.grace,
                    ..Hosting::default()
                },
                ..EngineOptions::new(sensor, plan)
            },
            sinks,
            retention: Retention::default(),
            checkpoint: Duration::from_secs(60),
        };
        let collector = Collector::start(store, options).context("cannot start the collector")?;
        Ok(Self {
            collector,
            sensor,
            boot,
            seq: 0,
            waiting: Content::default(),
            traffic: 0,
            _connected: None,
            _keeper: judging.keeper,
            _folder: None,
        })
    }

    /// A sensor of this process feeds the collector from now on.
    pub fn connect(&mut self) {
        self._connected = Some(self.collector.shared().connect(self.sensor));
    }

    /// Takes updates; they are judged in this order, soon.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn take(&mut self, updates: impl IntoIterator<Item = WindowUpdate>) -> anyhow::Result<()> {
        for update in updates {
            self.traffic += update.flows.len() + update.apps.len();
            self.waiting.updates.push(update);
            if self.waiting.updates.len() >= BATCH_UPDATES || self.traffic >= BATCH_TRAFFIC {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Notes how the sensor is doing.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn status(&self, status: SensorStatus) -> anyhow::Result<()> {
        self.collector
            .ingest()
            .status(self.sensor, status)
            .context("cannot keep the sensor's status")
    }

    /// Waits until everything taken so far is judged and written.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.send()?;
        self.collector.flush().context("the collector stopped")
    }

    /// Asks this collector. `me`: addresses of this machine, where it is the one that is watched.
    ///
    /// # Errors
    /// When no runtime can be started.
    pub fn query(&self, live: bool, me: Vec<IpAddr>) -> anyhow::Result<Query> {
        let service = QueryServer::new(self.collector.query());
        Ok(Query::new(
            crate::cli::place::runtime()?,
            service,
            "own collector",
            live,
            me,
        ))
    }

    /// The collector itself, for those who serve its page.
    #[must_use]
    pub const fn collector(&self) -> &Collector {
        &self.collector
    }

    /// Sends what waits for a full batch.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn send(&mut self) -> anyhow::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.seq += 1;
        self.traffic = 0;
        let stream = StreamId {
            boot: self.boot,
            stream: 0,
        };
        let id = BatchId {
            sensor: self.sensor,
            stream,
            seq: self.seq,
        };
        let batch = Batch::local(id, std::mem::take(&mut self.waiting));
        self.collector
            .ingest()
            .accept(batch)
            .context("the collector refused a batch")?;
        Ok(())
    }
}
