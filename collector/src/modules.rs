//! Hosts the detectors as modules: one that panics, hangs or is slow harms no other (`docs/decisions/0330-tasks.md`).
//!
//! Each module is a task with a bounded queue of its own. Dispatch lays a group of updates out, a few threads run the
//! tasks, and dispatch goes on when all of them are through: findings are put in the order of updates, then modules, so
//! they do not depend on the number of threads. A task that is not through after a grace *falls behind*: what comes next
//! waits in its queue, what it finds joins late, and the others go on without it until its queue is empty. A call that
//! does not return keeps its thread: a fresh instance goes on with the next update and with the queue.

mod board;
mod group;
mod hosting;
mod mark;
mod pool;
mod task;
mod turn;
mod watch;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lynceus_detect::Maker;
use lynceus_model::window::WindowId;

pub use board::{Board, ModuleFigures};
pub(crate) use group::{Found, Group, Item, Late};
pub use hosting::Hosting;
pub(crate) use turn::panic_text;

use self::group::Job;
use self::pool::{Pool, Round};
use self::task::Task;
use self::watch::Watch;

/// The modules of a collector, as dispatch has them.
pub(crate) struct Modules {
    hosting: Hosting,
    pool: Arc<Pool>,
    tasks: Vec<Arc<Task>>,
    /// All of them, as they are laid out; made anew where one began anew.
    all: Option<Arc<[Arc<Task>]>>,
    /// Modules that were behind when they were last looked at.
    behind: BTreeSet<usize>,
    /// Groups that modules that are behind were not through with when they were last looked at, oldest first. They are
    /// what waits in queues, so no more than the bounds of a queue.
    open: VecDeque<Arc<Job>>,
    late: Receiver<Late>,
    watch: Watch,
}

/// Between two looks at modules that are at work.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// Updates for which another worker is woken: about what one of them does while the other wakes.
const WORTH_A_WORKER: usize = 8;

impl Modules {
    pub(crate) fn new(makers: Vec<Maker>, hosting: Hosting) -> Self {
        let (late_in, late) = channel();
        let board = Arc::new(Board::new(makers.iter().map(Maker::name)));
        let tasks = makers
            .into_iter()
            .enumerate()
            .map(|(module, maker)| Arc::new(Task::new(module, maker)))
            .collect::<Vec<_>>();
        Self {
            pool: Arc::new(Pool::new(board, late_in, hosting.threads)),
            watch: Watch::new(tasks.len()),
            hosting,
            tasks,
            all: None,
            behind: BTreeSet::new(),
            open: VecDeque::new(),
            late,
        }
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.pool.board)
    }

    /// How long a call of a module may take.
    pub(crate) const fn patience(&self) -> Duration {
        self.hosting.patience
    }

    /// Shows a group to every module and gives what those found that are in step, in the order of updates and then of
    /// modules. Modules that are behind have it in their queues.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn inspect(&mut self, group: &Arc<Group>) -> std::io::Result<Vec<Found>> {
        if group.items.is_empty() {
            return Ok(Vec::new());
        }
        let job = Arc::new(Job::new(Arc::clone(group)));
        self.queue(&job)?;
        let tasks = self.in_step();
        if !tasks.is_empty() {
            let round = Arc::new(Round::new(Arc::clone(&job), tasks));
            self.pool
                .lay_out(&round, 1 + group.items.len() / WORTH_A_WORKER)?;
            while !self.pool.wait(&round, LOOK)? {
                self.look(Some(&job))?;
            }
        }
        // Asked first: what is found is there before a module is through.
        let owed = job.is_owed();
        let found = job.take();
        if owed {
            self.open.push_back(job);
        }
        Ok(found)
    }

    /// Whether a module is not through with all that it was given, or was a moment ago.
    pub(crate) fn is_behind(&self) -> bool {
        !self.open.is_empty()
    }

    /// Looks after modules that are behind; to be called now and then, whether or not there are groups.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn keep_up(&mut self) -> std::io::Result<()> {
        if self.is_behind() {
            self.look(None)?;
        }
        Ok(())
    }

    /// What modules found after the others had gone on; it takes effect when it comes.
    pub(crate) fn late(&mut self) -> Vec<Late> {
        let mut late: Vec<Late> = Vec::new();
        let board = &self.pool.board;
        self.open.retain(|job| {
            let owed = job.is_owed();
            let found = job.take();
            if !found.is_empty() {
                let group = Arc::clone(&job.group);
                late.push(Late { group, found });
            }
            owed
        });
        late.extend(self.late.try_iter());
        for found in late.iter().flat_map(|late| &late.found) {
            board.late(found.module, found.evidence.len());
        }
        late
    }

    /// Windows of groups that a module is not through with. What is told of them is not all yet, so a replay has to
    /// build them again.
    pub(crate) fn held(&self) -> HashSet<WindowId> {
        self.open.iter().flat_map(|job| job.windows()).collect()
    }

    /// Waits until no module is behind, or for `most`: each comes back, begins anew or is stopped, so it ends.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn settle(&mut self, most: Option<Duration>) -> std::io::Result<()> {
        let begin = Instant::now();
        while self.open.iter().any(|job| job.is_owed()) && most.is_none_or(|most| begin.elapsed() < most) {
            self.look(None)?;
            self.pool.pause(LOOK);
        }
        Ok(())
    }

    /// Gives a group to the modules that are behind. One whose queue is full is waited for, until patience is over.
    fn queue(&mut self, job: &Arc<Job>) -> std::io::Result<()> {
        if self.behind.is_empty() {
            return Ok(());
        }
        if self.watch.is_due() {
            self.look(None)?;
        }
        let bytes = job.bytes();
        for module in self.behind.clone() {
            let mut waits: Option<Instant> = None;
            loop {
                // It may have begun anew meanwhile.
                let task = Arc::clone(&self.tasks[module]);
                let mut line = task.line();
                if !line.is_behind() {
                    self.behind.remove(&module);
                    break;
                }
                if line.has_room(bytes, &self.hosting) {
                    line.push(job, bytes);
                    self.pool.board.waits(module, line.len());
                    break;
                }
                drop(line);
                let since = *waits.get_or_insert_with(|| {
                    self.pool.board.full(module);
                    Instant::now()
                });
                if since.elapsed() >= self.hosting.patience {
                    self.pool.board.missed(module, 1);
                    break;
                }
                self.pool.pause(LOOK);
                if self.watch.is_due() {
                    self.look(None)?;
                }
            }
        }
        Ok(())
    }

    fn in_step(&mut self) -> Arc<[Arc<Task>]> {
        if self.behind.is_empty() {
            let all = self
                .all
                .get_or_insert_with(|| self.tasks.iter().cloned().collect());
            return Arc::clone(all);
        }
        let in_step = self
            .tasks
            .iter()
            .filter(|task| !self.behind.contains(&task.module));
        in_step.cloned().collect()
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        self.pool.close();
    }
}
