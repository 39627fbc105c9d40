//! The help overlay: the key table of the screen it was opened on, and what filters understand.

use lynceus_view::search::Field;
use ratatui::Frame;
use ratatui::text::{Line, Span};

use crate::text::pad;
use crate::tui::app::App;
use crate::tui::{keys, widgets};

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>) {
    let theme = app.theme;
    let rows: Vec<(String, &str)> = keys::of(app.screen)
        .map(|binding| (binding.names(), binding.help))
        .collect();
    let key_width = rows
        .iter()
        .map(|(keys, _)| keys.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let line = |keys: &str, help: &str| {
        Line::from(vec![
            Span::styled(pad(&format!(" {keys}"), key_width + 1), theme.key()),
            Span::raw(help.to_owned()),
        ])
    };
    let mut lines: Vec<Line<'_>> = rows.iter().map(|(keys, help)| line(keys, help)).collect();
    lines.push(Line::default());
    lines.push(Line::styled(
        " Filters: words joined by AND, -word negates, a,b is either, > < >= <=",
        theme.heading(),
    ));
    lines.extend(
        Field::NAMES
            .iter()
            .map(|(field, _, takes)| line(&format!("{field}:"), takes)),
    );
    lines.push(Line::default());
    lines.push(Line::styled(
        " Mouse: click selects, once more opens; wheel scrolls; headings sort",
        theme.quiet(),
    ));
    let width = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let size = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let title = format!("Keys: {}", app.screen.title());
    let inner = widgets::overlay(frame, theme, size(width), size(lines.len() + 2), &title);
    app.page = usize::from(inner.height);
    widgets::running_text(frame, inner, lines, &mut app.scroll);
}
