//! Aligned text tables for the terminal: headings, left and right columns, one style per cell.

use std::fmt::Write as _;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

/// Which end of a column the text stands at: words left, numbers right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A cell and how it looks. Widths are counted without the style.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    #[must_use]
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: text.into(),
            style,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            style: Style::new(),
        }
    }
}

/// Rows under headings, every column as wide as its widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
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

    /// The whole table, each line indented by `indent` blanks and ended by a line feed.
    #[must_use]
    pub fn render(&self, indent: usize) -> String {
        let widths = self.widths();
        let mut text = String::new();
        let heading = Style::new().bold();
        let headings = self.columns.iter().map(|(name, _)| Cell::styled(*name, heading));
        self.line(&mut text, indent, &widths, &headings.collect::<Vec<_>>());
        for row in &self.rows {
            self.line(&mut text, indent, &widths, row);
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| name.width()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        widths
    }

    fn line(&self, text: &mut String, indent: usize, widths: &[usize], cells: &[Cell]) {
        let mut line = " ".repeat(indent);
        for (index, ((_, align), width)) in self.columns.iter().zip(widths).enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let empty = Cell::default();
            let cell = cells.get(index).unwrap_or(&empty);
            let pad = " ".repeat(width.saturating_sub(cell.text.width()));
            let style = cell.style;
            // Writing into a String cannot fail.
            let _ = match align {
                Align::Left => write!(line, "{style}{}{style:#}{pad}", cell.text),
                Align::Right => write!(line, "{pad}{style}{}{style:#}", cell.text),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
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
        let plain = anstream::adapter::strip_str(&table.render(2)).to_string();
        assert_eq!(
            plain,
            "  profile        bytes  note\n  10.0.0.1        9 kB  größe\n  2001:db8::1  10.5 MB\n"
        );
    }
}
