//! Tallies of messages: looked at with each update, and kept for a while when their window is over.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_model::app::AppRecord;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::{CommunityId, Flow};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};

use super::Tally;
use crate::ProfileUpdate;
use crate::windows::Windows;

/// Tallies by window and key. Bounded: what finds no place is not said, what is forgotten begins again under the same
/// id with a lower revision, which changes nothing.
#[derive(Debug)]
pub(crate) struct Tallies<K, D = ()> {
    windows: Windows<Keys<K, D>>,
    /// Windows that are over.
    closed: BTreeSet<(Timestamp, WindowId)>,
    /// Keys of all windows, and how many there may be.
    keys: usize,
    room: usize,
    /// Messages for whose key there was no room, and windows that had to go.
    refused: u64,
}

#[derive(Debug)]
struct Keys<K, D> {
    by_key: BTreeMap<K, Tally<D>>,
    /// Something may be new since the last saying.
    touched: bool,
}

impl<K, D> Default for Keys<K, D> {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            touched: false,
        }
    }
}

impl<K: Ord, D: Default> Tallies<K, D> {
    /// Windows with such messages; beyond, the oldest goes.
    const MAX_WINDOWS: usize = 16_384;
    /// Windows that are kept when they are over: another sensor of the group may close later.
    const MAX_CLOSED: usize = 1_024;
    /// Keys of a window: more findings of one type in one window are no use to anybody.
    const MAX_KEYS: usize = 1_024;
    /// Keys of all windows: at 0.2 to 1.5 KB each some 20 to 100 MB, if everybody does it all the time.
    const MAX_ALL_KEYS: usize = 65_536;

    pub(crate) const fn new() -> Self {
        Self::with_room(Self::MAX_ALL_KEYS)
    }

    /// `keys` of all windows; fewer where the detail of each is large. Beyond, the oldest window goes.
    pub(crate) const fn with_room(keys: usize) -> Self {
        Self {
            windows: Windows::new(),
            refused: 0,
            closed: BTreeSet::new(),
            keys: 0,
            room: keys,
        }
    }

    /// Counts a message; `None` if there is no room for another key.
    pub(crate) fn note(&mut self, window: WindowId, key: K, record: &AppRecord) -> Option<&mut Tally<D>> {
        let tally = self.add(window, key, (record.time, record.time), record.community_id)?;
        tally.add_port(record.tuple.protocol, record.tuple.originator.port);
        Some(tally)
    }

    /// Counts a flow.
    pub(crate) fn add_flow(&mut self, window: WindowId, key: K, flow: &Flow) -> Option<&mut Tally<D>> {
        let tally = self.add(window, key, (flow.first, flow.last), Some(flow.community_id))?;
        tally.add_port(flow.tuple.protocol, flow.client_server().0.port);
        Some(tally)
    }

    pub(crate) fn add(
        &mut self,
        window: WindowId,
        key: K,
        (first, last): (Timestamp, Timestamp),
        flow: Option<CommunityId>,
    ) -> Option<&mut Tally<D>> {
        let known = self.windows.get(window);
        let is_first = known.is_none();
        if known.is_none_or(|keys| !keys.by_key.contains_key(&key)) {
            if known.is_some_and(|keys| keys.by_key.len() >= Self::MAX_KEYS) {
                self.refused += 1;
                return None;
            }
            if self.keys >= self.room || (is_first && self.windows.len() >= Self::MAX_WINDOWS) {
                self.drop_oldest();
            }
            self.keys += 1;
        }
        let keys = self.windows.of(window);
        keys.touched = true;
        let tally = keys.by_key.entry(key).or_default();
        tally.add(first, last, flow);
        Some(tally)
    }

    /// Shows what grew since it was said; `say` gives nothing where there is nothing to be said yet.
    pub(crate) fn say<I: IntoIterator<Item = Evidence>>(
        &mut self,
        window: WindowId,
        mut say: impl FnMut(&K, &Tally<D>) -> Option<I>,
    ) -> Vec<Evidence> {
        self.say_mut(window, |key, tally| {
            let said = say(key, tally)?;
            Some(said.into_iter().collect())
        })
    }

