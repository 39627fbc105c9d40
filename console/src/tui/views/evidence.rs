//! Evidence and alerts of the selected window; where there is room, the reason for the selected one beside or below it.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::app::{App, Area, Finding, List, Pane};
use crate::tui::sheets::alert_text;
use crate::tui::theme::Theme;
use crate::tui::widgets;
use crate::view::WindowDetail;
use crate::{explain, human};

/// From this width on the reason stands beside the list.
const WIDE: u16 = 120;
/// Lines below the list from which on the reason stands there.
const HIGH: u16 = 4;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let focused = app.pane == Pane::Evidence;
    let inner = widgets::pane(frame, area, theme, focused, title(app, theme));
    if app.findings.is_empty() {
        let text = match app.shown() {
            Some(_) if !app.filters[2].text.is_empty() => "no line matches",
            Some(_) => "nothing suspicious in this window",
            None => "",
        };
        frame.render_widget(Paragraph::new(Line::styled(text, theme.quiet())), inner);
        return;
    }
    let (list, reason) = split(inner, app.findings.len());
    let height = usize::from(list.height);
    if focused {
        app.page = height;
    }
    let range = app.evidence_cursor.visible(app.findings.len(), height);
    app.areas
        .push(Area::List(list, List::Pane(Pane::Evidence), range.start));
    let selected = app.evidence_cursor.selected;
    let Some(detail) = &app.detail else { return };
    let lines: Vec<Line<'_>> = range
        .map(|index| {
            let line = finding_line(detail, theme, app.findings[index]);
            if index == selected && focused {
                line.patch_style(theme.selected(true))
            } else {
                line
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), list);
    if let Some(reason) = reason {
        let text = app.selected_finding().map_or_else(Vec::new, |pointed| {
            super::running::of_reason(app, &pointed, Some(reason.width))
        });
        let text = super::running::wrapped(&text, reason.width);
        let lines: Vec<Line<'_>> = text.iter().map(|line| widgets::line(theme, line)).collect();
        frame.render_widget(Paragraph::new(lines), reason);
    }
    widgets::scrollbar(frame, list, app.findings.len(), app.evidence_cursor.offset);
}

/// The reason stands beside the list in a wide pane, below it in a high one, else only on its own screen.
fn split(inner: Rect, findings: usize) -> (Rect, Option<Rect>) {
    if inner.width >= WIDE {
        let [list, _, reason] = Layout::horizontal([
            Constraint::Percentage(50),
            Constraint::Length(2),
            Constraint::Min(1),
        ])
        .areas(inner);
        return (list, Some(reason));
    }
    let rows = u16::try_from(findings).unwrap_or(u16::MAX).min(inner.height / 2);
    if inner.height.saturating_sub(rows) <= HIGH {
        return (inner, None);
    }
    let [list, _, reason] = Layout::vertical([
        Constraint::Length(rows),
        Constraint::Length(1),
        Constraint::Min(1),
    ])
    .areas(inner);
    (list, Some(reason))
}

fn title(app: &App, theme: Theme) -> Line<'static> {
    let mut title = vec![Span::styled(" Evidence ", theme.heading())];
    if let Some(detail) = app.shown() {
        title.push(Span::raw(format!(
            "{} ",
            human::count(detail.evidence.len() as u64)
        )));
        if !detail.alerts.is_empty() {
            let alerts = human::plural(detail.alerts.len() as u64, "alert", "alerts");
            title.push(Span::styled(format!("{alerts} "), theme.alert()));
        }
        if app.by_time {
            title.push(Span::styled("· by time ", theme.quiet()));
        }
        if !app.findings.is_empty() {
            title.push(Span::styled("· w why ", theme.quiet()));
        }
    }
    if !app.filters[2].text.is_empty() {
        title.push(Span::styled(format!("/{} ", app.filters[2].text), theme.key()));
    }
    Line::from(title)
}

fn finding_line(detail: &WindowDetail, theme: Theme, finding: Finding) -> Line<'static> {
    match finding {
        Finding::Alert(index) => detail.alerts.get(index).map(|alert| {
            Line::from(vec![
                Span::styled("ALERT    ", theme.alert()),
                Span::raw(alert_text(alert)),
            ])
        }),
        Finding::Evidence(index) => detail
            .evidence
            .get(index)
            .map(|evidence| widgets::line(theme, &explain::headline(evidence))),
    }
    .unwrap_or_default()
}
