//! The timeline pane: lines of entries and rows of alike attempts, unfolding, filter.

use std::collections::HashSet;

use super::cursor::Cursor;
use crate::timeline::{Entry, Item, Run, group};

/// A visible line: indices into the entries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Entry { entry: usize, in_run: bool },
    Note { entry: usize, note: usize },
    Run { run: Run, unfolded: bool },
}

#[derive(Debug, Default)]
pub(super) struct TimelinePane {
    entries: Vec<Entry>,
    lines: Vec<Line>,
    /// First entry of each row that is unfolded.
    unfolded: HashSet<usize>,
    /// Which entries pass the filter; `None`: there is none.
    passing: Option<Vec<bool>>,
    pub(super) cursor: Cursor,
}

impl TimelinePane {
    /// Shows another window: from its beginning, everything folded.
    pub(super) fn show(&mut self, entries: Vec<Entry>) {
        self.unfolded.clear();
        self.cursor = Cursor::default();
        self.refresh(entries);
    }

    /// New data of the same window.
    pub(super) fn refresh(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
        self.passing = None;
        self.lay_out();
    }

    /// Shows the entries that `passes` lets through, one by one; with `all` every one, rows of alike attempts folded.
    pub(super) fn arrange(&mut self, all: bool, passes: impl Fn(&Entry) -> bool) {
        self.passing = (!all).then(|| self.entries.iter().map(passes).collect());
        self.lay_out();
    }

    /// The cursor stands on a row of alike attempts.
    pub(super) fn on_run(&self) -> bool {
        matches!(self.lines.get(self.cursor.selected), Some(Line::Run { .. }))
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(super) fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Unfolds or folds the row under the cursor.
    pub(super) fn set_unfolded(&mut self, unfold: bool) {
        if let Some(first) = self.run_at_cursor() {
            if unfold {
                self.unfolded.insert(first);
            } else {
                self.unfolded.remove(&first);
            }
            self.lay_out();
            let position = self
                .lines
                .iter()
                .position(|line| matches!(line, Line::Run { run, .. } if run.first == first));
            self.cursor.selected = position.unwrap_or(self.cursor.selected);
        }
    }

    pub(super) fn toggle(&mut self) {
        if let Some(first) = self.run_at_cursor() {
            self.set_unfolded(!self.unfolded.contains(&first));
        }
    }

    /// The row that the cursor's line belongs to.
    fn run_at_cursor(&self) -> Option<usize> {
        let here = self.lines.get(self.cursor.selected)?;
        match here {
            Line::Run { run, .. } => Some(run.first),
            Line::Entry { in_run: true, .. } => {
                self.lines[..self.cursor.selected]
                    .iter()
                    .rev()
                    .find_map(|line| match line {
                        Line::Run { run, .. } => Some(run.first),
                        _ => None,
                    })
            }
            Line::Entry { .. } | Line::Note { .. } => None,
        }
    }

    fn lay_out(&mut self) {
        self.lines.clear();
        for item in group(&self.entries) {
            match item {
                Item::Entry(index) if self.matches(index) => {
                    self.lines.push(Line::Entry {
                        entry: index,
                        in_run: false,
                    });
                    let notes = self.entries[index].notes.len();
                    self.lines
                        .extend((0..notes).map(|note| Line::Note { entry: index, note }));
                }
                Item::Entry(_) => {}
                Item::Run(run) => self.push_run(run),
            }
        }
        self.cursor.selected = self.cursor.selected.min(self.lines.len().saturating_sub(1));
    }

    fn push_run(&mut self, run: Run) {
        let members = run.first..run.first + run.len;
        if self.passing.is_some() {
            // Who filters looks for single lines.
            let found: Vec<Line> = members
                .filter(|index| self.matches(*index))
                .map(|entry| Line::Entry { entry, in_run: false })
                .collect();
            self.lines.extend(found);
            return;
        }
        let unfolded = self.unfolded.contains(&run.first);
        self.lines.push(Line::Run { run, unfolded });
        if unfolded {
            self.lines
                .extend(members.map(|entry| Line::Entry { entry, in_run: true }));
        }
    }

    fn matches(&self, index: usize) -> bool {
        self.passing
            .as_ref()
            .is_none_or(|passing| passing.get(index).is_some_and(|passes| *passes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::tests::detail;

    #[test]
    fn rows_unfold_and_fold_under_the_cursor() {
        let mut pane = TimelinePane::default();
        pane.show(detail().entries);
        let folded = pane.lines().len();
        pane.cursor.selected = pane
            .lines()
            .iter()
            .position(|line| matches!(line, Line::Run { .. }))
            .unwrap();
        pane.toggle();
        assert!(pane.lines().len() > folded);
        pane.cursor.step(3, pane.lines().len());
        pane.set_unfolded(false);
        assert_eq!(pane.lines().len(), folded);
        assert!(matches!(pane.lines()[pane.cursor.selected], Line::Run { .. }));
    }

    #[test]
    fn the_filter_looks_into_rows_and_notes() {
        let mut pane = TimelinePane::default();
        pane.show(detail().entries);
        pane.arrange(false, |entry| entry.peer.to_string() == "10.1.0.17");
        assert_eq!(pane.lines().len(), 1);
        pane.arrange(false, |entry| !entry.notes.is_empty());
        assert!(pane.lines().iter().any(|line| matches!(line, Line::Note { .. })));
        pane.arrange(true, |_| false);
        assert!(pane.lines().len() > 5);
    }
}
