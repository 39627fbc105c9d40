//! What a detector remembers of each window.

use std::collections::{BTreeSet, HashMap};

use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

/// A value for each window, found by hash; the order of windows only decides which one goes when there are too many.
#[derive(Debug)]
pub(crate) struct Windows<T> {
    values: Option<HashMap<WindowId, T, Seeded>>,
    order: BTreeSet<(Timestamp, WindowId)>,
}

impl<T: Default> Windows<T> {
    pub(crate) const fn new() -> Self {
        Self {
            values: None,
            order: BTreeSet::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn get(&self, window: WindowId) -> Option<&T> {
        self.values.as_ref()?.get(&window)
    }

    pub(crate) fn get_mut(&mut self, window: WindowId) -> Option<&mut T> {
        // Most detectors have found nothing in any window.
        if self.order.is_empty() {
            return None;
        }
        self.values.as_mut()?.get_mut(&window)
    }

    /// What belongs to the window; made if there is nothing.
    pub(crate) fn of(&mut self, window: WindowId) -> &mut T {
        let order = &mut self.order;
        let values = self.values.get_or_insert_default();
        values.entry(window).or_insert_with(|| {
            order.insert((window.start, window));
            T::default()
        })
    }

    pub(crate) fn remove(&mut self, window: WindowId) -> Option<T> {
        if self.order.is_empty() {
            return None;
        }
        let value = self.values.as_mut()?.remove(&window)?;
        self.order.remove(&(window.start, window));
        Some(value)
    }

    /// The window that began first.
    pub(crate) fn oldest(&self) -> Option<WindowId> {
        self.order.first().map(|(_, window)| *window)
    }
}
