//! What modules find that are behind the others.

use std::time::Duration;

use super::effects::Effects;
use super::{Dispatch, lock};
use crate::store::{Position, StoreError};

impl Dispatch {
    /// Looks after modules that are behind, and takes what they found since.
    pub(super) fn hear_late(&mut self) -> Result<(), StoreError> {
        self.modules.keep_up().map_err(no_thread)?;
        let mut effects = Effects::default();
        self.add_late(self.applied, &mut effects)?;
        self.write(&mut effects)?;
        self.tell(effects);
        Ok(())
    }

    /// Waits for modules that are behind, but not longer than `most`, and takes what they found.
    pub(super) fn settle(&mut self, most: Option<Duration>) -> Result<(), StoreError> {
        self.modules.settle(most).map_err(no_thread)?;
        self.hear_late()
    }

    /// Adds up what was found after the others had gone on: explained by its window as the module saw it.
    pub(super) fn add_late(&mut self, position: Position, effects: &mut Effects) -> Result<(), StoreError> {
        for late in self.modules.late() {
            let mut engine = lock(&self.engine);
            for found in late.found {
                let item = &late.group.items[found.item];
                for evidence in found.evidence {
                    if let Err(error) = engine.take_late(evidence, item, position, &self.store, effects) {
                        self.left_out(error)?;
                    }
                }
            }
        }
        Ok(())
    }
}

pub(super) fn no_thread(source: std::io::Error) -> StoreError {
    StoreError::Io {
        path: "modules".into(),
        source,
    }
}
