//! Screens of running text: why an evidence or an alert is there, and where every packet went.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::accounting;
use crate::text::{self, Tone};
use crate::tui::app::App;
use crate::tui::theme::Theme;
use crate::tui::widgets;

pub(super) fn why(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    draw(app, theme, frame, area, reason);
}

pub(super) fn sensors(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    draw(app, theme, frame, area, |app, _| {
        app.sensors.as_ref().map_or_else(
            || vec![text::Line::toned(Tone::Quiet, "waiting for the first data …")],
            |sensors| accounting::report(sensors, &app.clock),
        )
    });
}

fn draw(
    app: &mut App,
    theme: Theme,
    frame: &mut Frame<'_>,
    area: Rect,
    content: impl Fn(&App, u16) -> Vec<text::Line>,
) {
    let title = Line::styled(format!(" {} ", app.screen.title()), theme.heading());
    let inner = widgets::pane(frame, area, theme, true, title);
    app.page = usize::from(inner.height);
    let lines = content(app, inner.width)
        .iter()
        .map(|line| widgets::line(theme, line))
        .collect();
    let mut scroll = app.scroll;
    widgets::running_text(frame, inner, lines, &mut scroll);
    if !app.help {
        app.scroll = scroll;
    }
}

/// The reason for the selected finding; long plain lines are wrapped.
pub(super) fn reason(app: &App, width: u16) -> Vec<text::Line> {
    let width = usize::from(width);
    let mut lines = Vec::new();
    for line in super::evidence::reason(app) {
        match line.0.as_slice() {
            [(Tone::Plain, sentence)] => {
                lines.extend(text::wrap(sentence, width, 0).into_iter().map(text::Line::from));
            }
            _ => lines.push(line),
        }
    }
    lines
}
