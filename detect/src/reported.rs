//! What a detector has said already.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

/// Things that were reported by window. Bounded; what is forgotten may be said again with the same id, which everything
/// behind the detectors ignores.
#[derive(Debug)]
pub(crate) struct Reported<K> {
    windows: BTreeMap<(Timestamp, WindowId), BTreeSet<K>>,
}

impl<K: Ord> Reported<K> {
    /// Windows with evidence of one kind: more than a sensor keeps in memory.
    const MAX_WINDOWS: usize = 65_536;
    /// Things in one window.
    const MAX_KEYS: usize = 16_384;

    pub(crate) const fn new() -> Self {
        Self {
            windows: BTreeMap::new(),
        }
    }

    /// True if this was not said before.
    pub(crate) fn first_time(&mut self, window: WindowId, key: K) -> bool {
        let keys = self.windows.entry((window.start, window)).or_default();
        let new = keys.insert(key);
        if keys.len() > Self::MAX_KEYS {
            keys.pop_first();
        }
        if self.windows.len() > Self::MAX_WINDOWS {
            self.windows.pop_first();
        }
        new
    }

    /// The window is over.
    pub(crate) fn forget(&mut self, window: WindowId) {
        self.windows.remove(&(window.start, window));
    }
}
