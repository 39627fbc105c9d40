//! Looks whether modules come back: one that takes long falls behind, one that hangs is left.

use std::sync::Arc;
use std::time::Instant;

use super::group::Job;
use super::mark::Seen;
use super::task::Task;
use super::{LOOK, Modules};

/// Hangs of one module in one run of the collector, after which it is stopped: each costs the wait and keeps a thread.
const MAX_HANGS: u64 = 3;

/// Where modules were when they were last looked at.
pub(super) struct Watch {
    /// `None`: not at work.
    modules: Vec<Option<Last>>,
    looked: Instant,
}

#[derive(Clone, Copy)]
struct Last {
    seen: Seen,
    /// It was seen there first.
    since: Instant,
    /// The turn was seen first.
    turn_since: Instant,
}

impl Watch {
    pub(super) fn new(modules: usize) -> Self {
        Self {
            modules: vec![None; modules],
            looked: Instant::now(),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.looked.elapsed() >= LOOK
    }

    /// Notes where a module is; gives what is known of it, if it is at work.
    fn note(&mut self, module: usize, seen: Seen, now: Instant) -> Option<Last> {
        let before = self.modules[module];
        let fresh = Last {
            seen,
            since: now,
            turn_since: now,
        };
        self.modules[module] = seen.is_at_work().then(|| match before {
            Some(before) if before.seen.is_where(seen) => Last { seen, ..before },
            Some(before) if before.seen.turn() == seen.turn() => Last {
                turn_since: before.turn_since,
                ..fresh
            },
            _ => fresh,
        });
        self.modules[module]
    }
}

impl Modules {
    /// Looks at all modules. `job`: what is laid out.
    pub(super) fn look(&mut self, job: Option<&Arc<Job>>) -> std::io::Result<()> {
        let now = Instant::now();
        self.watch.looked = now;
        for module in 0..self.tasks.len() {
            let seen = self.tasks[module].mark.seen();
            let Some(last) = self.watch.note(module, seen, now) else {
                continue;
            };
            let hangs = now - last.since >= self.hosting.patience;
            let too_long = self
                .hosting
                .grace
                .is_some_and(|grace| now - last.turn_since >= grace);
            if let Some(job) = job
                && !seen.is_behind()
                && (hangs || too_long)
            {
                self.fall_behind(module, job);
            }
            if hangs {
                self.leave(module, last, now)?;
            }
        }
        Ok(())
    }

    /// The others go on without this module.
    fn fall_behind(&mut self, module: usize, job: &Arc<Job>) {
        let task = &self.tasks[module];
        let mut line = task.line();
        line.push(job, job.bytes());
        if self.pool.fall_behind(task) {
            self.pool.board.waits(module, line.len());
            self.behind.insert(module);
        } else {
            // It has just come back.
            line.give_up();
        }
    }

    /// Goes on with a fresh instance after the update that the module does not come back from.
    fn leave(&mut self, module: usize, last: Last, now: Instant) -> std::io::Result<()> {
        let task = Arc::clone(&self.tasks[module]);
        let mut line = task.line();
        // Its mark is another one if it fell behind just now.
        let seen = task.mark.seen();
        if !seen.is_behind() || !seen.is_where(last.seen) {
            return Ok(());
        }
        let Some(update) = task.mark.leave(seen) else {
            return Ok(());
        };
        let board = &self.pool.board;
        let from = line.first().map_or(0, |first| first.from);
        board.shown(module, (update + 1).saturating_sub(from));
        let mut rest = line.take_from(update + 1);
        drop(line);
        self.watch.modules[module] = None;
        self.all = None;
        let stopped = board.hung(module, now - last.since) >= MAX_HANGS;
        if stopped {
            board.stop(module);
            board.missed(module, rest.give_up().saturating_sub(1));
            board.waits(module, 0);
        }
        let fresh = Arc::new(Task::with(module, task.maker.clone(), rest));
        self.tasks[module] = Arc::clone(&fresh);
        if !stopped {
            self.pool.start(Some(fresh))?;
        }
        Ok(())
    }
}
