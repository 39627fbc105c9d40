//! Configuration of detectors that have no constants.

use serde::{Deserialize, Serialize};

/// Only whether it looks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnlyEnabled {
    pub enabled: bool,
}

impl Default for OnlyEnabled {
    fn default() -> Self {
        Self { enabled: true }
    }
}
