//! The threads that run modules.
//!
//! Dispatch lays a group out for all modules that are in step, and free workers take one module after the other until
//! none is left. The last one to leave tells dispatch, and nobody holds the group then: its profiles change next and are
//! not to be copied. A worker whose module has fallen behind is that module's own until nothing waits for it any more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::board::Board;
use super::group::{Job, Late};
use super::mark::End;
use super::task::{Task, Waiting};
use super::turn::turn;

pub(super) struct Pool {
    pub(super) board: Arc<Board>,
    /// For what a module still found that was left behind.
    pub(super) late: Sender<Late>,
    threads: usize,
    floor: Mutex<Floor>,
    /// A group was laid out.
    laid_out: Condvar,
    /// A group is through, or a module that is behind came further. Dispatch alone waits for it.
    moved: Condvar,
    closed: AtomicBool,
}

#[derive(Default)]
struct Floor {
    round: Option<Arc<Round>>,
    /// Workers that are at it.
    inside: usize,
    /// Workers that are no module's own.
    free: usize,
    /// Of them, those that sleep.
    asleep: usize,
}

/// What becomes of a worker after a group.
enum After {
    Through,
    /// This module fell behind, and has it for its own.
    Own(Arc<Task>),
    /// A module did not come back for so long that another worker has gone on.
    Gone,
}

/// A group that is laid out for modules.
pub(super) struct Round {
    pub(super) job: Arc<Job>,
    pub(super) tasks: Arc<[Arc<Task>]>,
    next: AtomicUsize,
}

impl Round {
    pub(super) fn new(job: Arc<Job>, tasks: Arc<[Arc<Task>]>) -> Self {
        Self {
            job,
            tasks,
            next: AtomicUsize::new(0),
        }
    }

    fn claim(&self) -> Option<&Arc<Task>> {
        self.tasks.get(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn is_given_out(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.tasks.len()
    }
}

impl Pool {
    pub(super) fn new(board: Arc<Board>, late: Sender<Late>, threads: usize) -> Self {
        Self {
            board,
            late,
            threads: threads.max(1),
            floor: Mutex::default(),
            laid_out: Condvar::new(),
            moved: Condvar::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Lays a group out for at most `workers` at once.
    pub(super) fn lay_out(self: &Arc<Self>, round: &Arc<Round>, workers: usize) -> std::io::Result<()> {
        let workers = workers.clamp(1, self.threads);
        let mut floor = self.floor();
        floor.round = Some(Arc::clone(round));
        while floor.free < workers {
            self.start(None)?;
            floor.free += 1;
        }
        let wake = workers.min(floor.asleep);
        drop(floor);
        (0..wake).for_each(|_| self.laid_out.notify_one());
        Ok(())
    }

    /// Waits until all modules of the group are through but for those that fell behind; false when that takes longer
    /// than `most`.
    pub(super) fn wait(self: &Arc<Self>, round: &Round, most: Duration) -> std::io::Result<bool> {
        let begin = Instant::now();
        let mut floor = self.floor();
        loop {
            if floor.inside == 0 && round.is_given_out() {
                floor.round = None;
                return Ok(true);
            }
            if floor.free == 0 {
                // All have become modules' own.
                self.start(None)?;
                floor.free += 1;
            }
            let left = most.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            floor = self
                .moved
                .wait_timeout(floor, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until a module that is behind came further, but not longer than `most`.
    pub(super) fn pause(&self, most: Duration) {
        let _ = self
            .moved
            .wait_timeout(self.floor(), most)
            .unwrap_or_else(PoisonError::into_inner);
    }

    /// The worker that runs this task is the task's own from now on. False when the task was through already.
    pub(super) fn fall_behind(&self, task: &Task) -> bool {
        let mut floor = self.floor();
        let fell = task.mark.fall_behind();
        if fell {
            floor.inside -= 1;
            floor.free -= 1;
            // Somebody else has to take the modules after it.
            self.laid_out.notify_one();
        }
        fell
    }

    /// Starts a worker: of a module's own, or free.
    pub(super) fn start(self: &Arc<Self>, own: Option<Arc<Task>>) -> std::io::Result<()> {
        let pool = Arc::clone(self);
        std::thread::Builder::new()
            .name("modules".to_owned())
            .spawn(move || pool.work(own))
            .map(drop)
    }

    /// Whoever works ends with what it is at.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.floor());
        self.laid_out.notify_all();
    }

    fn work(&self, own: Option<Arc<Task>>) {
        if let Some(task) = own {
            let first = task.line().first();
            if !self.catch_up(&task, first) {
                return;
            }
        }
        while let Some(round) = self.join() {
            match self.run(round) {
                After::Through => {}
                After::Own(task) => {
                    let next = self.next(&task);
                    if !self.catch_up(&task, next) {
                        return;
                    }
                }
                After::Gone => return,
            }
        }
    }

    /// Waits for a group that has modules left to take.
    fn join(&self) -> Option<Arc<Round>> {
        let mut floor = self.floor();
        loop {
            if self.is_closed() {
                return None;
            }
            if let Some(round) = &floor.round
                && !round.is_given_out()
            {
                let round = Arc::clone(round);
                floor.inside += 1;
                return Some(round);
            }
            floor.asleep += 1;
            floor = self.laid_out.wait(floor).unwrap_or_else(PoisonError::into_inner);
            floor.asleep -= 1;
        }
    }

    fn run(&self, round: Arc<Round>) -> After {
        while let Some(task) = round.claim() {
            match turn(self, task, &round.job, 0, false) {
                End::InStep => {}
                End::Behind => return After::Own(Arc::clone(task)),
                End::Left => return After::Gone,
            }
        }
        drop(round);
        let mut floor = self.floor();
        floor.inside -= 1;
        let last = floor.inside == 0;
        drop(floor);
        if last {
            self.moved.notify_one();
        }
        After::Through
    }

    /// Shows a module that is behind what waits for it, then is free again. False when this worker is not needed any more.
    fn catch_up(&self, task: &Arc<Task>, mut next: Option<Waiting>) -> bool {
        while let Some(Waiting { job, from, .. }) = next {
            if self.is_closed() || turn(self, task, &job, from, true) == End::Left {
                return false;
            }
            drop(job);
            next = self.next(task);
        }
        let mut floor = self.floor();
        let needed = floor.free < self.threads;
        floor.free += usize::from(needed);
        needed
    }

    /// A module that is behind is through with a group.
    fn next(&self, task: &Task) -> Option<Waiting> {
        let mut line = task.line();
        let next = line.next();
        self.board.waits(task.module, line.len());
        drop(line);
        drop(self.floor());
        self.moved.notify_one();
        next
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn floor(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
