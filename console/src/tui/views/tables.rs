//! Kalipso's port and address screens: established above, not established below, largest first, with a bar that shows
//! the share on a logarithmic scale.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::human;
use crate::text::{pad, pad_left};
use crate::tui::app::App;
use crate::tui::keys::Screen;
use crate::tui::theme::Theme;
use crate::tui::widgets;
use crate::view::{Histogram, HistogramRow, Tables};

pub(super) fn draw(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let [upper, lower] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    draw_table(app, theme, frame, upper, 0);
    draw_table(app, theme, frame, lower, 1);
}

/// Rows of the upper (0) or lower (1) table of a screen.
pub(in crate::tui) fn len(app: &App, screen: Screen, slot: usize) -> usize {
    let Some(detail) = &app.detail else { return 0 };
    match screen {
        Screen::OutTuples => detail.tables.out_tuples.len(),
        Screen::InTuples => detail.tables.in_tuples.len(),
        _ => histogram(&detail.tables, screen).map_or(0, |histogram| rows(histogram, slot).len()),
    }
}

const fn histogram(tables: &Tables, screen: Screen) -> Option<&Histogram> {
    match screen {
        Screen::SourcePorts => Some(&tables.source_ports),
        Screen::DestinationIps => Some(&tables.destination_ips),
        Screen::DestinationPorts => Some(&tables.destination_ports),
        Screen::ServerPorts => Some(&tables.server_ports),
        Screen::Main | Screen::Why | Screen::Sensors | Screen::OutTuples | Screen::InTuples => None,
    }
}

fn rows(histogram: &Histogram, slot: usize) -> &[HistogramRow] {
    if slot == 0 {
        &histogram.established
    } else {
        &histogram.not_established
    }
}

fn draw_table(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect, slot: usize) {
    let focused = usize::from(app.lower) == slot;
    let len = len(app, app.screen, slot);
    let title = title(app, theme, slot, len);
    let inner = widgets::pane(frame, area, theme, focused, title);
    let [heading, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    let height = usize::from(body.height);
    if focused {
        app.page = height;
    }
    let range = app.table_cursors[slot].visible(len, height);
    let selected = app.table_cursors[slot].selected;
    let Some(histogram) = app
        .detail
        .as_ref()
        .and_then(|detail| histogram(&detail.tables, app.screen))
    else {
        return;
    };
    let rows = rows(histogram, slot);
    let largest = rows.iter().map(|row| row.bytes).max().unwrap_or(0);
    let columns = Columns::of(usize::from(inner.width));
    frame.render_widget(Paragraph::new(columns.heading(theme)), heading);
    let mut lines: Vec<Line<'_>> = rows[range.clone()]
        .iter()
        .zip(range)
        .map(|(row, index)| {
            let line = columns.row(theme, row, largest);
            if index == selected && focused {
                line.patch_style(theme.selected(true))
            } else {
                line
            }
        })
        .collect();
    if rows.is_empty() {
        lines.push(Line::styled("none", theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), body);
    widgets::scrollbar(frame, body, len, app.table_cursors[slot].offset);
}

fn title(app: &App, theme: Theme, slot: usize, len: usize) -> Line<'static> {
    let state = if slot == 0 {
        " Established "
    } else {
        " Not established "
    };
    let mut spans = vec![
        Span::styled(state, theme.heading()),
        Span::raw(format!("{} ", human::count(len as u64))),
    ];
    if let Some(detail) = &app.detail {
        let window = format!(
            "· {} · {} {} ",
            app.screen.title(),
            detail.id.profile,
            human::window(detail.number)
        );
        if slot == 0 {
            spans.push(Span::styled(window, theme.quiet()));
        }
        if histogram(&detail.tables, app.screen).is_some_and(|histogram| histogram.truncated) {
            spans.push(Span::styled("list truncated, totals exact ", theme.warning()));
        }
    }
    Line::from(spans)
}

/// Name of the row, then flows, packets, bytes, then the bar where there is room.
struct Columns {
    key: usize,
    bar: usize,
}

/// Width of a number column with its gap.
const NUMBER: usize = 10;

impl Columns {
    fn of(width: usize) -> Self {
        let rest = width.saturating_sub(3 * NUMBER + 1);
        let bar = if rest >= 50 { (rest / 2).min(60) } else { 0 };
        Self { key: rest - bar, bar }
    }

    fn heading(&self, theme: Theme) -> Line<'static> {
        let numbers: String = ["flows", "packets", "bytes"]
            .map(|name| pad_left(name, NUMBER))
            .concat();
        Line::styled(format!("{}{numbers}", pad("", self.key)), theme.heading())
    }

    fn row(&self, theme: Theme, row: &HistogramRow, largest: u64) -> Line<'static> {
        let numbers = [
            human::count(row.flows),
            human::count(row.packets),
            human::bytes(row.bytes),
        ]
        .map(|number| pad_left(&number, NUMBER))
        .concat();
        let mut spans = vec![
            Span::raw(pad(&row.key, self.key)),
            Span::raw(numbers),
            Span::raw(" "),
        ];
        if self.bar > 0 {
            let length = bar_length(row.bytes, largest, self.bar);
            spans.push(Span::styled("▪".repeat(length), theme.key()));
        }
        Line::from(spans)
    }
}

/// A row with a thousandth of the largest one's bytes still has half a bar.
fn bar_length(bytes: u64, largest: u64, width: usize) -> usize {
    if bytes == 0 || largest == 0 {
        return 0;
    }
    let share = (bytes as f64 + 1.0).ln() / (largest as f64 + 1.0).ln();
    ((share * width as f64).round() as usize).clamp(1, width)
}
