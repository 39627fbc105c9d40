//! Drawing: the state as it is, into whatever room there is.

mod evidence;
mod help;
mod main_screen;
mod running;
mod tables;
mod timeline;
mod tree;
mod tuples;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::app::{App, Connection};
use super::keys::{self, Action, Screen};
use super::theme::Theme;
use super::widgets;
use crate::accounting;

pub(super) use tables::len as table_len;

/// Below this width or height the main screen shows the pane in focus only.
const SMALL: (u16, u16) = (60, 12);

/// Draws everything.
pub fn draw(app: &mut App, theme: Theme, frame: &mut Frame<'_>) {
    let [header, body, status, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_header(app, theme, frame, header);
    match app.screen {
        Screen::Main => main_screen::draw(app, theme, frame, body),
        Screen::Why => running::why(app, theme, frame, body),
        Screen::Sensors => running::sensors(app, theme, frame, body),
        Screen::OutTuples | Screen::InTuples => tuples::draw(app, theme, frame, body),
        Screen::SourcePorts | Screen::DestinationIps | Screen::DestinationPorts | Screen::ServerPorts => {
            tables::draw(app, theme, frame, body);
        }
    }
    draw_status(app, theme, frame, status);
    draw_footer(app, theme, frame, footer);
    if app.help {
        help::draw(app, theme, frame);
    }
}

/// Name, source, and in which zone the times are.
fn draw_header(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let title = Line::from(vec![
        Span::styled(" lynceus ", theme.heading()),
        Span::raw(crate::human::printable(&app.source, 200)),
    ]);
    frame.render_widget(Paragraph::new(title), area);
    let zone = Line::styled(format!("times in {} ", app.clock.label()), theme.quiet());
    if usize::from(area.width) > zone.width() + app.source.width() + 12 {
        frame.render_widget(Paragraph::new(zone).alignment(Alignment::Right), area);
    }
}

/// Accounting law at the left, connection at the right; a lost connection takes precedence.
fn draw_status(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let connection = match &app.connection {
        Connection::Live if app.follow => Line::styled("following ", theme.good()),
        Connection::Live => Line::styled("live ", theme.good()),
        Connection::Finished => Line::styled("finished ", theme.quiet()),
        Connection::Lost(reason) => {
            let text = format!(
                " connection lost, trying again: {} ",
                crate::human::printable(reason, 200)
            );
            frame.render_widget(Paragraph::new(Line::styled(text, theme.alert())), area);
            return;
        }
    };
    let law = match &app.sensors {
        None => Line::styled(" waiting for the first data …", theme.quiet()),
        Some(sensors) => {
            let mut law = widgets::line(theme, &accounting::summary(sensors));
            law.spans.insert(0, Span::raw(" "));
            law
        }
    };
    let room = usize::from(area.width);
    let law_width = law.width();
    frame.render_widget(Paragraph::new(law), area);
    if law_width + connection.width() < room {
        frame.render_widget(Paragraph::new(connection).alignment(Alignment::Right), area);
    }
}

/// The filter being typed, else the keys that are worth a hint. "quit" and "help" are never left out for others.
fn draw_footer(app: &App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if app.editing_filter {
        let filter = app.filter().unwrap_or_default();
        let line = Line::from(vec![
            Span::styled(" / ", theme.key()),
            Span::raw(filter.to_owned()),
            Span::raw("▏"),
            Span::styled("  Enter keep  Esc clear", theme.quiet()),
        ]);
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    let hint = |binding: &keys::Binding| -> Option<[Span<'static>; 2]> {
        let key = binding.keys.first()?.name();
        Some([
            Span::styled(format!(" {key} "), theme.key()),
            Span::styled(format!("{} ", binding.hint?), theme.quiet()),
        ])
    };
    let essential = |binding: &&keys::Binding| matches!(binding.action, Action::Help | Action::Quit);
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    let mut add = |spans: &mut Vec<Span<'static>>, binding: &keys::Binding| {
        let Some(pair) = hint(binding) else { return };
        let width: usize = pair.iter().map(|span| span.content.width()).sum();
        if used + width <= usize::from(area.width) {
            used += width;
            spans.extend(pair);
        }
    };
    for binding in keys::of(app.screen).filter(essential) {
        add(&mut spans, binding);
    }
    let idle_back = app.screen == Screen::Main && app.filter().is_none_or(str::is_empty);
    let useful =
        |binding: &&keys::Binding| !(essential(binding) || binding.action == Action::Back && idle_back);
    for binding in keys::of(app.screen).filter(useful) {
        add(&mut spans, binding);
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

#[cfg(test)]
mod tests;
