//! What leaves the screen: to the clipboard, or as a file with what is shown.

use serde_json::{Map, Value as Json};

use super::{App, Effect, Pane, Screen};
use crate::text::Tone;
use crate::tui::sheet::{Cell, Column, Row, Sheet, Target, Value};
use crate::tui::sheets;
use crate::tui::tree::Row as TreeRow;

impl App {
    /// The address under the cursor, else the line.
    pub(super) fn copy(&mut self) {
        let line = match self.screen {
            Screen::Why | Screen::Dossier | Screen::Dive => Some(self.plain_text()),
            _ => self.link().map(|ip| ip.to_string()),
        };
        match line {
            Some(text) => {
                let short = crate::text::fit(text.lines().next().unwrap_or_default(), 40);
                self.tell(Tone::Good, format!("copied: {short}"));
                self.effects.push(Effect::Copy(text));
            }
            None => self.tell(Tone::Quiet, "nothing to copy here"),
        }
    }

    /// What is shown, as a table: filter and order count.
    pub(super) fn export(&mut self, json: bool) {
        let (name, sheet) = match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => ("profiles", self.tree_sheet()),
            (Screen::Main, Pane::Timeline) => ("timeline", self.timeline_sheet()),
            (Screen::Main, Pane::Evidence) => ("evidence", self.evidence_sheet()),
            (Screen::Why, _) => ("why", self.text_sheet()),
            (Screen::Dossier, _) => ("address", self.text_sheet()),
            (Screen::Dive, _) => ("outlier", self.text_sheet()),
            (screen, _) => {
                let name = file_name(screen);
                let content: Vec<String> = self.sheets.iter().map(|sheet| write(sheet, json)).collect();
                return self.write_out(name, json, join(content, json));
            }
        };
        let content = write(&sheet, json);
        self.write_out(name, json, content);
    }

    fn write_out(&mut self, name: &str, json: bool, content: String) {
        let about = match self.screen {
            Screen::Main if self.pane == Pane::Tree => String::new(),
            Screen::Dossier => self.card_of.map_or_else(String::new, |ip| format!("-{ip}")),
            _ => self.profile().map_or_else(String::new, |ip| format!("-{ip}")),
        };
        self.effects.push(Effect::Export {
            name: format!("lynceus-{name}{}", about.replace(':', "_")),
            ending: if json { "json" } else { "csv" },
            content,
        });
    }

    fn tree_sheet(&self) -> Sheet {
        let columns = [
            "ip",
            "window_start",
            "window",
            "flows",
            "packets",
            "bytes",
            "evidence",
            "alerts",
            "threat",
            "me",
            "name",
        ];
        let profiles = self.tree.profiles();
        let rows = self.tree.rows().iter().map(|row| {
            let (profile, window) = match *row {
                TreeRow::Profile(profile) => (&profiles[profile], None),
                TreeRow::Window(profile, window) => {
                    let profile = &profiles[profile];
                    (profile, profile.windows.get(window))
                }
            };
            let sum = |of: fn(&crate::view::WindowView) -> u64| -> u64 {
                window.map_or_else(|| profile.windows.iter().map(of).sum(), of)
            };
            let number = |value: u64| Cell::of(value.to_string(), Value::Count(value));
            let start = window.map(|window| window.start);
            plain_row(vec![
                Cell::text(profile.ip.to_string()),
                start.map_or_else(
                    || Cell::text(""),
                    |start| Cell::of(self.clock.date_time(start), Value::Time(start)),
                ),
                Cell::text(window.map_or_else(String::new, |window| window.number.to_string())),
                number(sum(|window| window.flows)),
                number(sum(|window| window.packets)),
                number(sum(|window| window.bytes)),
                number(sum(|window| window.evidence)),
                number(sum(|window| window.alerts)),
                {
                    let threat = window.map_or_else(|| profile.threat(), |window| window.threat);
                    Cell::of(format!("{threat:.3}"), Value::Real(threat))
                },
                Cell::text(if profile.me { "yes" } else { "" }),
                Cell::text(self.names.get(&profile.ip).cloned().unwrap_or_default()),
            ])
        });
        arranged(columns.to_vec(), rows.collect())
    }

    fn timeline_sheet(&self) -> Sheet {
        let mut entries: Vec<_> = Vec::new();
        for line in self.timeline.lines() {
            match line {
                crate::tui::timeline_pane::Line::Entry { entry, .. } => entries.push(*entry),
                crate::tui::timeline_pane::Line::Run { run, .. } => {
                    entries.extend(run.first..run.first + run.len)
                }
                crate::tui::timeline_pane::Line::Note { .. } => {}
            }
        }
        // An unfolded row stands there itself and line by line.
        entries.sort_unstable();
        entries.dedup();
        let list = crate::desk::FlowList {
            profile: self
                .profile()
                .unwrap_or_else(|| std::net::Ipv4Addr::UNSPECIFIED.into()),
            asked: entries.len(),
            entries: entries
                .into_iter()
                .map(|entry| self.timeline.entry(entry).clone())
                .collect(),
            peers: self.peers.clone(),
        };
        let mut sheet = sheets::flows(&list, &self.clock);
        sheet.arrange(&Default::default(), self.known());
        sheet
    }

    fn evidence_sheet(&self) -> Sheet {
        let Some(detail) = self.shown() else {
            return arranged(Vec::new(), Vec::new());
        };
        let all = crate::desk::Findings {
            profile: detail.id.profile,
            evidence: detail.evidence.clone(),
            alerts: detail.alerts.clone(),
            more: false,
            peers: crate::peers::Peers::default(),
        };
        let mut sheet = sheets::findings(&all, &self.clock);
        sheet.arrange(&self.filters[super::Slot::Evidence as usize].filter, self.known());
        sheet
    }

    fn text_sheet(&self) -> Sheet {
        let text = self.plain_text();
        arranged(
            vec!["text"],
            text.lines()
                .map(|line| plain_row(vec![Cell::text(line)]))
                .collect(),
        )
    }

    fn plain_text(&self) -> String {
        let lines = crate::tui::views::text_of(self, None);
        lines
            .iter()
            .map(|line| line.plain().trim_end().to_owned() + "\n")
            .collect()
    }
}

