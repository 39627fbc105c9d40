//! The strip above the timeline: what is known of the address under the cursor.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::human;
use crate::peers;
use crate::text::fit;
use crate::tui::app::{App, Area};
use crate::tui::widgets;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let ip = app.link();
    let mut title = vec![Span::styled(" IP ", theme.heading())];
    if let Some(ip) = ip {
        title.push(Span::raw(format!("{ip} ")));
        if app.names.get(&ip).is_some_and(|name| !name.is_empty()) {
            title.push(Span::styled(format!("{} ", app.names[&ip]), theme.key()));
        }
    }
    let inner = widgets::pane(frame, area, theme, false, Line::from(title));
    let Some(ip) = ip else { return };
    app.areas.push(Area::Link(inner, ip));
    let mut parts: Vec<Span<'static>> = vec![Span::raw(peers::category(ip))];
    let profile = app.tree.profile(ip);
    if profile.is_some_and(|profile| profile.me) {
        parts.push(Span::styled("own address of the sensor", theme.good()));
    }
    if let Some(peer) = app.peer(ip) {
        if let Some(why) = &peer.listed {
            parts.push(Span::styled(
                format!("! {}", human::printable(why, 80)),
                theme.alert(),
            ));
        }
        let known = [peer.place(), peer.network()];
        parts.extend(known.into_iter().filter(|text| !text.is_empty()).map(Span::raw));
    }
    if let Some(profile) = profile {
        let text = format!(
            "{}, {} in {}",
            human::plural(profile.flows(), "flow", "flows"),
            human::bytes(profile.bytes()),
            human::plural(profile.windows.len() as u64, "window", "windows")
        );
        parts.push(Span::styled(text, theme.quiet()));
    }
    if app.peer(ip).is_some_and(|peer| peer.listed.is_none()) {
        parts.push(Span::styled("no list names it", theme.quiet()));
    }
    let width = usize::from(inner.width);
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for part in parts {
        let last = lines.len() - 1;
        let used = lines[last].width();
        if used > 0 && used + 3 + part.width() > width && lines.len() < usize::from(inner.height) {
            lines.push(Line::from(part));
        } else {
            if used > 0 {
                lines[last].push_span(Span::styled(" · ", theme.quiet()));
            }
            lines[last].push_span(part);
        }
    }
    for line in &mut lines {
        cut(line, width);
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Cuts a line to `width` columns, with `…` where something was cut.
fn cut(line: &mut Line<'static>, width: usize) {
    let mut room = width;
    for span in &mut line.spans {
        let fitted = fit(&span.content, room);
        room = room.saturating_sub(span.width());
        span.content = fitted.into();
    }
}