    /// As [`Tallies::say`], where what was said is part of the detail.
    pub(crate) fn say_mut(
        &mut self,
        window: WindowId,
        mut say: impl FnMut(&K, &mut Tally<D>) -> Option<Vec<Evidence>>,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        let Some(keys) = self.windows.get_mut(window).filter(|keys| keys.touched) else {
            return found;
        };
        // Where something is not to be said yet, it is looked at again.
        keys.touched = false;
        let grown = keys
            .by_key
            .iter_mut()
            .filter(|(_, tally)| tally.count > tally.said);
        for (key, tally) in grown {
            match say(key, tally) {
                Some(evidence) => {
                    found.extend(evidence);
                    tally.said = tally.count;
                }
                None => keys.touched = true,
            }
        }
        found
    }

    pub(crate) fn get(&self, window: WindowId, key: &K) -> Option<&Tally<D>> {
        self.windows.get(window)?.by_key.get(key)
    }

    /// What is known of a key, to be changed without counting.
    pub(crate) fn detail(&mut self, window: WindowId, key: &K) -> Option<&mut D> {
        let tally = self.windows.get_mut(window)?.by_key.get_mut(key)?;
        Some(&mut tally.detail)
    }

    /// Messages for whose key there was no room, and windows that had to go.
    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// The window is over for the sensor of the update: it may be forgotten when there are many such.
    pub(crate) fn close(&mut self, update: &ProfileUpdate<'_>) {
        let window = update.profile.window;
        if update.stage == Stage::Closed && self.windows.get(window).is_some() {
            self.closed.insert((window.start, window));
            if self.closed.len() > Self::MAX_CLOSED
                && let Some(oldest) = self.closed.pop_first()
            {
                self.forget(oldest.1);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(window) = self.windows.oldest() {
            self.closed.remove(&(window.start, window));
            self.refused += 1;
            self.forget(window);
        }
    }

    fn forget(&mut self, window: WindowId) {
        self.keys -= self.windows.remove(window).map_or(0, |keys| keys.by_key.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64) -> WindowId {
        WindowId {
            profile: std::net::IpAddr::from([10, 0, 0, 1]),
            start: Timestamp(start),
        }
    }

    #[test]
    fn room_is_bounded() {
        let mut tallies = Tallies::<u64>::with_room(3_000);
        let span = (Timestamp(0), Timestamp(1));
        for start in 0..9 {
            for key in 0..2_000 {
                let taken = tallies.add(window(start), key, span, None).is_some();
                assert_eq!(taken, key < 1_024, "a window has room for 1,024 keys");
            }
            assert!(tallies.keys <= 3_000);
            assert_eq!(
                tallies.keys,
                (0..9)
                    .filter_map(|start| tallies.windows.get(window(start)))
                    .map(|keys| keys.by_key.len())
                    .sum::<usize>()
            );
        }
        // The oldest went, the newest is whole.
        assert!(tallies.get(window(0), &0).is_none() && tallies.get(window(8), &1_023).is_some());
    }

    #[test]
    fn counts_and_says_what_grew() {
        let mut tallies = Tallies::<u8, u32>::new();
        for (key, time) in [(1, 5), (1, 3), (2, 4)] {
            tallies.add(window(0), key, (Timestamp(time), Timestamp(time)), None);
        }
        let mut said = Vec::new();
        let mut say = |tallies: &mut Tallies<u8, u32>| {
            tallies.say(window(0), |key, tally| {
                said.push((*key, tally.count, tally.first.0, tally.last.0));
                Some([])
            });
        };
        say(&mut tallies);
        tallies.add(window(0), 2, (Timestamp(9), Timestamp(9)), None);
        say(&mut tallies);
        assert_eq!(said, [(1, 2, 3, 5), (2, 1, 4, 4), (2, 2, 4, 9)]);
    }
}
