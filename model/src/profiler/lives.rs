//! The windows in memory, found by identity and in the order in which they close.

use std::collections::{BTreeMap, HashMap};

use super::live::Live;
use crate::seeded::Seeded;
use crate::time::Timestamp;
use crate::window::WindowId;

/// Windows by place (200 bytes each, and what they hold); the index holds their places.
#[derive(Debug, Default)]
pub(super) struct Lives {
    seed: Seeded,
    index: HashMap<WindowId, usize, Seeded>,
    places: Vec<Option<Live>>,
    free: Vec<usize>,
    /// Number of windows by begin: few different ones at any time.
    starts: BTreeMap<Timestamp, usize>,
}

impl Lives {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn place(&self, window: WindowId) -> Option<usize> {
        self.index.get(&window).copied()
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Live> {
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn get(&mut self, window: WindowId) -> Option<&mut Live> {
        let place = self.place(window)?;
        self.at(place)
    }

    /// Gives the place of the new window.
    pub(super) fn insert(&mut self, window: WindowId) -> usize {
        let live = Some(Live::new(window, self.seed));
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = live;
                place
            }
            None => {
                self.places.push(live);
                self.places.len() - 1
            }
        };
        self.index.insert(window, place);
        *self.starts.entry(window.start).or_default() += 1;
        place
    }

    pub(super) fn remove(&mut self, window: WindowId) {
        let Some(place) = self.index.remove(&window) else {
            return;
        };
        self.places[place] = None;
        self.free.push(place);
        if let Some(count) = self.starts.get_mut(&window.start) {
            *count -= 1;
            if *count == 0 {
                self.starts.remove(&window.start);
            }
        }
    }

    /// Begin of the window that began first.
    pub(super) fn first_start(&self) -> Option<Timestamp> {
        self.starts.keys().next().copied()
    }

    /// Windows for whose begin `wanted` holds: by begin, then by address.
    pub(super) fn all(&self, wanted: impl Fn(Timestamp) -> bool) -> Vec<WindowId> {
        let mut windows: Vec<WindowId> = self
            .places
            .iter()
            .flatten()
            .map(|live| live.window)
            .filter(|window| wanted(window.start))
            .collect();
        windows.sort_unstable_by_key(|window| (window.start, window.profile));
        windows
    }

    /// The `count` windows that were quiet for longest, in that order.
    pub(super) fn quietest(&self, count: usize) -> Vec<WindowId> {
        let mut windows: Vec<(u64, WindowId)> = self
            .places
            .iter()
            .flatten()
            .map(|live| (live.touched, live.window))
            .collect();
        if count < windows.len() {
            windows.select_nth_unstable(count);
            windows.truncate(count);
        }
        windows.sort_unstable();
        windows.into_iter().map(|(_, window)| window).collect()
    }
}
