//! A selected line in a list that is longer than its pane.

/// Selection and first visible line. Both stay inside the list whatever its length becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) selected: usize,
    pub(super) offset: usize,
}

impl Cursor {
    /// Moves by `lines`, not past either end.
    pub(super) fn step(&mut self, lines: isize, len: usize) {
        self.selected = self
            .selected
            .saturating_add_signed(lines)
            .min(len.saturating_sub(1));
    }

    pub(super) const fn last(&mut self, len: usize) {
        self.selected = len.saturating_sub(1);
    }

    /// Scrolls so that the selection is visible in `height` lines; returns the visible range.
    pub(super) fn visible(&mut self, len: usize, height: usize) -> std::ops::Range<usize> {
        self.selected = self.selected.min(len.saturating_sub(1));
        let lowest = (self.selected + 1).saturating_sub(height.max(1));
        self.offset = self
            .offset
            .clamp(lowest, self.selected)
            .min(len.saturating_sub(height));
        self.offset..(self.offset + height).min(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_selection_is_always_visible(
            steps in prop::collection::vec(-50isize..50, 0..40), len in 0usize..100, height in 0usize..30
        ) {
            let mut cursor = Cursor::default();
            for step in steps {
                cursor.step(step, len);
                let range = cursor.visible(len, height);
                prop_assert!(range.len() <= height && range.end <= len);
                prop_assert!(len == 0 || height == 0 || range.contains(&cursor.selected));
                prop_assert!(range.len() == height.min(len));
            }
        }
    }
}
