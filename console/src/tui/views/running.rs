//! Screens of running text: why an evidence or an alert is there, and where every packet went.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::accounting;
use crate::text::{self, Tone};
use crate::tui::app::App;
use crate::tui::theme::Theme;
use crate::tui::widgets;

/// Indent of wrapped lines: below the text behind the labels of an explanation.
const HANGING: usize = 14;

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

/// The reason for the selected finding, wrapped.
pub(super) fn reason(app: &App, width: u16) -> Vec<text::Line> {
    let width = usize::from(width);
    super::evidence::reason(app)
        .iter()
        .flat_map(|line| line.wrap(width, if line.0.len() > 1 { HANGING } else { 0 }))
        .collect()
}
