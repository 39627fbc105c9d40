//! Aligned tables: headings, left and right columns, every column as wide as its widest cell.

use unicode_width::UnicodeWidthStr;

use crate::text::{Line, Tone, fit};

/// Which end of a column the text stands at: words left, numbers right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A cell and what it means.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    #[must_use]
    pub fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Columns that the last one keeps in a narrow terminal.
    pub const MIN_LAST: usize = 24;

    #[must_use]
    pub const fn new(columns: Vec<(&'static str, Align)>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Missing cells stay empty, cells without a column are left out.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Headings and rows, each indented by `indent` blanks.
    #[must_use]
    pub fn lines(&self, indent: usize) -> Vec<Line> {
        self.lines_within(indent, None)
    }

    /// The same, with the last column cut so that a line has at most `width` columns, but at least
    /// [`Table::MIN_LAST`] for that column.
    #[must_use]
    pub fn lines_within(&self, indent: usize, width: Option<usize>) -> Vec<Line> {
        let headings: Vec<Cell> = self
            .columns
            .iter()
            .map(|(name, _)| Cell::toned(Tone::Heading, *name))
            .collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let fixed: usize = indent + widths.iter().rev().skip(1).map(|width| width + 2).sum::<usize>();
        if let (Some(last), Some(width)) = (widths.last_mut(), width) {
            *last = (*last).min(width.saturating_sub(fixed).max(Self::MIN_LAST));
        }
        std::iter::once(&headings)
            .chain(&self.rows)
            .map(|cells| self.line(indent, &widths, cells))
            .collect()
    }

    fn line(&self, indent: usize, widths: &[usize], cells: &[Cell]) -> Line {
        let mut line = Line::default();
        // Blanks are kept back until something follows them: no line ends in blanks.
        let mut blanks = indent;
        for (index, cell) in cells.iter().take(widths.len()).enumerate() {
            let text = fit(&cell.text, widths[index]);
            let missing = widths[index].saturating_sub(text.width());
            let (before, after) = match self.columns[index].1 {
                Align::Left => (0, missing),
                Align::Right => (missing, 0),
            };
            blanks += before;
            if !text.is_empty() {
                line.0.push((Tone::Plain, " ".repeat(blanks)));
                line.0.push((cell.tone, text));
                blanks = 0;
            }
            blanks += after + 2;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_display_width() {
        let mut table = Table::new(vec![
            ("profile", Align::Left),
            ("bytes", Align::Right),
            ("note", Align::Left),
        ]);
        table.row(vec!["10.0.0.1".into(), "9 kB".into(), "größe".into()]);
        table.row(vec!["2001:db8::1".into(), "10.5 MB".into()]);
        table.row(vec!["::".into(), "".into(), "x".into(), "no column".into()]);
        let lines: Vec<String> = table.lines(2).iter().map(Line::plain).collect();
        assert_eq!(
            lines,
            [
                "  profile        bytes  note",
                "  10.0.0.1        9 kB  größe",
                "  2001:db8::1  10.5 MB",
                "  ::                    x"
            ]
        );
    }
}
