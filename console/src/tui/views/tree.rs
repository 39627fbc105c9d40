//! The tree of profiles and windows. What an alert flagged is red and marked `!`; own addresses say "(me)".

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr as _;

use crate::human;
use crate::text::{fit, pad};
use crate::tui::app::{App, Area, List, Pane};
use crate::tui::theme::Theme;
use crate::tui::tree::Row;
use crate::tui::widgets;
use crate::view::{ProfileView, WindowView};

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let focused = app.pane == Pane::Tree;
    let inner = widgets::pane(frame, area, theme, focused, title(app, theme, area.width));
    let height = usize::from(inner.height);
    if focused {
        app.page = height;
    }
    let len = app.tree.rows().len();
    let range = app.tree.cursor.visible(len, height);
    app.areas
        .push(Area::List(inner, List::Pane(Pane::Tree), range.start));
    let selected = app.tree.cursor.selected;
    let width = usize::from(inner.width);
    let mut lines: Vec<Line<'_>> = Vec::with_capacity(height);
    for index in range {
        let line = match app.tree.rows()[index] {
            Row::Profile(profile) => profile_line(app, theme, &app.tree.profiles()[profile], width),
            Row::Window(profile, window) => {
                window_line(app, theme, &app.tree.profiles()[profile].windows[window], width)
            }
        };
        lines.push(if index == selected {
            line.patch_style(theme.selected(focused))
        } else {
            line
        });
    }
    if len == 0 {
        lines.push(Line::styled(empty_text(app), theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), inner);
    widgets::scrollbar(frame, inner, len, app.tree.cursor.offset);
}

fn title(app: &App, theme: Theme, width: u16) -> Line<'static> {
    let profiles = app.tree.profiles();
    let flagged = profiles.iter().filter(|profile| profile.flagged()).count();
    let mut title = vec![
        Span::styled(" Profiles ", theme.heading()),
        Span::raw(format!(
            "{}{} ",
            human::count(profiles.len() as u64),
            if app.more { "+" } else { "" }
        )),
    ];
    if flagged > 0 && app.filters[0].text.is_empty() {
        title.push(Span::styled(
            format!("· {} flagged ", human::count(flagged as u64)),
            theme.alert(),
        ));
    }
    let rest = match app.filters[0].text.as_str() {
        "" => Span::styled(format!("· {} ", app.tree.order().name()), theme.quiet()),
        filter => Span::styled(format!("· /{filter} "), theme.key()),
    };
    let line = Line::from(title);
    if line.width() + rest.width() + 2 <= usize::from(width) || !app.filters[0].text.is_empty() {
        return line + rest;
    }
    line
}

fn empty_text(app: &App) -> &'static str {
    match (&app.sensors, app.filters[0].text.is_empty()) {
        (None, _) => "waiting for data …",
        (Some(_), true) => "no profiles yet",
        (Some(_), false) => "no profile matches",
    }
}

fn profile_line(app: &App, theme: Theme, profile: &ProfileView, width: usize) -> Line<'static> {
    let fold = if app.tree.is_unfolded(profile.ip) {
        "▾ "
    } else {
        "▸ "
    };
    let me = if profile.me { " (me)" } else { "" };
    let name = app
        .names
        .get(&profile.ip)
        .map_or_else(String::new, |name| format!(" {name}"));
    let quiet = match profile.evidence() {
        found if found > 0 && name.is_empty() => {
            let found = human::short_count(found);
            vec![format!(" {found} evidence"), format!(" {found} ev.")]
        }
        _ => vec![name],
    };
    let right = measure(profile.flagged(), profile.threat(), profile.flows());
    let style = if profile.flagged() {
        theme.alert()
    } else {
        Default::default()
    };
    let address = format!("{}{me}", profile.ip);
    columns(theme, fold, &address, style, &quiet, right, width)
}

fn window_line(app: &App, theme: Theme, window: &WindowView, width: usize) -> Line<'static> {
    let flagged = window.alerts > 0;
    let style = if flagged {
        theme.alert()
    } else {
        Default::default()
    };
    let label = human::window(window.number);
    let when = [
        format!(" {}", app.clock.date_minute(window.start)),
        format!(" {}", app.clock.day_minute(window.start)),
        format!(" {}", app.clock.minute(window.start)),
    ];
    let right = measure(flagged, window.threat, window.flows);
    columns(theme, "    ", &label, style, &when, right, width)
}

/// Accumulated threat where there is any, else the number of flows.
fn measure(flagged: bool, threat: f64, flows: u64) -> (String, bool) {
    if threat > 0.0 {
        (format!("{}{threat:.1}", if flagged { "!" } else { "" }), flagged)
    } else {
        (
            format!(
                "{} {}",
                human::short_count(flows),
                if flows == 1 { "flow" } else { "flows" }
            ),
            false,
        )
    }
}

/// Left part, quiet part and right part on `width` columns; the quiet part gives way first: to its shorter forms, then it is
/// cut.
fn columns(
    theme: Theme,
    lead: &'static str,
    label: &str,
    style: ratatui::style::Style,
    quiet: &[String],
    (right, flagged): (String, bool),
    width: usize,
) -> Line<'static> {
    let right = format!(" {right}");
    let room = width.saturating_sub(lead.chars().count() + right.chars().count());
    let label = fit(label, room);
    let room = room.saturating_sub(label.width());
    let quiet = quiet
        .iter()
        .find(|form| form.width() <= room)
        .or_else(|| quiet.last())
        .map_or_else(String::new, |form| pad(form, room));
    let right_style = if flagged { theme.alert() } else { theme.quiet() };
    Line::from(vec![
        Span::styled(lead, theme.quiet()),
        Span::styled(label, style),
        Span::styled(quiet, theme.quiet()),
        Span::styled(right, right_style),
    ])
}
