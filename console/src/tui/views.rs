//! Drawing: the state as it is, into whatever room there is.

mod evidence;
mod help;
mod info;
mod main_screen;
mod map;
mod running;
mod sheet;
mod timeline;
mod tree;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::app::{App, Area, Connection};
use super::keys::{self, Action, Screen};
use super::widgets;
use crate::accounting;
use crate::text::{Tone, fit};

pub(super) use running::text_of;

/// Below this width or height the main screen shows the pane in focus only.
const SMALL: (u16, u16) = (60, 12);

/// Draws everything.
pub fn draw(app: &mut App, frame: &mut Frame<'_>) {
    app.areas.clear();
    let [header, body, status, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_header(app, frame, header);
    match app.screen {
        Screen::Main => main_screen::draw(app, frame, body),
        Screen::Why | Screen::Sensors | Screen::Dossier | Screen::Dive | Screen::Block => {
            running::draw(app, frame, body);
        }
        Screen::Map if !app.sheets.is_empty() => map::draw(app, frame, body),
        _ => sheet::draw(app, frame, body),
    }
    draw_status(app, frame, status);
    draw_footer(app, frame, footer);
    if app.help {
        help::draw(app, frame);
    }
    app.characters.put(frame.buffer_mut());
}

/// Name, source, and in which zone the times are.
fn draw_header(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let title = Line::from(vec![
        Span::styled(" lynceus ", app.theme.heading()),
        Span::raw(crate::human::printable(&app.source, 200)),
    ]);
    frame.render_widget(Paragraph::new(title), area);
    let zone = Line::styled(format!("times in {} ", app.clock.label()), app.theme.quiet());
    if usize::from(area.width) > zone.width() + app.source.width() + 12 {
        frame.render_widget(Paragraph::new(zone).alignment(Alignment::Right), area);
    }
}

/// What was just done, else the accounting law, at the left; connection at the right. A lost connection takes
/// precedence.
fn draw_status(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let connection = match &app.connection {
        _ if app.paused => Line::styled("PAUSED, Space goes on ", theme.warning()),
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
    let left = match (&app.notice, &app.sensors) {
        (Some((tone, text)), _) => Line::styled(
            format!(" {}", crate::human::printable(text, 300)),
            theme.tone(*tone),
        ),
        (None, None) => Line::styled(" waiting for the first data …", theme.quiet()),
        (None, Some(sensors)) => {
            let mut law = widgets::line(theme, &accounting::summary(sensors));
            law.spans.insert(0, Span::raw(" "));
            law
        }
    };
    let room = usize::from(area.width);
    let left_width = left.width();
    frame.render_widget(Paragraph::new(left), area);
    if left_width + connection.width() < room {
        frame.render_widget(Paragraph::new(connection).alignment(Alignment::Right), area);
    }
}

/// The filter being typed, else the keys that are worth a hint. "quit" and "help" are never left out for others.
fn draw_footer(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut x = area.x;
    if app.typing.is_some() {
        let typed = app.filter();
        let (tone, after) = match &typed.fault {
            Some(fault) => (Tone::Bad, format!("  {fault}")),
            None if typed.text.is_empty() => (
                Tone::Quiet,
                "  ip: port: asn: country: name: type: level: time: is:  -not".to_owned(),
            ),
            None => (Tone::Quiet, String::new()),
        };
        let after = fit(
            &after,
            usize::from(area.width).saturating_sub(typed.text.width() + 28),
        );
        spans.extend([
            Span::styled(" / ", theme.key()),
            Span::raw(typed.text.clone()),
            Span::raw("▏"),
            Span::styled(after, theme.tone(tone)),
            Span::raw(" "),
        ]);
        let used: usize = spans.iter().map(Span::width).sum();
        x = x.saturating_add(u16::try_from(used).unwrap_or(u16::MAX));
    }
    let bindings: Vec<&keys::Binding> = if app.typing.is_some() {
        keys::of_typing().collect()
    } else {
        let essential = |binding: &&keys::Binding| matches!(binding.action, Action::Help | Action::Quit);
        let idle_back = app.screen == Screen::Main && app.filter().text.is_empty();
        let useful = |binding: &&keys::Binding| match binding.action {
            Action::Help | Action::Quit => false,
            Action::Back => !idle_back,
            // They do nothing where nothing changes any more.
            Action::Follow | Action::Pause => app.connection != Connection::Finished,
            _ => true,
        };
        keys::of(app.screen)
            .filter(essential)
            .chain(keys::of(app.screen).filter(useful))
            .collect()
    };
    for binding in bindings {
        let (Some(press), Some(hint)) = (binding.keys.first(), binding.hint) else {
            continue;
        };
        let pair = [
            Span::styled(format!(" {} ", press.name()), theme.key()),
            Span::styled(format!("{hint} "), theme.quiet()),
        ];
        let width: usize = pair.iter().map(Span::width).sum();
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        if x.saturating_add(width) > area.right() {
            continue;
        }
        app.areas
            .push(Area::Hint(Rect { x, width, ..area }, binding.action));
        x += width;
        spans.extend(pair);
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

#[cfg(test)]
mod tests;
