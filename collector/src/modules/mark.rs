//! Where a module is: one number that whoever runs it and whoever watches it change by turns.
//!
//! The runner steps from update to update by it, the watcher takes it away from a runner that does not come back. Both
//! are one atomic change of the same number, so no update is shown twice and none is left out, whatever the moment.

use std::sync::atomic::{AtomicU64, Ordering};

/// Turn in the upper half, then the update of the group, then who has it.
#[derive(Debug, Default)]
pub(super) struct Mark(AtomicU64);

/// A look at a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

/// Who has it. `IDLE`: nobody.
const WHO: u64 = 3;
const RUNS: u64 = 1;
/// It runs, and the others do not wait for it.
const BEHIND: u64 = 2;
/// The runner has nothing to say any more.
const LEFT: u64 = 3;
const UPDATE: u64 = 4;
const TURN: u64 = 1 << 32;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    InStep,
    /// The others have gone on.
    Behind,
    /// Another instance has gone on.
    Left,
}

impl Mark {
    /// The runner begins a turn at an update. Nobody else changes a mark that nobody has.
    pub(super) fn begin(&self, update: usize, behind: bool) {
        let turn = (self.0.load(Ordering::Relaxed) / TURN).wrapping_add(1) << 32;
        let who = if behind { BEHIND } else { RUNS };
        self.0
            .store(turn | (update as u64 * UPDATE) | who, Ordering::Release);
    }

    /// The runner goes on with the next update. False when the module was taken away from it.
    pub(super) fn step(&self) -> bool {
        self.0.fetch_add(UPDATE, Ordering::AcqRel) & WHO != LEFT
    }

    /// The runner is through.
    pub(super) fn finish(&self) -> End {
        let over = |mark: u64| (mark & WHO != LEFT).then_some(mark & !WHO);
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, over) {
            Err(_) => End::Left,
            Ok(mark) if mark & WHO == BEHIND => End::Behind,
            Ok(_) => End::InStep,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen(self.0.load(Ordering::Acquire))
    }

    /// The others go on. False when it was through already.
    pub(super) fn fall_behind(&self) -> bool {
        let behind = |mark: u64| (mark & WHO == RUNS).then_some((mark & !WHO) | BEHIND);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, behind)
            .is_ok()
    }

    /// Takes the module away; gives the update that it was at. `None` when it went on since it was seen.
    pub(super) fn leave(&self, seen: Seen) -> Option<usize> {
        let left = self
            .0
            .compare_exchange(seen.0, seen.0 | LEFT, Ordering::AcqRel, Ordering::Acquire);
        left.is_ok().then(|| seen.update())
    }
}

impl Seen {
    pub(super) const fn is_at_work(self) -> bool {
        matches!(self.0 & WHO, RUNS | BEHIND)
    }

    pub(super) const fn is_behind(self) -> bool {
        self.0 & WHO == BEHIND
    }

    /// At the same update of the same turn, whoever waits for it.
    pub(super) const fn is_where(self, other: Self) -> bool {
        self.0 / UPDATE == other.0 / UPDATE
    }

    pub(super) const fn turn(self) -> u64 {
        self.0 / TURN
    }

    const fn update(self) -> usize {
        ((self.0 % TURN) / UPDATE) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_the_runner_steps_or_the_watcher_takes_it() {
        let mark = Mark::default();
        assert!(!mark.seen().is_at_work());
        mark.begin(7, false);
        let early = mark.seen();
        assert!(early.is_at_work() && !early.is_behind());
        assert!(mark.step());
        assert_eq!(mark.leave(early), None, "it went on");
        assert!(mark.fall_behind() && !mark.fall_behind());
        let now = mark.seen();
        assert!(now.is_behind() && now.turn() == early.turn());
        assert_eq!(mark.leave(now), Some(8));
        assert!(!mark.step(), "it is another's now");
        assert_eq!(mark.finish(), End::Left);
        assert!(!mark.step() && !mark.fall_behind() && !mark.seen().is_at_work());
    }

    #[test]
    fn a_turn_ends_as_the_watcher_saw_it() {
        let mark = Mark::default();
        mark.begin(0, false);
        let first = mark.seen();
        assert_eq!(mark.finish(), End::InStep);
        assert!(!mark.fall_behind(), "nobody has it");
        mark.begin(0, true);
        assert_ne!(mark.seen().turn(), first.turn());
        assert_eq!(mark.finish(), End::Behind);
        assert_eq!(mark.leave(first), None);
    }
}
