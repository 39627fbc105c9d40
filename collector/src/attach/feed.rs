//! Shows the log to one module, entry by entry, as far as it acknowledges.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lynceus_proto::v1;
use prost::Message as _;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{Seat, say};
use crate::shared::Shared;
use crate::store::{LogRange, LogRecord, Position, Store};

/// Entries under way.
pub(super) struct Way {
    window: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    sent: VecDeque<u64>,
    last: u64,
    closed: bool,
}

impl Way {
    pub(super) fn new(window: u32) -> Self {
        Self {
            window: window as usize,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Notes an entry as soon as there is room; false when the way is closed.
    fn enter(&self, cursor: u64) -> bool {
        let full = |state: &mut State| state.sent.len() >= self.window && !state.closed;
        let state = self.changed.wait_while(self.lock(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.sent.push_back(cursor);
        state.last = cursor;
        !state.closed
    }

    /// Entries up to `cursor` are done; false when such an entry was never sent.
    pub(super) fn done(&self, cursor: u64) -> bool {
        let mut state = self.lock();
        if cursor > state.last {
            return false;
        }
        let count = state.sent.iter().take_while(|sent| **sent <= cursor).count();
        state.sent.drain(..count);
        drop(state);
        self.changed.notify_all();
        true
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Feed {
    pub(super) store: Arc<dyn Store>,
    pub(super) shared: Arc<Shared>,
    pub(super) to: mpsc::Sender<Result<v1::ToModule, Status>>,
    pub(super) way: Arc<Way>,
    pub(super) seat: Seat,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) with_tables: bool,
}

/// Between two looks for new entries.
const LOOK: Duration = Duration::from_millis(100);
/// Entries, and bytes of them, that are read at once.
const READ: (usize, usize) = (64, 4 << 20);

impl Feed {
    /// Runs on a thread of its own until the way is closed.
    pub(super) fn run(self, after: u64) {
        let mut at = after;
        while !self.way.is_closed() && !*self.stopped.borrow() && !self.to.is_closed() {
            if self.shared.applied().0 <= at {
                std::thread::sleep(LOOK);
                continue;
            }
            match self.read(at) {
                Ok(records) => {
                    let end = records
                        .last()
                        .map_or_else(|| self.shared.applied(), |record| record.position);
                    let first = records.first().map_or(end.0 + 1, |record| record.position.0);
                    if !self.tell_of_gap(at, first) || !records.into_iter().all(|record| self.show(record)) {
                        break;
                    }
                    at = at.max(end.0);
                }
                Err(error) => {
                    tracing::error!(%error, "the log cannot be read for a module");
                    std::thread::sleep(LOOK * 10);
                }
            }
        }
        self.way.close();
    }

    fn read(&self, after: u64) -> Result<Vec<LogRecord>, crate::store::StoreError> {
        let range = LogRange {
            after: Position(after),
            ..LogRange::default()
        };
        let until = self.shared.applied();
        let (mut records, mut bytes) = (Vec::new(), 0);
        self.store.read_log(&range, &mut |record| {
            if record.position > until {
                return ControlFlow::Break(());
            }
            bytes += record.payload.len();
            records.push(record);
            if records.len() >= READ.0 || bytes >= READ.1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(records)
    }

    /// Entries between `at` and `first` that the log does not hold any more. False when nobody listens.
    fn tell_of_gap(&self, at: u64, first: u64) -> bool {
        let kept = self
            .store
            .status()
            .first_position
            .map_or(first, |kept| kept.0.min(first));
        if kept <= at + 1 {
            return true;
        }
        self.seat.fault(&format!(
            "log entries {} to {} went before it came to them",
            at + 1,
            kept - 1
        ));
        let gap = v1::ModuleGap {
            first: at + 1,
            last: kept - 1,
        };
        self.send(v1::to_module::Message::Gap(gap))
    }

    fn show(&self, record: LogRecord) -> bool {
        let mut payload = match v1::Payload::decode(record.payload) {
            Ok(payload) => payload,
            Err(error) => {
                tracing::error!(position = record.position.0, %error, "log entry left out for a module");
                return true;
            }
        };
        // What modules said, and gaps, are nothing to look at.
        if payload.updates.is_empty() {
            return true;
        }
        if !self.with_tables {
            payload
                .updates
                .iter_mut()
                .for_each(v1::WindowUpdate::strip_tables);
        }
        self.seat.shown(payload.updates.len());
        let updates = v1::ModuleUpdates {
            cursor: record.position.0,
            sensor_id: record.stream.sensor.0.to_vec(),
            updates: payload.updates,
            openings: Vec::new(),
        };
        self.way.enter(record.position.0) && self.send(v1::to_module::Message::Updates(updates))
    }

    fn send(&self, message: v1::to_module::Message) -> bool {
        self.to.blocking_send(Ok(say(message))).is_ok()
    }
}
