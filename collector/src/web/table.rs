//! A table as every page shows it: prepared cells, one template.

use askama::Template;

use super::svg;

/// What stands in one place.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Text(String),
    Quiet(String),
    /// Shown, and what it sorts by.
    Number(String, f64),
    Link {
        text: String,
        href: String,
    },
    /// A threat level, or another short verdict with a class of its own.
    Badge {
        text: String,
        class: String,
    },
    Code(String),
    /// Drawn here: already escaped.
    Drawing(String),
}

impl Cell {
    pub(super) fn count(value: u64) -> Self {
        Self::Number(lynceus_view::human::count(value), value as f64)
    }

    pub(super) fn bytes(value: u64) -> Self {
        Self::Number(lynceus_view::human::bytes(value), value as f64)
    }

    pub(super) fn level(level: lynceus_model::evidence::ThreatLevel) -> Self {
        Self::Badge {
            text: level.name().to_owned(),
            class: format!("level-{}", level.name()),
        }
    }

    pub(super) fn share(value: u64, largest: u64) -> Self {
        Self::Drawing(svg::share(value, largest))
    }

    pub(super) fn link(text: impl Into<String>, href: impl Into<String>) -> Self {
        Self::Link {
            text: text.into(),
            href: href.into(),
        }
    }

    /// By what a script sorts it.
    fn sort(&self) -> String {
        match self {
            Self::Number(_, value) => value.to_string(),
            _ => String::new(),
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Self::Number(..) => "number",
            Self::Drawing(_) => "drawing",
            Self::Badge { .. } => "badges",
            _ => "",
        }
    }
}

/// A heading and whether numbers stand below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) number: bool,
}

pub(super) const fn text(title: &'static str) -> Column {
    Column { title, number: false }
}

pub(super) const fn number(title: &'static str) -> Column {
    Column { title, number: true }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// Of the row: `alerted`, `selected`.
    pub(super) class: &'static str,
}

#[derive(Clone, Debug, Template)]
#[template(path = "table.html")]
pub(super) struct Table {
    /// For those who hear the page, and the heading in reports.
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
    /// Told where there is no row.
    pub(super) empty: &'static str,
    /// What the table leaves out.
    pub(super) note: String,
    /// Address of the next page.
    pub(super) next: Option<String>,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, columns: Vec<Column>, empty: &'static str) -> Self {
        Self {
            caption: caption.into(),
            columns,
            rows: Vec::new(),
            empty,
            note: String::new(),
            next: None,
        }
    }

    /// Cells with the headings above them, for screens so narrow that rows are no rows any more.
    fn labelled<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'static str, &'a Cell)> {
        self.columns.iter().map(|column| column.title).zip(&row.cells)
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row { cells, class: "" });
    }

    pub(super) fn row_of(&mut self, class: &'static str, cells: Vec<Cell>) {
        self.rows.push(Row { cells, class });
    }
}
