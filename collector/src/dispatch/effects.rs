//! What an entry of the log leads to, until it is written and said.

use std::collections::HashMap;

use lynceus_detect::outlier::{Judged, Seen};
use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceId};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use crate::rows::{self, EvidenceRow};
use crate::store::Change;

/// What one entry of the log brought about.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// To be written before anything is said to anybody.
    pub(super) changes: Vec<Change>,
    /// New ones only: what the store knew already is not said again.
    pub(super) evidence: Vec<Evidence>,
    /// Known ones that grew, as they are now.
    pub(super) grown: Vec<Evidence>,
    pub(super) alerts: Vec<Alert>,
    /// Evidence to be written, in the order in which it came; the last revision of each.
    rows: Vec<Touched>,
    places: HashMap<EvidenceId, usize>,
    /// The rows of each window: many windows end at once, and each looks for its own.
    of_window: HashMap<WindowId, Vec<usize>>,
}

/// A row of evidence that is new or grew.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) row: EvidenceRow,
    /// Its last packet as it is in the store.
    pub(super) stored: Option<Timestamp>,
}

impl Effects {
    pub(super) fn touch(&mut self, row: EvidenceRow, stored: Option<Timestamp>) {
        match self.places.get(&row.evidence.id) {
            Some(at) => self.rows[*at].row = row,
            None => {
                let place = self.rows.len();
                self.places.insert(row.evidence.id, place);
                let window = rows::window_of_evidence(&row.evidence);
                self.of_window.entry(window).or_default().push(place);
                self.rows.push(Touched { row, stored });
            }
        }
    }

    pub(super) fn touched(&self, id: EvidenceId) -> Option<&Touched> {
        self.places.get(&id).map(|at| &self.rows[*at])
    }

    /// Adds the account of a window that is over to what is about it.
    pub(super) fn complete(&mut self, judged: &Judged, seen: &mut Seen) {
        for place in self.of_window.get(&judged.closed.window).into_iter().flatten() {
            judged.complete(&mut self.rows[*place].row.evidence, seen);
        }
    }

    /// No more comes: each row is written once, so no key is put and removed in one go.
    pub(super) fn close(&mut self) {
        self.places.clear();
        self.of_window.clear();
        for Touched { row, stored } in std::mem::take(&mut self.rows) {
            let moved = stored.filter(|last| *last != row.evidence.last);
            self.changes
                .extend(moved.map(|last| rows::forget_time_of(&row, last)));
            self.changes.extend(rows::put_evidence(&row));
            match stored {
                None => self.evidence.push(row.evidence),
                Some(_) => self.grown.push(row.evidence),
            }
        }
    }
}
