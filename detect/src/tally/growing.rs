//! Findings that grow within a window: said once they are large enough, again each time they doubled, and with their
//! last numbers when the window closes; always under the same id, so they count once.

use std::collections::BTreeMap;

use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};

use super::Tally;
use crate::windows::Windows;

/// What belongs to each window. Bounded: the oldest window goes first, and what is found in it later begins anew under
/// the same ids.
#[derive(Debug)]
pub(crate) struct PerWindow<T> {
    windows: Windows<Slot<T>>,
    /// Windows that had to go, and what found no room in one.
    refused: u64,
}

#[derive(Debug, Default)]
struct Slot<T> {
    value: T,
    /// Something was noted since the last look.
    touched: bool,
}

impl<T: Default> PerWindow<T> {
    /// More than a sensor keeps in memory.
    const MAX_WINDOWS: usize = 65_536;

    pub(crate) const fn new() -> Self {
        Self {
            windows: Windows::new(),
            refused: 0,
        }
    }

    /// What belongs to the window; empty if there was nothing.
    pub(crate) fn of(&mut self, window: WindowId) -> &mut T {
        if self.windows.len() >= Self::MAX_WINDOWS
            && self.windows.get(window).is_none()
            && let Some(oldest) = self.windows.oldest()
        {
            self.windows.remove(oldest);
            self.refused += 1;
        }
        let slot = self.windows.of(window);
        slot.touched = true;
        &mut slot.value
    }

    pub(crate) fn find(&mut self, window: WindowId) -> Option<&mut T> {
        self.windows.get_mut(window).map(|slot| &mut slot.value)
    }

    /// What is worth looking at now: noted since the last look, or all of a window that is over.
    pub(crate) fn due(&mut self, window: WindowId, stage: Stage) -> Option<&mut T> {
        if stage == Stage::Partial {
            return None;
        }
        let slot = self.windows.get_mut(window)?;
        let due = std::mem::replace(&mut slot.touched, false) || stage == Stage::Closed;
        due.then_some(&mut slot.value)
    }

    /// Takes it out: the window is over.
    pub(crate) fn take(&mut self, window: WindowId) -> Option<T> {
        self.windows.remove(window).map(|slot| slot.value)
    }

    /// Something found no room in a window.
    pub(crate) const fn refuse(&mut self) {
        self.refused += 1;
    }

    /// Windows that had to go before they were over, and what found no room in one.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }
}

/// Tallies by key in each window.
#[derive(Debug)]
pub(crate) struct Growing<K> {
    windows: PerWindow<BTreeMap<K, Tally>>,
    /// Sightings for which there was no room.
    refused: u64,
}

impl<K: Ord + Clone> Growing<K> {
    /// Things in one window that are told apart. Nobody reads more; those beyond are not said.
    pub(crate) const MAX_KEYS: usize = 256;

    pub(crate) const fn new() -> Self {
        Self {
            windows: PerWindow::new(),
            refused: 0,
        }
    }

    /// Sightings for which there was no room, and windows that had to go.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused + self.windows.refused()
    }

    /// Adds one sighting; false if there is no room for another key.
    pub(crate) fn add(
        &mut self,
        window: WindowId,
        key: K,
        first: Timestamp,
        last: Timestamp,
        flow: Option<CommunityId>,
    ) -> bool {
        let tallies = self.windows.of(window);
        if tallies.len() >= Self::MAX_KEYS && !tallies.contains_key(&key) {
            self.refused += 1;
            return false;
        }
        tallies.entry(key).or_default().add(first, last, flow);
        true
    }

    /// Adds a flow whose client is the profile; false if there is no room for another key.
    pub(crate) fn add_flow(&mut self, window: WindowId, key: K, flow: &Flow) -> bool {
        let there = self.add(
            window,
            key.clone(),
            flow.first,
            flow.last,
            Some(flow.community_id),
        );
        if let Some(tally) = self.windows.of(window).get_mut(&key) {
            tally.add_port(flow.tuple.protocol, flow.client_server().0.port);
        }
        there
    }

    /// What is to be said of a window now; forgets the window when it is closed.
    pub(crate) fn due(&mut self, window: WindowId, least: u64, stage: Stage) -> Vec<(K, Tally)> {
        let Some(tallies) = self.windows.due(window, stage) else {
            return Vec::new();
        };
        let due = tallies.iter_mut().filter_map(|(key, tally)| {
            let due = tally.is_due(least, stage);
            due.then(|| (key.clone(), tally.clone()))
        });
        let due = due.collect();
        if stage == Stage::Closed {
            self.windows.take(window);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn said_at_its_size_when_doubled_and_at_the_end() {
        let window = WindowId {
            profile: [10, 0, 0, 1].into(),
            start: Timestamp(0),
        };
        let mut growing = Growing::new();
        let mut said = Vec::new();
        for n in 1..=15 {
            assert!(growing.add(window, "key", Timestamp(n), Timestamp(n), None));
            for (_, tally) in growing.due(window, 3, Stage::Refreshed) {
                said.push(tally.count);
            }
        }
        for (_, tally) in growing.due(window, 3, Stage::Closed) {
            said.push(tally.count);
            assert_eq!((tally.first, tally.last), (Timestamp(1), Timestamp(15)));
        }
        assert_eq!(said, [3, 6, 12, 15]);
        assert!(growing.due(window, 1, Stage::Closed).is_empty());
    }

    #[test]
    fn keys_are_bounded() {
        let window = WindowId {
            profile: [10, 0, 0, 1].into(),
            start: Timestamp(0),
        };
        let mut growing = Growing::new();
        let taken = (0..1_000).filter(|key| growing.add(window, *key, Timestamp(0), Timestamp(0), None));
        assert_eq!(taken.count(), Growing::<i32>::MAX_KEYS);
    }
}
