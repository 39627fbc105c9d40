//! One finding by its key, and how many there were when.

use std::ops::Bound;

use lynceus_model::alert::{Alert, AlertId};
use lynceus_model::evidence::{Evidence, EvidenceId};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use tonic::Status;

use super::{QueryService, failed};
use crate::rows;
use crate::store::{KeyRange, Order, Table};

impl QueryService {
    /// The evidence of a window by its id. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn one_evidence(&self, window: WindowId, id: EvidenceId) -> Result<Option<Evidence>, Status> {
        let row = self.store.get(Table::Evidence, &rows::evidence_key(window, id));
        row.map_err(|error| failed(&error))?
            .map(|row| rows::read_evidence(&row).map(|row| row.evidence))
            .transpose()
            .map_err(|error| failed(&error))
    }

    /// The alert of a window by its id. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn one_alert(&self, window: WindowId, id: AlertId) -> Result<Option<Alert>, Status> {
        let row = self.store.get(Table::Alerts, &rows::alert_key(window, id));
        row.map_err(|error| failed(&error))?
            .map(|row| rows::read_alert(&row))
            .transpose()
            .map_err(|error| failed(&error))
    }

    /// Times of the newest alerts (`alerts`) or evidence, newest first, at most `limit`: keys only, so it is cheap. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn times(&self, alerts: bool, limit: usize) -> Result<Vec<Timestamp>, Status> {
        let table = if alerts {
            Table::AlertsByTime
        } else {
            Table::EvidenceByTime
        };
        let rows = self.store.scan(table, &KeyRange::all(), Order::Descending, limit);
        let rows = rows.map_err(|error| failed(&error))?;
        Ok(rows
            .iter()
            .filter_map(|(key, _)| rows::time_of_key(key))
            .collect())
    }

    /// Shows the summaries of all windows, profile by profile, until `visit` breaks. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn each_summary(
        &self,
        mut visit: impl FnMut(WindowId, lynceus_proto::v1::WindowSummary) -> std::ops::ControlFlow<()>,
    ) -> Result<(), Status> {
        /// Rows read at once.
        const CHUNK: usize = 2048;
        let mut range = KeyRange::all();
        loop {
            let chunk = self.scan(Table::Summaries, &range, CHUNK)?;
            for (key, value) in &chunk {
                let window = rows::window_of(key).ok_or_else(|| Status::data_loss("key of a window"))?;
                let summary = rows::read_summary(value).map_err(|error| failed(&error))?;
                if visit(window, summary).is_break() {
                    return Ok(());
                }
            }
            match chunk.last() {
                Some((key, _)) if chunk.len() == CHUNK => range.start = Bound::Excluded(key.clone()),
                _ => return Ok(()),
            }
        }
    }

    /// What feeds, whitelist and tables say of addresses and names.
    #[must_use]
    pub fn facts(&self) -> std::sync::Arc<crate::knowledge::Facts> {
        self.live.facts()
    }

    /// Changes from now on.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::broadcast::Receiver<lynceus_proto::v1::WatchResponse> {
        self.shared.watch()
    }
}
