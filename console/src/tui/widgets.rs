//! Small pieces that several views use.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Scrollbar, ScrollbarOrientation, ScrollbarState};

use super::theme::Theme;
use crate::text;

/// A bordered pane; returns the area inside.
pub(super) fn pane(frame: &mut Frame<'_>, area: Rect, theme: Theme, focused: bool, title: Line<'_>) -> Rect {
    let (style, kind) = theme.border(focused);
    let block = Block::bordered()
        .border_style(style)
        .border_type(kind)
        .title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// A shared line of text as the screen shows it.
pub(super) fn line(theme: Theme, line: &text::Line) -> Line<'static> {
    line.0
        .iter()
        .map(|(tone, text)| Span::styled(text.clone(), theme.tone(*tone)))
        .collect()
}

/// Running text that scrolls; keeps `scroll` inside the text.
pub(super) fn running_text(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>, scroll: &mut usize) {
    let height = usize::from(area.height);
    let len = lines.len();
    *scroll = (*scroll).min(len.saturating_sub(height));
    let visible: Vec<Line<'_>> = lines.into_iter().skip(*scroll).take(height).collect();
    frame.render_widget(Paragraph::new(visible), area);
    scrollbar(frame, area, len, *scroll);
}

/// Scrollbar in the right border of a pane whose inside is `area`; none where everything is visible.
pub(super) fn scrollbar(frame: &mut Frame<'_>, area: Rect, len: usize, offset: usize) {
    let height = usize::from(area.height);
    let border = Rect {
        x: area.right(),
        width: 1,
        ..area
    }
    .intersection(frame.area());
    if len <= height || border.is_empty() {
        return;
    }
    let bar = Scrollbar::new(ScrollbarOrientation::VerticalRight)
        .begin_symbol(None)
        .end_symbol(None);
    let mut state = ScrollbarState::new(len - height + 1)
        .viewport_content_length(height)
        .position(offset);
    frame.render_stateful_widget(bar, border, &mut state);
}

/// A centered box over everything else; returns its inside.
pub(super) fn overlay(frame: &mut Frame<'_>, theme: Theme, width: u16, height: u16, title: &str) -> Rect {
    let whole = frame.area();
    let width = width.min(whole.width);
    let height = height.min(whole.height);
    let area = Rect {
        x: whole.x + (whole.width - width) / 2,
        y: whole.y + (whole.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(ratatui::widgets::Clear, area);
    pane(
        frame,
        area,
        theme,
        true,
        Line::styled(format!(" {title} "), theme.heading()),
    )
}
