//! A collector in one process: intake, dispatch and queries around a store, without any network.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use crate::dispatch::{Dispatch, DispatchOptions, EngineOptions, Live, is_whole};
use crate::ingest::{Ingest, IngestError};
use crate::query::QueryService;
use crate::query::dossier::Dossiers;
use crate::shared::Shared;
use crate::store::{Store, StoreError};

/// A running collector. `lynceus live` and `lynceus analyze` use it as it is; the daemon puts its services around it.
pub struct Collector {
    ingest: Ingest,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    live: Live,
    dossiers: Arc<Dossiers>,
    threads: Vec<JoinHandle<()>>,
}

/// Groups that wait for dispatch; with the intake's 4 MiB a group this bounds what is decoded and not yet applied.
const WORK: usize = 8;

impl Collector {
    /// Replays what an earlier run left unfinished, then takes batches.
    ///
    /// # Errors
    /// When the store cannot be read or a thread cannot be started.
    pub fn start(store: Arc<dyn Store>, options: DispatchOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(crate::now()));
        let dispatch = Dispatch::open(Arc::clone(&store), Arc::clone(&shared), options)?;
        let live = dispatch.live();
        let (work, queue) = sync_channel(WORK);
        let (ingest, commit) = Ingest::new(Arc::clone(&store), Arc::clone(&shared), work);
        let threads = vec![
            thread("dispatch", move || dispatch.run(&queue))?,
            thread("commit", commit)?,
        ];
        Ok(Self {
            ingest,
            store,
            shared,
            live,
            dossiers: Arc::default(),
            threads,
        })
    }

    #[must_use]
    pub fn ingest(&self) -> Ingest {
        self.ingest.clone()
    }

    /// A store whose tables are complete, to be read and never written: no replay, no detector, no thread. `None`: the log
    /// is further than the tables, so [`Self::start`] has to replay it first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn look(store: Arc<dyn Store>, options: EngineOptions) -> Result<Option<QueryService>, StoreError> {
        if !is_whole(&*store)? {
            return Ok(None);
        }
        let shared = Arc::new(Shared::new(crate::now()));
        shared.set_applied(store.status().last_position);
        let live = Live::at_rest(Arc::clone(&store), options);
        Ok(Some(QueryService::new(store, shared, live, Arc::default())))
    }

    /// Answers questions; wrap it in [`lynceus_proto::v1::query_server::QueryServer`] for a client in this process.
    #[must_use]
    pub fn query(&self) -> QueryService {
        QueryService::new(
            Arc::clone(&self.store),
            Arc::clone(&self.shared),
            self.live.clone(),
            Arc::clone(&self.dossiers),
        )
    }

    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// See [`Ingest::flush`].
    ///
    /// # Errors
    /// The collector stops.
    pub fn flush(&self) -> Result<(), IngestError> {
        self.ingest.flush()
    }

    /// Finishes what was accepted and ends. Not for async code.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.ingest.stop();
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the collector panicked");
            }
        }
        self.leave_a_glance();
    }

    /// So that whoever looks at the closed store sees its profiles before its engine is open.
    fn leave_a_glance(&self) {
        if !is_whole(&*self.store).unwrap_or(false) {
            return;
        }
        let query = self.query();
        let kept = self.store.keep_glance(&mut || match query.glance() {
            Ok(Ok(glance)) => Some(glance),
            Ok(Err(profiles)) => {
                let limit = lynceus_proto::glance::MAX_BODY_BYTES;
                tracing::warn!(
                    profiles,
                    limit,
                    "the list of profiles is too long: nothing is kept for the next reader"
                );
                None
            }
            Err(status) => {
                tracing::warn!(reason = status.message(), "nothing is kept for the next reader");
                None
            }
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "nothing is kept for the next reader");
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.end();
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|source| StoreError::Io {
            path: name.into(),
            source,
        })
}
