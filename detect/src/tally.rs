//! Counting messages of one kind into one finding that grows, instead of a finding for each.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_model::app::AppRecord;
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};

use crate::ProfileUpdate;
use crate::report::evidence;

/// What one key of a window has come to.
#[derive(Debug)]
pub(crate) struct Tally<D> {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The first ones, at most [`Evidence::MAX_FLOWS`].
    pub flows: Vec<CommunityId>,
    pub detail: D,
    said: u64,
}

/// Tallies by window and key. Bounded: what finds no place is not said, what is forgotten begins again under the same
/// id with a lower revision, which changes nothing.
#[derive(Debug)]
pub(crate) struct Tallies<K, D = ()> {
    windows: BTreeMap<(Timestamp, WindowId), BTreeMap<K, Tally<D>>>,
    /// Windows that are over.
    closed: BTreeSet<(Timestamp, WindowId)>,
    /// Keys of all windows, and how many there may be.
    keys: usize,
    room: usize,
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
            windows: BTreeMap::new(),
            closed: BTreeSet::new(),
            keys: 0,
            room: keys,
        }
    }

    /// Counts a message; `None` if there is no room for another key.
    pub(crate) fn note(&mut self, window: WindowId, key: K, record: &AppRecord) -> Option<&mut Tally<D>> {
        self.add(window, key, (record.time, record.time), record.community_id)
    }

    pub(crate) fn add(
        &mut self,
        window: WindowId,
        key: K,
        (first, last): (Timestamp, Timestamp),
        flow: Option<CommunityId>,
    ) -> Option<&mut Tally<D>> {
        let place = (window.start, window);
        let known = self.windows.get(&place);
        if known.is_none_or(|keys| !keys.contains_key(&key)) {
            if known.is_some_and(|keys| keys.len() >= Self::MAX_KEYS) {
                return None;
            }
            if self.keys >= self.room || (known.is_none() && self.windows.len() >= Self::MAX_WINDOWS) {
                self.drop_oldest();
            }
            self.keys += 1;
        }
        let keys = self.windows.entry(place).or_default();
        let tally = keys.entry(key).or_insert_with(|| Tally {
            count: 0,
            first,
            last,
            flows: Vec::new(),
            detail: D::default(),
            said: 0,
        });
        tally.count += 1;
        tally.first = tally.first.min(first);
        tally.last = tally.last.max(last);
        if let Some(flow) = flow
            && tally.flows.len() < Evidence::MAX_FLOWS
            && !tally.flows.contains(&flow)
        {
            tally.flows.push(flow);
        }
        Some(tally)
    }

    /// Shows what grew since it was said; `say` gives nothing where there is nothing to be said yet.
    pub(crate) fn say<I: IntoIterator<Item = Evidence>>(
        &mut self,
        window: WindowId,
        mut say: impl FnMut(&K, &Tally<D>) -> Option<I>,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        if let Some(keys) = self.windows.get_mut(&(window.start, window)) {
            for (key, tally) in keys.iter_mut().filter(|(_, tally)| tally.count > tally.said) {
                if let Some(evidence) = say(key, tally) {
                    found.extend(evidence);
                    tally.said = tally.count;
                }
            }
        }
        found
    }

    /// As [`Tallies::say`], where what was said is part of the detail.
    pub(crate) fn say_mut(
        &mut self,
        window: WindowId,
        mut say: impl FnMut(&K, &mut Tally<D>) -> Vec<Evidence>,
    ) -> Vec<Evidence> {
        let mut found = Vec::new();
        if let Some(keys) = self.windows.get_mut(&(window.start, window)) {
            for (key, tally) in keys.iter_mut().filter(|(_, tally)| tally.count > tally.said) {
                found.extend(say(key, tally));
                tally.said = tally.count;
            }
        }
        found
    }

    pub(crate) fn get(&self, window: WindowId, key: &K) -> Option<&Tally<D>> {
        self.windows.get(&(window.start, window))?.get(key)
    }

    /// What is known of a key, to be changed without counting.
    pub(crate) fn detail(&mut self, window: WindowId, key: &K) -> Option<&mut D> {
        let tally = self.windows.get_mut(&(window.start, window))?.get_mut(key)?;
        Some(&mut tally.detail)
    }

    /// The window is over for the sensor of the update: it may be forgotten when there are many such.
    pub(crate) fn close(&mut self, update: &ProfileUpdate<'_>) {
        let window = update.profile.window;
        let place = (window.start, window);
        if update.stage == Stage::Closed && self.windows.contains_key(&place) {
            self.closed.insert(place);
            if self.closed.len() > Self::MAX_CLOSED
                && let Some(oldest) = self.closed.pop_first()
            {
                self.forget(oldest);
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(place) = self.windows.keys().next().copied() {
            self.closed.remove(&place);
            self.forget(place);
        }
    }

    fn forget(&mut self, place: (Timestamp, WindowId)) {
        self.keys -= self.windows.remove(&place).map_or(0, |keys| keys.len());
    }
}

/// An evidence about the update's profile that grows with the tally; its revision is the number of messages less one,
/// so that it does not depend on how deltas were cut.
pub(crate) fn grown<D>(
    update: &ProfileUpdate<'_>,
    kind: EvidenceType,
    key: &str,
    tally: &Tally<D>,
) -> Evidence {
    Evidence {
        first: tally.first,
        last: tally.last,
        flows: tally.flows.clone(),
        revision: u32::try_from(tally.count - 1).unwrap_or(u32::MAX),
        ..evidence(update, kind, key)
    }
}

/// For numbers of messages: not all of them travelled.
pub(crate) const fn at_least(update: &ProfileUpdate<'_>) -> &'static str {
    if update.profile.not_carried.apps > 0 {
        "at least "
    } else {
        ""
    }
}

/// Sizes at which a finding is said anew: `least`, and `factor` times as many again and again.
pub(crate) const fn is_step(count: u64, least: u64, factor: u64) -> bool {
    let mut step = if least == 0 { 1 } else { least };
    while step < count {
        step = step.saturating_mul(factor);
    }
    step == count
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
                tallies.windows.values().map(BTreeMap::len).sum::<usize>()
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

    #[test]
    fn steps() {
        let reached: Vec<u64> = (0..=100).filter(|count| is_step(*count, 10, 2)).collect();
        assert_eq!(reached, [10, 20, 40, 80]);
    }
}
