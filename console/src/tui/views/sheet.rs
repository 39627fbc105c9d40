//! Tables: columns as far as there is room, a bar on a logarithmic scale, order and filter in the title.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::human;
use crate::text::{fit, pad, pad_left};
use crate::tui::app::{App, Area, List};
use crate::tui::keys::Screen;
use crate::tui::sheet::{Row, Sheet};
use crate::tui::theme::Theme;
use crate::tui::widgets;

/// Lines below a table of tuples for all letters of the selected one.
const LETTERS: u16 = 5;
/// From this height on they are shown.
const HIGH: u16 = 16;

/// The tables of the screen, below each other.
pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    match app.sheets.len() {
        0 => {
            let title = Line::styled(format!(" {} ", app.screen.title()), app.theme.heading());
            let inner = widgets::pane(frame, area, app.theme, true, title);
            let text = Line::styled("loading …", app.theme.quiet());
            frame.render_widget(Paragraph::new(text), inner);
        }
        1 if matches!(app.screen, Screen::OutTuples | Screen::InTuples) && area.height >= HIGH => {
            let [table, letters] =
                Layout::vertical([Constraint::Min(1), Constraint::Length(LETTERS)]).areas(area);
            draw_one(app, frame, table, 0);
            draw_letters(app, frame, letters);
        }
        1 => draw_one(app, frame, area, 0),
        _ => {
            let [upper, lower] = Layout::vertical(heights(app, area.height)).areas(area);
            draw_one(app, frame, upper, 0);
            draw_one(app, frame, lower, 1);
        }
    }
}

/// Two tables share the room; one that is short leaves the other what it does not need. Filters change nothing here, so
/// that nothing jumps while one is typed.
fn heights(app: &App, room: u16) -> [Constraint; 2] {
    // Borders, heading, and a line that says "none".
    let needed = |which: usize| app.sheets.get(which).map_or(0, |sheet| sheet.total().max(1) + 3);
    let fits = |which: usize| {
        let needed = u16::try_from(needed(which)).ok()?;
        (needed <= room / 2).then_some(needed)
    };
    match (fits(0), fits(1)) {
        (Some(upper), _) => [Constraint::Length(upper), Constraint::Min(0)],
        (None, Some(lower)) => [Constraint::Min(0), Constraint::Length(lower)],
        (None, None) => [Constraint::Fill(1), Constraint::Fill(1)],
    }
}

