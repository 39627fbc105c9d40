//! One module looks at a group of updates.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use lynceus_detect::{Detector, History};
use lynceus_model::evidence::Evidence;

use super::group::{Found, Group, Job, Late};
use super::mark::End;
use super::pool::Pool;
use super::task::Task;

/// A module that takes longer than this for an update, in the mean over a group, is called slow.
const SLOW: Duration = Duration::from_millis(1);
/// Panics of one module in one run of the collector, after which it is stopped: each costs a line of log.
const MAX_PANICS: u64 = 1000;

/// Shows a module the updates of a group from `from` on.
pub(super) fn turn(pool: &Pool, task: &Task, job: &Job, from: usize, behind: bool) -> End {
    task.mark.begin(from, behind);
    if pool.board.is_stopped(task.module) {
        return task.mark.finish();
    }
    let mut detector = task.detector.lock().unwrap_or_else(PoisonError::into_inner);
    let begin = Instant::now();
    let group = &job.group;
    let mut next = from;
    let mut found = Vec::new();
    let mut stopped = false;
    while next < group.items.len() && !stopped {
        let looked = catch_unwind(AssertUnwindSafe(|| {
            while next < group.items.len() {
                next += 1;
                look(&mut **detector, (group, next - 1, task.module), &mut found);
                if !task.mark.step() {
                    return false;
                }
                if !found.is_empty() {
                    job.add(&mut found);
                }
            }
            true
        }));
        let goes_on = looked.unwrap_or_else(|panic| {
            let stepped = task.mark.step();
            if stepped {
                // What it found before it failed.
                job.add(&mut found);
                // The state may be half changed: a fresh instance goes on with the next update.
                *detector = task.maker.make();
                if pool.board.panicked(task.module, panic_text(&*panic)) >= MAX_PANICS {
                    pool.board.stop(task.module);
                    stopped = true;
                }
            }
            stepped
        });
        if !goes_on {
            return left(pool, group, found);
        }
    }
    let took = begin.elapsed();
    let updates = next.saturating_sub(from);
    let slow = took > SLOW * u32::try_from(updates).unwrap_or(u32::MAX);
    pool.board
        .worked(task.module, updates, took, slow, detector.refused());
    drop(detector);
    task.mark.finish()
}

/// Another instance has gone on; what this one found in the call that it did not come back from still counts.
fn left(pool: &Pool, group: &Arc<Group>, found: Vec<Found>) -> End {
    if !found.is_empty() {
        let group = Arc::clone(group);
        // Nobody listens when the collector has ended.
        let _ = pool.late.send(Late { group, found });
    }
    End::Left
}

fn look(detector: &mut dyn Detector, (group, index, module): (&Group, usize, usize), found: &mut Vec<Found>) {
    let mut take = |at_tick, evidence: Vec<Evidence>| {
        if !evidence.is_empty() {
            found.push(Found {
                item: index,
                at_tick,
                module,
                evidence,
            });
        }
    };
    let item = &group.items[index];
    let shown = item.shown(group.sensor);
    take(false, detector.inspect(&shown, &History::new(&item.history)));
    if let Some(now) = item.tick {
        take(true, detector.tick(now));
    }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
