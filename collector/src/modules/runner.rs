//! The thread on which modules run: each looks at the whole group of updates, one module after the other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lynceus_detect::{Detector, History, Maker, ProfileUpdate};
use lynceus_model::evidence::Evidence;

use super::board::Board;
use super::{Found, Group};

/// A module: how to make it and as it is now. Whoever runs it holds the lock.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) maker: Maker,
    pub(super) detector: Arc<Mutex<Box<dyn Detector>>>,
}

impl Slot {
    pub(super) fn new(maker: Maker) -> Self {
        Self {
            detector: Arc::new(Mutex::new(maker.make())),
            maker,
        }
    }
}

/// Work for a runner.
pub(super) struct Job {
    pub(super) group: Arc<Group>,
    /// Module to begin with.
    pub(super) from: usize,
}

/// What a runner tells.
pub(super) enum Said {
    /// One module is through, and found this; sent only where it found something.
    Found(usize, Vec<Found>),
    /// All are through.
    Done,
}

pub(super) struct Runner {
    pub(super) slots: Vec<Slot>,
    pub(super) jobs: Receiver<Job>,
    pub(super) said: Sender<Said>,
    /// For what is found after the others went on.
    pub(super) late: Sender<(usize, Vec<Found>)>,
    pub(super) board: Arc<Board>,
    pub(super) baton: Arc<Baton>,
}

/// Who goes on: the runner steps from module to module by it, and whoever watches takes it away from a runner that does
/// not come back. So nothing is run twice and nothing left out, whatever the moment.
#[derive(Debug, Default)]
pub(super) struct Baton(AtomicUsize);

/// Not a module: the runner has nothing to say any more.
const TAKEN: usize = usize::MAX;

impl Baton {
    pub(super) fn begin(&self, module: usize) {
        self.0.store(module, Ordering::Release);
    }

    /// False when it was taken away.
    fn step(&self, module: usize) -> bool {
        let stepped = self
            .0
            .compare_exchange(module, module + 1, Ordering::AcqRel, Ordering::Acquire);
        stepped.is_ok()
    }

    /// False when the runner went on meanwhile.
    pub(super) fn take(&self, module: usize) -> bool {
        let taken = self
            .0
            .compare_exchange(module, TAKEN, Ordering::AcqRel, Ordering::Acquire);
        taken.is_ok()
    }

    pub(super) fn at(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// A module that takes longer than this for an update, in the mean over a group, is called slow.
const SLOW: Duration = Duration::from_millis(1);
/// Panics of one module in one run of the collector, after which it is stopped: each costs a line of log.
const MAX_PANICS: u64 = 1000;

impl Runner {
    pub(super) fn run(self) {
        while let Ok(job) = self.jobs.recv() {
            for module in job.from..self.slots.len() {
                let found = self.look(module, &job.group);
                if !self.baton.step(module) {
                    // The others went on without this module; what it found still counts.
                    let findings = found.len();
                    // Nobody listens when the collector has ended.
                    let _ = self.late.send((module, found));
                    self.board.late(module, findings);
                    return;
                }
                if !found.is_empty() && self.said.send(Said::Found(module, found)).is_err() {
                    return;
                }
            }
            // Whoever asked changes the profiles next; they are not to be copied for our sake.
            drop(job);
            if self.said.send(Said::Done).is_err() {
                return;
            }
        }
    }

    fn look(&self, module: usize, group: &Group) -> Vec<Found> {
        let mut found = Vec::new();
        if self.board.is_stopped(module) {
            return found;
        }
        let slot = &self.slots[module];
        let mut detector = slot.detector.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        let mut next = 0;
        while next < group.items.len() {
            let looked = catch_unwind(AssertUnwindSafe(|| {
                while let Some(item) = group.items.get(next) {
                    let index = next;
                    next += 1;
                    self.beat();
                    let update = item.update();
                    let shown = ProfileUpdate {
                        sensor: group.sensor,
                        profile: &item.profile,
                        delta: &update.delta,
                        number: item.number,
                        stage: update.stage,
                        flows: &update.flows,
                        apps: &update.apps,
                    };
                    let history = History::new(&item.history);
                    take(&mut found, index, false, detector.inspect(&shown, &history));
                    if let Some(now) = item.tick {
                        take(&mut found, index, true, detector.tick(now));
                    }
                }
            }));
            if let Err(panic) = looked {
                // The state may be half changed: a fresh instance goes on with the next update.
                *detector = slot.maker.make();
                if self.board.panicked(module, text_of(&*panic)) >= MAX_PANICS {
                    self.board.stop(module);
                    break;
                }
            }
        }
        let took = begin.elapsed();
        let slow = took > SLOW * u32::try_from(group.items.len()).unwrap_or(u32::MAX);
        self.board.worked(module, next, took, slow, detector.refused());
        found
    }

    /// Says that something moves. Only one thread writes, but for one that was left behind.
    fn beat(&self) {
        let calls = &self.board.calls;
        calls.store(calls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

fn take(found: &mut Vec<Found>, item: usize, at_tick: bool, evidence: Vec<Evidence>) {
    if !evidence.is_empty() {
        found.push(Found {
            item,
            at_tick,
            evidence,
        });
    }
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
