//! Detectors that run as processes of their own, on any machine, over Redis Streams (`lynceus-collector module NAME`).
//!
//! The collector publishes each entry of its log that carries updates to a stream, with what a process cannot know: the
//! window as it was and the earlier windows of the profile, wherever the collector took a window into memory. A consumer
//! group for each module remembers how far it is. One process of a module works at a time, by a lease; the others stand
//! by. Whoever takes over claims what its predecessor had been given, builds the windows again from the stream, and goes
//! on; findings and acknowledgement are one atomic step that the lease's holder alone may take. Findings come back by a
//! second stream and become entries of the log like those of attached modules (`docs/decisions/0200-modules-on-redis.md`).

mod hear;
mod heartbeat;
mod keys;
mod member;
mod process;
mod publish;
mod scripts;
mod settings;
mod windows;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use lynceus_proto::v1;

pub use self::hear::Ear;
pub use self::process::{ModuleOptions, run};
pub use self::settings::ModulesConfig;

use self::publish::Publisher;
use self::settings::Settings;
use crate::config::{Config, Engine};
use crate::store::StoreError;

/// The collector's side: which detectors run elsewhere, and how they are told.
pub struct External {
    moved: BTreeSet<String>,
    names: Vec<String>,
    publisher: Mutex<Publisher>,
}

impl External {
    /// Begins to publish, where detectors are configured to run elsewhere.
    ///
    /// # Errors
    /// A name is unknown, the store is not Redis, or Redis does not answer.
    pub fn open(config: &Config) -> anyhow::Result<Option<Arc<Self>>> {
        let processes = config.processes()?;
        if processes.is_empty() {
            return Ok(None);
        }
        anyhow::ensure!(
            config.store.engine == Engine::Redis,
            "modules.external: needs `engine = \"redis\"` in [store]"
        );
        let moved = processes.values().flatten().cloned().collect();
        let names = processes.keys().cloned().collect();
        let settings = Settings::new(config, processes);
        let publisher = Publisher::open(&config.redis(), &settings, config.modules.bounds())?;
        Ok(Some(Arc::new(Self {
            moved,
            names,
            publisher: Mutex::new(publisher),
        })))
    }

    /// Whether the detector runs elsewhere.
    pub(crate) fn has_moved(&self, detector: &str) -> bool {
        self.moved.contains(detector)
    }

    /// Names of the processes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Puts an entry of the log into the stream; what is there already is left as it is.
    pub(crate) fn publish(&self, entry: &v1::ModuleUpdates) -> Result<(), StoreError> {
        // A panic between two commands leaves nothing half done: each entry is one script.
        let mut publisher = self.publisher.lock().unwrap_or_else(PoisonError::into_inner);
        publisher.publish(entry)
    }

    /// Whether the entry would be new to the stream.
    pub(crate) fn wants(&self, position: u64) -> bool {
        self.publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .wants(position)
    }
}

impl std::fmt::Debug for External {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(&self.moved).finish()
    }
}
