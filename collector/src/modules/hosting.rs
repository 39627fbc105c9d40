//! How modules are hosted.

use std::time::Duration;

/// How modules are hosted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosting {
    /// How long one call of a module may take before it is left behind: a million times what it usually takes.
    pub patience: Duration,
    /// How long the others wait for a module that is not through with a group; `None`: as long as its calls come back,
    /// so that nothing that is found depends on how fast the machine is.
    pub grace: Option<Duration>,
    /// Threads that run modules, beside those of modules that are behind. At least 1.
    pub threads: usize,
    /// Groups that wait for a module that is behind. At least 2.
    pub queue_groups: usize,
    /// The same in bytes of memory.
    pub queue_bytes: usize,
}

impl Hosting {
    /// More threads than this found nothing to do: most of the time of a group goes to a few modules.
    pub const MAX_THREADS: usize = 4;
    /// For a collector that others wait for: longer than a loaded machine takes for a large group, and shorter than
    /// anybody waits for an alert.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(1);

    /// One for each core, but not more than [`Self::MAX_THREADS`].
    #[must_use]
    pub fn usual_threads() -> usize {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().min(Self::MAX_THREADS))
    }
}

impl Default for Hosting {
    /// Queues of some seconds of a busy site. Queues of all modules end with the same newest groups and share them, so
    /// what all of them hold together is what the longest one holds.
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            grace: None,
            threads: Self::usual_threads(),
            queue_groups: 1024,
            queue_bytes: 64 << 20,
        }
    }
}
