//! One instance of a module, with the groups that wait for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lynceus_detect::{Detector, Maker};

use super::group::Job;
use super::hosting::Hosting;
use super::mark::Mark;

pub(super) struct Task {
    pub(super) module: usize,
    pub(super) maker: Maker,
    /// Whoever runs it holds the lock.
    pub(super) detector: Mutex<Box<dyn Detector>>,
    pub(super) mark: Mark,
    line: Mutex<Line>,
}

/// Groups that wait for a module that is behind. The first is the one that it is at.
#[derive(Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// A worker has this task for its own until nothing waits. In step: false, and nothing waits.
    behind: bool,
}

#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) job: Arc<Job>,
    /// Update to begin with.
    pub(super) from: usize,
    bytes: usize,
}

impl Task {
    pub(super) fn new(module: usize, maker: Maker) -> Self {
        Self::with(module, maker, Line::default())
    }

    pub(super) fn with(module: usize, maker: Maker, line: Line) -> Self {
        Self {
            module,
            detector: Mutex::new(maker.make()),
            maker,
            mark: Mark::default(),
            line: Mutex::new(line),
        }
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(super) const fn is_behind(&self) -> bool {
        self.behind
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// One that is at work may always have another wait, however large.
    pub(super) fn has_room(&self, bytes: usize, hosting: &Hosting) -> bool {
        self.waiting.len() <= 1
            || (self.waiting.len() < hosting.queue_groups
                && self.bytes.saturating_add(bytes) <= hosting.queue_bytes)
    }

    pub(super) fn push(&mut self, job: &Arc<Job>, bytes: usize) {
        job.owe();
        self.behind = true;
        self.bytes += bytes;
        self.waiting.push_back(Waiting {
            job: Arc::clone(job),
            from: 0,
            bytes,
        });
    }

    /// The one that the module is at, or is to begin with.
    pub(super) fn first(&self) -> Option<Waiting> {
        self.waiting.front().cloned()
    }

    /// The module is through with the first; with the last it is in step again.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        if let Some(done) = self.waiting.pop_front() {
            self.bytes -= done.bytes;
            done.job.paid();
        }
        self.behind = !self.waiting.is_empty();
        self.first()
    }

    /// Takes everything away, to go on at `update` of the first.
    pub(super) fn take_from(&mut self, update: usize) -> Self {
        let mut rest = std::mem::take(self);
        if let Some(first) = rest.waiting.front_mut() {
            first.from = update;
        }
        rest
    }

    /// Nobody will look at what waits; gives how many groups that is.
    pub(super) fn give_up(&mut self) -> usize {
        let given_up = std::mem::take(self).waiting;
        given_up.iter().for_each(|waiting| waiting.job.paid());
        given_up.len()
    }
}
