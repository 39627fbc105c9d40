//! Rows as CSV, JSON Lines, or a table for people.

use clap::ValueEnum;
use lynceus_enrich::kyi::shape::{Known, Table, harmless};

use crate::text;

/// Columns that fit beside each other on a terminal; of more, each address gets a block of lines.
const BESIDE: usize = 10;
/// Fields of the canonical shape that a table shows: who, where, and what to worry about.
const SHOWN: [&str; 10] = [
    "ip",
    "country_code",
    "city",
    "asn",
    "as_name",
    "reverse_dns",
    "is_tor",
    "hosting_provider",
    "feeds",
    "ports",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Csv,
    /// One object a line; what is not known is absent
    Jsonl,
    /// For people
    Table,
}

pub(super) struct Sink {
    format: Format,
    table: Table,
    /// Places of the columns that a table for people shows.
    shown: Vec<usize>,
}

impl Sink {
    pub(super) fn new(format: Format, table: Table) -> Self {
        let all = table.header();
        let canonical = all.iter().any(|name| name == "country_code.sources");
        let shown = all
            .iter()
            .enumerate()
            .filter(|(_, name)| !canonical || SHOWN.contains(&name.as_str()));
        Self {
            format,
            shown: shown.map(|(place, _)| place).collect(),
            table,
        }
    }

    /// The first line, where the format has one.
    pub(super) fn header(&self) -> Vec<u8> {
        match self.format {
            Format::Csv => csv(&[self.table.header().to_vec()]),
            Format::Table if self.shown.len() <= BESIDE => {
                let names = self
                    .shown
                    .iter()
                    .map(|place| self.padded(*place, &self.table.header()[*place]));
                line(&names.collect::<Vec<_>>().join("  "))
            }
            Format::Jsonl | Format::Table => Vec::new(),
        }
    }

    /// The rows of one address.
    pub(super) fn rows(&self, known: &Known) -> Vec<u8> {
        match self.format {
            Format::Csv => {
                let mut rows = self.table.rows(known);
                for cell in rows.iter_mut().flatten() {
                    *cell = harmless(cell);
                }
                csv(&rows)
            }
            Format::Jsonl => {
                let objects = self.table.objects(known);
                objects
                    .iter()
                    .flat_map(|object| line(&serde_json::to_string(object).unwrap_or_default()))
                    .collect()
            }
            Format::Table => self
                .table
                .rows(known)
                .iter()
                .flat_map(|row| self.people(row))
                .collect(),
        }
    }

    fn people(&self, row: &[String]) -> Vec<u8> {
        let cell = |place: usize| plain(row.get(place).map_or("", String::as_str));
        if self.shown.len() <= BESIDE {
            let cells = self.shown.iter().map(|place| self.padded(*place, &cell(*place)));
            return line(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        let mut block = Vec::new();
        for place in &self.shown {
            let (name, value) = (&self.table.header()[*place], cell(*place));
            if name == "ip" {
                block.extend(line(&value));
            } else if !value.is_empty() {
                block.extend(line(&format!("  {name}: {value}")));
            }
        }
        block
    }

    /// Rows come one by one, so widths follow from names and not from values. An address is never cut.
    fn padded(&self, place: usize, value: &str) -> String {
        let name = &self.table.header()[place];
        let width = match name.as_str() {
            "ip" => return text::pad(value, value.chars().count().max(15)),
            "value" => return value.to_owned(),
            name => name
                .len()
                .clamp(8, 24)
                .max(if matches!(name, "as_name" | "reverse_dns") {
                    24
                } else {
                    12
                }),
        };
        text::pad(value, width)
    }
}

/// What strangers wrote must not steer a terminal.
fn plain(value: &str) -> String {
    value
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn line(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(b'\n');
    bytes
}

fn csv(rows: &[Vec<String>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        // Memory takes everything, and rows have the header's length.
        let _ = writer.write_record(row);
    }
    writer.into_inner().unwrap_or_default()
}