pub(super) fn draw_one(app: &mut App, frame: &mut Frame<'_>, area: Rect, which: usize) {
    let theme = app.theme;
    let focused = usize::from(app.lower) == which;
    let title = title(app, which);
    let inner = widgets::pane(frame, area, theme, focused, title);
    let [heading, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    let height = usize::from(body.height);
    if focused {
        app.page = height;
    }
    let filtered = !app.filters[3].text.is_empty();
    let Some(sheet) = app.sheets.get_mut(which) else {
        return;
    };
    let len = sheet.len();
    let range = sheet.cursor.visible(len, height);
    let (widths, bar) = sheet.layout(usize::from(inner.width));
    draw_heading(sheet, theme, frame, heading, &widths, bar, &mut app.areas, which);
    let measured = sheet.bar.unwrap_or(0);
    let measure = |row: &Row| measure(sheet, row, measured);
    let largest = sheet.shown().map(measure).max().unwrap_or(0);
    let selected = sheet.cursor.selected;
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(height);
    for index in range.clone() {
        let Some(row) = sheet.row(index) else { break };
        let mut line = cells(sheet, theme, row, &widths);
        if bar > 0 {
            let length = bar_length(measure(row), largest, bar);
            line.push_span(Span::styled(format!(" {}", "▪".repeat(length)), theme.key()));
        }
        lines.push(if index == selected && focused {
            line.patch_style(theme.selected(true))
        } else {
            line
        });
    }
    if len == 0 {
        let text = if filtered && sheet.total() > 0 {
            "no line matches"
        } else {
            "none"
        };
        lines.push(Line::styled(text, theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), body);
    app.areas.push(Area::List(body, List::Sheet(which), range.start));
    widgets::scrollbar(frame, body, len, range.start);
}

/// What the bar shows of a row: the column it is sorted by where that counts something, else bytes.
fn measure(sheet: &Sheet, row: &Row, default: usize) -> u64 {
    use crate::tui::sheet::Value;
    let of = |column: usize| match row.cells.get(column).map(|cell| &cell.value) {
        Some(Value::Count(value)) => Some(*value),
        _ => None,
    };
    sheet
        .sorted()
        .and_then(|(column, _)| of(column))
        .or_else(|| of(default))
        .unwrap_or(0)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call, and the parts of the state are borrowed apart"
)]
fn draw_heading(
    sheet: &Sheet,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
    widths: &[usize],
    bar: usize,
    areas: &mut Vec<Area>,
    which: usize,
) {
    let mut spans = Vec::new();
    let mut x = area.x;
    for (index, (column, width)) in sheet.columns.iter().zip(widths).enumerate() {
        if *width == 0 {
            continue;
        }
        let arrow = match sheet.sorted() {
            Some((sorted, true)) if sorted == index => "▼",
            Some((sorted, false)) if sorted == index => "▲",
            _ => "",
        };
        let name = format!(
            "{}{arrow}",
            fit(column.name, width.saturating_sub(arrow.chars().count()))
        );
        let text = if column.right {
            pad_left(&name, *width)
        } else {
            pad(&name, *width)
        };
        spans.push(Span::styled(text, theme.heading()));
        spans.push(Span::raw(" "));
        let columns = u16::try_from(*width).unwrap_or(u16::MAX);
        let place = Rect {
            x,
            width: columns,
            ..area
        };
        areas.push(Area::Heading(place.intersection(area), which, index));
        x = x.saturating_add(columns + 1);
    }
    if bar > 0 {
        spans.push(Span::styled(fit("logarithmic scale", bar), theme.quiet()));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

fn cells(sheet: &Sheet, theme: Theme, row: &Row, widths: &[usize]) -> Line<'static> {
    let mut line = Line::default();
    for ((column, cell), width) in sheet.columns.iter().zip(&row.cells).zip(widths) {
        if *width == 0 {
            continue;
        }
        if !line.spans.is_empty() {
            line.push_span(Span::raw(" "));
        }
        let text = if column.right {
            pad_left(&cell.text, *width)
        } else {
            pad(&cell.text, *width)
        };
        line.push_span(Span::styled(text, theme.tone(cell.tone)));
    }
    line
}

fn title(app: &App, which: usize) -> Line<'static> {
    let theme = app.theme;
    let Some(sheet) = app.sheets.get(which) else {
        return Line::default();
    };
    let number = if sheet.len() == sheet.total() {
        human::count(sheet.total() as u64)
    } else {
        format!(
            "{} of {}",
            human::count(sheet.len() as u64),
            human::count(sheet.total() as u64)
        )
    };
    let mut spans = vec![
        Span::styled(format!(" {} ", sheet.title), theme.heading()),
        Span::raw(format!("{number} ")),
    ];
    if which == 0 && !matches!(app.screen, Screen::Findings | Screen::Flows) {
        let about = app.shown().map_or_else(String::new, |detail| {
            format!(
                " · {} {}",
                detail.id.profile,
                app.clock.date_minute(detail.id.start)
            )
        });
        spans.push(Span::styled(
            format!("· {}{about} ", app.screen.title()),
            theme.quiet(),
        ));
    }
    let filter = &app.filters[3].text;
    if !filter.is_empty() {
        spans.push(Span::styled(format!("· /{filter} "), theme.key()));
    }
    if !sheet.note.is_empty() {
        spans.push(Span::styled(format!("· {} ", sheet.note), theme.warning()));
    }
    Line::from(spans)
}

/// All letters of the selected tuple, and what they mean.
fn draw_letters(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let title = Line::styled(" Behavioral letters ", theme.heading());
    let inner = widgets::pane(frame, area, theme, false, title);
    let Some(row) = app.sheets.first().and_then(|sheet| sheet.selected()) else {
        return;
    };
    let letters = row.cells.get(1).map_or("", |cell| cell.text.as_str());
    let width = usize::from(inner.width).max(1);
    let room = width * usize::from(inner.height.saturating_sub(1));
    // The newest say the most.
    let skipped = letters.chars().count().saturating_sub(room);
    let text: Vec<char> = letters.chars().skip(skipped).collect();
    let mut lines: Vec<Line<'_>> = text
        .chunks(width)
        .map(|chunk| Line::styled(chunk.iter().collect::<String>(), theme.heading()))
        .collect();
    lines.push(Line::styled(
        fit("1–9 too few yet · a–i strictly periodic · A–I nearly · r–z hardly · R–Z not · . ≤5 s  , ≤1 min  + ≤5 min  * ≤1 h  0 an hour", width),
        theme.quiet(),
    ));
    frame.render_widget(Paragraph::new(lines), inner);
}

/// A row with a thousandth of the largest one's bytes still has half a bar.
fn bar_length(value: u64, largest: u64, width: usize) -> usize {
    if value == 0 || largest == 0 {
        return 0;
    }
    let share = (value as f64 + 1.0).ln() / (largest as f64 + 1.0).ln();
    // The share is between 0 and 1, so the cast is in range.
    ((share * width as f64).round() as usize).clamp(1, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_logarithmic_and_never_vanish() {
        assert_eq!(bar_length(0, 1_000_000, 40), 0);
        assert_eq!(bar_length(1, 1_000_000, 40), 2);
        assert_eq!(bar_length(1_000, 1_000_000, 40), 20);
        assert_eq!(bar_length(1_000_000, 1_000_000, 40), 40);
    }
}
