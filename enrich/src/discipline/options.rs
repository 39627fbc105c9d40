//! What a desk is told, and what it tells before it begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{History, Leave, Left};
use crate::provider::{Leak, Quota};

/// Where things are kept.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Lists that can be fetched again.
    pub cache: PathBuf,
    /// History, quotas and the probe log.
    pub state: PathBuf,
}

impl Folders {
    /// The user's own (`XDG_CACHE_HOME`, `XDG_STATE_HOME`, `HOME`); without a home, the system's.
    #[must_use]
    pub fn usual() -> Self {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let of = |name: &str, below: &str, system: &str| {
            let base = set(name).or_else(|| Some(set("HOME")?.join(below)));
            base.unwrap_or_else(|| PathBuf::from(system)).join("lynceus")
        };
        Self {
            cache: of("XDG_CACHE_HOME", ".cache", "/var/cache"),
            state: of("XDG_STATE_HOME", ".local/state", "/var/lib"),
        }
    }

    /// Where what providers said is kept.
    #[must_use]
    pub fn history(&self) -> History {
        History::at(self.state.join("history"))
    }
}

/// How a desk works.
#[derive(Clone, Debug)]
pub struct Options {
    pub leave: Leave,
    /// Names of providers to ask, instead of those that are switched on.
    pub only: Option<Vec<String>>,
    /// Names of providers that are left out of those that are switched on.
    pub without: Vec<&'static str>,
    /// Kept answers of any provider are good so long, instead of each one's own time.
    pub max_age: Option<Duration>,
    /// Folder of the history, instead of the usual one.
    pub history: Option<PathBuf>,
    /// The longest that one question may wait for its turn (pace, Retry-After, back-off).
    pub patience: Duration,
    /// Limits of the user's plans, instead of the free plans'.
    pub plans: BTreeMap<String, Quota>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            leave: Leave::PASSIVE,
            only: None,
            without: Vec::new(),
            max_age: None,
            history: None,
            patience: Duration::from_secs(5),
            plans: BTreeMap::new(),
        }
    }
}

/// What will be given away, before it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announcement {
    pub provider: &'static str,
    pub leak: Leak,
    pub who: &'static str,
    /// `None`: it is asked. Otherwise why not.
    pub held_back: Option<String>,
    pub left: Option<Left>,
}
