//! Aligned tables: headings, left and right columns, every column as wide as its widest cell.

use unicode_width::UnicodeWidthStr;

use crate::text::{Line, Tone, fit, pad};

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

    /// The same where a line has room for it; where one has not, each row stands on lines of its own: the first `lead` cells
    /// aligned, below them the others, each after its heading.
    #[must_use]
    pub fn folded(&self, indent: usize, width: Option<usize>, lead: usize) -> Vec<Line> {
        let lines = self.lines(indent);
        let Some(width) = width.filter(|width| lines.iter().any(|line| line.plain().width() > *width)) else {
            return lines;
        };
        let mut folded = Vec::new();
        for row in &self.rows {
            let mut first = Line::toned(Tone::Plain, " ".repeat(indent));
            for (place, cell) in row.iter().take(lead).enumerate() {
                let column = row_width(&self.rows, place);
                let text = if place + 1 == lead {
                    cell.text.clone()
                } else {
                    pad(&cell.text, column) + "  "
                };
                first = first.and(cell.tone, text);
            }
            folded.extend(first.wrap(width, indent + 4));
            let mut rest = Line::toned(Tone::Plain, " ".repeat(indent + 4));
            let others = row.iter().zip(&self.columns).skip(lead);
            for (cell, (name, _)) in others.filter(|(cell, _)| !cell.text.is_empty()) {
                let gap = if rest.0.len() > 1 { " · " } else { "" };
                rest = rest
                    .and(Tone::Quiet, format!("{gap}{name} "))
                    .and(cell.tone, cell.text.as_str());
            }
            if rest.0.len() > 1 {
                folded.extend(rest.wrap(width, indent + 4));
            }
        }
        folded
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

/// Columns of the widest cell in this place.
fn row_width(rows: &[Vec<Cell>], place: usize) -> usize {
    let cells = rows.iter().filter_map(|row| row.get(place));
    cells.map(|cell| cell.text.width()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_room_is_folded() {
        let mut table = Table::new(vec![
            ("seen", Align::Left),
            ("value", Align::Right),
            ("usual", Align::Right),
        ]);
        table.row(vec![
            "ports without answer".into(),
            "1,000 ports".into(),
            "–".into(),
        ]);
        table.row(vec!["packets".into(), "10".into(), "".into()]);
        let text = |width| -> Vec<String> {
            let lines = table.folded(0, width, 1);
            lines.iter().map(Line::plain).collect()
        };
        assert_eq!(text(None), text(Some(40)));
        assert_eq!(text(Some(40))[0], "seen                        value  usual");
        assert_eq!(
            text(Some(39)),
            [
                "ports without answer",
                "    value 1,000 ports · usual –",
                "packets",
                "    value 10",
            ]
        );
        assert!(text(Some(20)).iter().all(|line| line.trim_end().width() <= 20));
    }

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