const fn file_name(screen: Screen) -> &'static str {
    match screen {
        Screen::SourcePorts => "source-ports",
        Screen::ServerPorts => "server-ports",
        Screen::DestinationIps => "destination-ips",
        Screen::DestinationPorts => "destination-ports",
        Screen::PortsAndIps => "ports-and-ips",
        Screen::OutTuples => "out-tuples",
        Screen::InTuples => "in-tuples",
        Screen::Map => "countries",
        Screen::Findings => "all-evidence",
        Screen::Flows => "flows",
        _ => "screen",
    }
}

fn plain_row(cells: Vec<Cell>) -> Row {
    Row {
        cells,
        subject: crate::tui::filter::Subject::default(),
        target: Target::None,
        measure: 0,
    }
}

fn arranged(columns: Vec<&'static str>, rows: Vec<Row>) -> Sheet {
    let columns = columns
        .into_iter()
        .map(|name| Column::text(name, 1, 1, 0))
        .collect();
    let mut sheet = Sheet::new(String::new(), columns, rows);
    let known = crate::tui::filter::Known {
        peers: &crate::peers::Peers::default(),
        names: &std::collections::HashMap::new(),
        clock: &crate::human::Clock::utc(),
    };
    sheet.arrange(&Default::default(), known);
    sheet
}

/// Several tables in one file: of CSV below each other, of JSON in a list.
fn join(tables: Vec<String>, json: bool) -> String {
    match (tables.len(), json) {
        (1, _) | (_, false) => tables.join("\n"),
        _ => format!("[{}]\n", tables.join(",").replace("}\n", "}")),
    }
}

/// The rows that are shown, in their order.
fn write(sheet: &Sheet, json: bool) -> String {
    if json {
        let rows: Vec<Json> = sheet
            .shown()
            .map(|row| Json::Object(object(sheet, row)))
            .collect();
        let mut table = Map::new();
        table.insert("table".to_owned(), sheet.title.clone().into());
        table.insert("rows".to_owned(), Json::Array(rows));
        return format!("{}\n", Json::Object(table));
    }
    let mut text = String::new();
    let heading = sheet.columns.iter().map(|column| quoted(column.name));
    let lead = (!sheet.title.is_empty()).then(|| "table".to_owned());
    line(&mut text, lead.into_iter().chain(heading));
    for row in sheet.shown() {
        let lead = (!sheet.title.is_empty()).then(|| quoted(&sheet.title));
        let cells = row.cells.iter().map(|cell| match cell.value {
            Value::Count(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Time(_) | Value::Text | Value::Ranked(_) => quoted(&cell.text),
        });
        line(&mut text, lead.into_iter().chain(cells));
    }
    text
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    text.push_str(&cells.collect::<Vec<_>>().join(","));
    text.push('\n');
}

fn object(sheet: &Sheet, row: &Row) -> Map<String, Json> {
    let value = |cell: &Cell| match cell.value {
        Value::Count(value) => value.into(),
        Value::Real(value) => value.into(),
        // Nothing known is null, never an empty word.
        _ if cell.text.is_empty() => Json::Null,
        _ => cell.text.clone().into(),
    };
    let name = |column: &Column| column.name.replace(' ', "_");
    sheet
        .columns
        .iter()
        .zip(&row.cells)
        .map(|(column, cell)| (name(column), value(cell)))
        .collect()
}

/// RFC 4180. What a spreadsheet would take for a formula gets a mark before it: names come from the network.
fn quoted(text: &str) -> String {
    let marked = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if marked.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", marked.replace('"', "\"\""))
    } else {
        marked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_csv_file_are_only_text() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("+1", "'+1"),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
