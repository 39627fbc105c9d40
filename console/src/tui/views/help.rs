//! The help overlay: the key table of the screen it was opened on, nothing else.

use ratatui::Frame;
use ratatui::text::{Line, Span};

use crate::text::pad;
use crate::tui::app::App;
use crate::tui::keys;
use crate::tui::theme::Theme;
use crate::tui::widgets;

pub(super) fn draw(app: &mut App, theme: Theme, frame: &mut Frame<'_>) {
    let rows: Vec<(String, &str)> = keys::of(app.screen)
        .map(|binding| (binding.names(), binding.help))
        .collect();
    let key_width = rows
        .iter()
        .map(|(keys, _)| keys.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let lines: Vec<Line<'_>> = rows
        .into_iter()
        .map(|(keys, help)| {
            Line::from(vec![
                Span::styled(pad(&format!(" {keys}"), key_width + 1), theme.key()),
                Span::raw(help),
            ])
        })
        .collect();
    let width = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let size = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let title = format!("Keys: {}", app.screen.title());
    let inner = widgets::overlay(frame, theme, size(width), size(lines.len() + 2), &title);
    app.page = usize::from(inner.height);
    widgets::running_text(frame, inner, lines, &mut app.scroll);
}
