//! Hosts the detectors as modules: one that panics, hangs or is slow harms no other (`docs/decisions/0095-modules.md`).
//!
//! A thread of its own shows each group of updates to one module after the other, while dispatch waits and watches. A
//! panic ends one call: the module begins anew with a fresh instance at the next update. A call that does not return
//! keeps its thread; a fresh thread goes on with the next module at once, and a fresh instance with the next group. What
//! the left one still finds, if it ever comes back, joins later. Findings are put in the order of updates, then modules,
//! so the others say exactly what they would have said alone.

mod board;
mod runner;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use lynceus_detect::{Earlier, Maker};
use lynceus_model::evidence::Evidence;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowUpdate};
use lynceus_proto::batch::Content;
use lynceus_proto::v1;

pub use board::{Board, ModuleFigures};

use crate::earlier::LookBack;

use self::runner::{Baton, Job, Runner, Said, Slot};

/// Updates that all modules are shown before anything they found takes effect: of one entry of the log, of windows that
/// are different and begin at the same time.
pub(crate) struct Group {
    pub(crate) sensor: SensorId,
    pub(crate) items: Vec<Item>,
}

/// One update, with all that is known of its window at this moment.
pub(crate) struct Item {
    pub(crate) content: Arc<Content>,
    /// Of the update in `content`.
    pub(crate) index: usize,
    pub(crate) profile: Arc<ProfileDelta>,
    pub(crate) history: LookBack,
    pub(crate) number: i64,
    /// Event time, where it advanced with this update.
    pub(crate) tick: Option<Timestamp>,
    /// The window before the update, where modules elsewhere have to be told of it.
    pub(crate) opened: Option<Arc<ProfileDelta>>,
}

impl Item {
    pub(crate) fn update(&self) -> &WindowUpdate {
        &self.content.updates[self.index]
    }

    /// What modules elsewhere are told of the window before they see the update.
    pub(crate) fn opening(&self) -> Option<v1::WindowOpening> {
        let base = self.opened.as_ref()?;
        Some(v1::WindowOpening {
            update: u32::try_from(self.index).ok()?,
            base: (**base != ProfileDelta::new(base.window)).then(|| (&**base).into()),
            earlier: self.history.windows().iter().map(Into::into).collect(),
        })
    }
}

/// What a module found at one update.
pub(crate) struct Found {
    /// Of the update in the group.
    pub(crate) item: usize,
    /// It was said at the tick after the update.
    at_tick: bool,
    pub(crate) evidence: Vec<Evidence>,
}

/// The modules of a collector.
pub(crate) struct Modules {
    slots: Vec<Slot>,
    board: Arc<Board>,
    patience: Duration,
    running: Option<Running>,
    late: Receiver<(usize, Vec<Found>)>,
    late_in: Sender<(usize, Vec<Found>)>,
}

/// The runner that is at work.
struct Running {
    jobs: SyncSender<Job>,
    said: Receiver<Said>,
    baton: Arc<Baton>,
}

/// Between two looks at a module that is at work.
const LOOK: Duration = Duration::from_millis(20);
/// Hangs of one module in one run of the collector, after which it is stopped: each costs the wait and keeps a thread.
const MAX_HANGS: u64 = 3;

impl Modules {
    /// `patience`: how long one call may take.
    pub(crate) fn new(makers: Vec<Maker>, patience: Duration) -> Self {
        let (late_in, late) = channel();
        Self {
            board: Arc::new(Board::new(makers.iter().map(Maker::name))),
            slots: makers.into_iter().map(Slot::new).collect(),
            patience,
            running: None,
            late,
            late_in,
        }
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Shows a group to every module and gives what they found, in the order of updates and then of modules.
    ///
    /// # Errors
    /// No thread can be started.
    pub(crate) fn inspect(&mut self, group: &Arc<Group>) -> std::io::Result<Vec<Found>> {
        if group.items.is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Vec<(usize, Found)> = Vec::new();
        let mut from = 0;
        while let Some(hung) = self.inspect_from(group, from, &mut found)? {
            from = hung + 1;
        }
        found.sort_by_key(|(module, found)| (found.item, found.at_tick, *module));
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// What modules found that had been left behind; it takes effect when it comes.
    pub(crate) fn late(&self) -> Vec<Evidence> {
        self.late
            .try_iter()
            .flat_map(|(_, found)| found)
            .flat_map(|found| found.evidence)
            .collect()
    }

    /// Runs the modules from `from` on; gives the one that did not come back.
    fn inspect_from(
        &mut self,
        group: &Arc<Group>,
        from: usize,
        found: &mut Vec<(usize, Found)>,
    ) -> std::io::Result<Option<usize>> {
        let running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        running.baton.begin(from);
        let job = Job {
            group: Arc::clone(group),
            from,
        };
        if running.jobs.send(job).is_err() {
            return Err(std::io::Error::other("the thread of the modules is gone"));
        }
        let mut seen = (usize::MAX, 0);
        let mut since = Instant::now();
        loop {
            match running.said.recv_timeout(LOOK) {
                Ok(Said::Found(module, these)) => {
                    found.extend(these.into_iter().map(|found| (module, found)));
                }
                Ok(Said::Done) => {
                    self.running = Some(running);
                    return Ok(None);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = (
                        running.baton.at(),
                        self.board.calls.load(std::sync::atomic::Ordering::Relaxed),
                    );
                    if now != seen {
                        (seen, since) = (now, Instant::now());
                    } else if since.elapsed() >= self.patience && running.baton.take(now.0) {
                        // What the modules before it found is in the channel.
                        for said in running.said.try_iter() {
                            if let Said::Found(module, these) = said {
                                found.extend(these.into_iter().map(|found| (module, found)));
                            }
                        }
                        self.leave_behind(now.0, since.elapsed());
                        return Ok(Some(now.0));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other("the thread of the modules ended"));
                }
            }
        }
    }

    fn leave_behind(&mut self, module: usize, waited: Duration) {
        if self.board.hung(module, waited) >= MAX_HANGS {
            self.board.stop(module);
        }
        self.slots[module] = Slot::new(self.slots[module].maker.clone());
    }

    fn start(&self) -> std::io::Result<Running> {
        // One job at a time: dispatch waits for its end.
        let (jobs, queue) = sync_channel(1);
        // Holds what was found in one group at most.
        let (say, said) = channel();
        let baton = Arc::new(Baton::default());
        let runner = Runner {
            slots: self.slots.clone(),
            jobs: queue,
            said: say,
            late: self.late_in.clone(),
            board: Arc::clone(&self.board),
            baton: Arc::clone(&baton),
        };
        std::thread::Builder::new()
            .name("modules".to_owned())
            .spawn(move || runner.run())?;
        Ok(Running { jobs, said, baton })
    }
}
