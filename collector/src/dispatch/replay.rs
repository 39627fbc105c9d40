//! Reads the log again where the last run left it unfinished.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use lynceus_proto::batch::Content;
use lynceus_proto::module::Said;
use lynceus_proto::v1;
use prost::Message;

use super::Dispatch;
use crate::store::{LogRange, Store, StoreError};

impl Dispatch {
    pub(super) fn replay(&mut self) -> Result<(), StoreError> {
        let after = self.replay_from;
        if self.store.status().last_position <= after {
            self.shared.set_applied(self.applied);
            return Ok(());
        }
        let begin = Instant::now();
        let mut entries = 0_u64;
        let range = LogRange {
            after,
            ..LogRange::default()
        };
        // Reading goes through an Arc of the same store, as `apply` needs `self`.
        let store = self.store.inner();
        let mut failed = None;
        store.read_log(&range, &mut |record| {
            entries += 1;
            let applied = match decode(&record.payload) {
                Ok((content, said)) => {
                    self.apply(record.position, record.stream.sensor, &Arc::new(content), said)
                }
                Err(what) => {
                    tracing::error!(position = record.position.0, what, "log entry left out");
                    self.shared.counters.refuse("damaged_entry");
                    Ok(())
                }
            };
            match applied {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        tracing::info!(entries, seconds = begin.elapsed().as_secs_f64(), "log replayed");
        Ok(())
    }
}

/// Content of a log entry. It was checked before it was stored, so an error means damage or another version.
fn decode(payload: &[u8]) -> Result<(Content, Option<Said>), String> {
    let mut payload = v1::Payload::decode(payload).map_err(|error| error.to_string())?;
    let said = payload.said.take().map(Said::try_from).transpose();
    let content = Content::try_from(payload).map_err(|error| error.to_string())?;
    Ok((content, said.map_err(|error| error.to_string())?))
}
