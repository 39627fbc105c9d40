//! A table on the screen: columns, rows, order, filter, cursor. What every list but the tree and the timeline is.

use std::cmp::Ordering;
use std::net::IpAddr;

use lynceus_model::time::Timestamp;
use lynceus_view::search::Search;

use super::cursor::Cursor;
use super::filter::{Known, Subject};
use crate::text::Tone;

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Exact(u16),
    /// At least this; what is left is shared by the weights.
    Share(u16, u16),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) width: Width,
    pub(super) right: bool,
    /// Where room is short, columns with the highest rank go first; 0 stays.
    pub(super) rank: u8,
}

impl Column {
    pub(super) const fn text(name: &'static str, min: u16, weight: u16, rank: u8) -> Self {
        Self {
            name,
            width: Width::Share(min, weight),
            right: false,
            rank,
        }
    }

    pub(super) const fn number(name: &'static str, width: u16, rank: u8) -> Self {
        Self {
            name,
            width: Width::Exact(width),
            right: true,
            rank,
        }
    }
}

/// What a cell sorts by and what is exported.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// As shown.
    Text,
    Count(u64),
    Real(f64),
    Time(Timestamp),
    /// Sorted by its number, exported as it is shown.
    Ranked(u64),
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) value: Value,
    pub(super) tone: Tone,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: Value::Text,
            tone: Tone::Plain,
        }
    }

    pub(super) const fn of(text: String, value: Value) -> Self {
        Self {
            text,
            value,
            tone: Tone::Plain,
        }
    }

    pub(super) const fn toned(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }
}

/// What stands behind a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    #[default]
    None,
    Ip(IpAddr),
    /// Lines of the timeline with this port.
    Port(u16),
    Alert(usize),
    Evidence(usize),
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) subject: Subject<'static>,
    pub(super) target: Target,
    /// For the bar and the weight on the map.
    pub(super) measure: u64,
}

#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) title: String,
    /// That something is missing.
    pub(super) note: &'static str,
    pub(super) columns: Vec<Column>,
    rows: Vec<Row>,
    /// Rows that pass the filter, in the order of the screen.
    order: Vec<usize>,
    /// Column, and whether the largest comes first. `None`: the order in which they came.
    sort: Option<(usize, bool)>,
    /// Column that the bar shows; `None`: no bar.
    pub(super) bar: Option<usize>,
    pub(super) cursor: Cursor,
}

impl Sheet {
    pub(super) const fn new(title: String, columns: Vec<Column>, rows: Vec<Row>) -> Self {
        Self {
            title,
            note: "",
            columns,
            rows,
            order: Vec::new(),
            sort: None,
            bar: None,
            cursor: Cursor {
                selected: 0,
                offset: 0,
            },
        }
    }

    /// Takes the place of `earlier`, which showed the same table before: order and cursor stay.
    pub(super) fn continues(&mut self, earlier: &Self) {
        self.sort = earlier.sort;
        self.cursor = earlier.cursor;
    }

    pub(super) fn arrange(&mut self, filter: &Search, known: Known<'_>) {
        let rows = &self.rows;
        let selected = self.order.get(self.cursor.selected).copied();
        self.order = (0..rows.len())
            .filter(|row| known.fits(filter, &rows[*row].subject))
            .collect();
        if let Some((column, descending)) = self.sort {
            // Stable: equal rows stay in the order in which they came.
            self.order.sort_by(|a, b| {
                let cells = (rows[*a].cells.get(column), rows[*b].cells.get(column));
                let order = match cells {
                    (Some(a), Some(b)) => compare(a, b),
                    _ => Ordering::Equal,
                };
                if descending { order.reverse() } else { order }
            });
        }
        if let Some(at) = selected.and_then(|row| self.order.iter().position(|own| *own == row)) {
            self.cursor.selected = at;
        }
        self.cursor.selected = self.cursor.selected.min(self.order.len().saturating_sub(1));
    }

    /// Sorts by `column`; the same once more turns the order round.
    pub(super) fn sort_by(&mut self, column: usize) {
        if column >= self.columns.len() {
            return;
        }
        self.sort = Some(match self.sort {
            Some((same, descending)) if same == column => (column, !descending),
            // Of numbers the largest, of words the first.
            _ => (column, self.columns[column].right),
        });
    }

    pub(super) fn sort_by_next(&mut self) {
        let next = self
            .sort
            .map_or(0, |(column, _)| (column + 1) % self.columns.len().max(1));
        self.sort = None;
        self.sort_by(next);
    }

    pub(super) fn reverse(&mut self) {
        self.sort_by(self.sort.map_or(0, |(column, _)| column));
    }

    pub(super) const fn sorted(&self) -> Option<(usize, bool)> {
        self.sort
    }

    /// Rows that are shown.
    pub(super) const fn len(&self) -> usize {
        self.order.len()
    }

    /// All, whatever the filter.
    pub(super) const fn total(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, place: usize) -> Option<&Row> {
        self.rows.get(*self.order.get(place)?)
    }

    pub(super) fn selected(&self) -> Option<&Row> {
        self.row(self.cursor.selected)
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = &Row> {
        self.order.iter().map(|row| &self.rows[*row])
    }

    /// Widths of the columns in `room`, 0 for those that are left out; what is left for a bar.
    pub(super) fn layout(&self, room: usize) -> (Vec<usize>, usize) {
        let min = |column: &Column| match column.width {
            Width::Exact(width) | Width::Share(width, _) => usize::from(width),
        };
        let mut shown: Vec<bool> = vec![true; self.columns.len()];
        let needed = |shown: &[bool]| -> usize {
            let columns = self.columns.iter().zip(shown).filter(|(_, shown)| **shown);
            columns
                .map(|(column, _)| min(column) + 1)
                .sum::<usize>()
                .saturating_sub(1)
        };
        while needed(&shown) > room {
            let least = self
                .columns
                .iter()
                .enumerate()
                .filter(|(index, column)| shown[*index] && column.rank > 0)
                .max_by_key(|(_, column)| column.rank);
            let Some((index, _)) = least else { break };
            shown[index] = false;
        }
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .zip(&shown)
            .map(|(column, shown)| if *shown { min(column) } else { 0 })
            .collect();
        let mut left = room.saturating_sub(needed(&shown));
        let bar = match self.bar {
            Some(_) if left >= 30 => {
                let bar = (left * 2 / 3).min(60);
                left -= bar;
                bar.saturating_sub(1)
            }
            _ => 0,
        };
        let weight = |index: usize| match self.columns[index].width {
            Width::Share(_, weight) if shown[index] => usize::from(weight),
            _ => 0,
        };
        let all: usize = (0..widths.len()).map(weight).sum();
        for (index, width) in widths.iter_mut().enumerate() {
            *width += (left * weight(index)).checked_div(all).unwrap_or(0);
        }
        (widths, bar)
    }
}

fn compare(a: &Cell, b: &Cell) -> Ordering {
    match (&a.value, &b.value) {
        (Value::Count(a) | Value::Ranked(a), Value::Count(b) | Value::Ranked(b)) => a.cmp(b),
        (Value::Real(a), Value::Real(b)) => a.total_cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        // Unknown stands below everything that is known.
        (Value::Text, Value::Text) => a.text.cmp(&b.text),
        (Value::Text, _) => Ordering::Less,
        (_, Value::Text) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
#[path = "sheet/tests.rs"]
mod tests;
