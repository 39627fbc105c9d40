//! Out and in tuples with their behavioral letters.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::human;
use crate::text::{fit, pad, pad_left};
use crate::tui::app::App;
use crate::tui::keys::Screen;
use crate::tui::theme::Theme;
use crate::tui::widgets;
use crate::view::TupleView;

pub(super) fn draw(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    let len = super::table_len(app, app.screen, 0);
    let mut title = vec![
        Span::styled(format!(" {} ", app.screen.title()), theme.heading()),
        Span::raw(format!("{} ", human::count(len as u64))),
    ];
    if let Some(detail) = &app.detail {
        title.push(Span::styled(
            format!("· {} {} ", detail.id.profile, human::window(detail.number)),
            theme.quiet(),
        ));
        if detail.tables.tuples_truncated {
            title.push(Span::styled("list truncated, totals exact ", theme.warning()));
        }
    }
    let inner = widgets::pane(frame, area, theme, true, Line::from(title));
    let [heading, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    app.page = usize::from(body.height);
    let range = app.table_cursors[0].visible(len, usize::from(body.height));
    let selected = app.table_cursors[0].selected;
    let columns = Columns::of(usize::from(inner.width));
    frame.render_widget(
        Paragraph::new(Line::styled(columns.heading(), theme.heading())),
        heading,
    );
    let Some(detail) = &app.detail else { return };
    let tuples = if app.screen == Screen::InTuples {
        &detail.tables.in_tuples
    } else {
        &detail.tables.out_tuples
    };
    let mut lines: Vec<Line<'_>> = tuples[range.clone()]
        .iter()
        .zip(range)
        .map(|(tuple, index)| {
            let line = columns.row(theme, tuple);
            if index == selected {
                line.patch_style(theme.selected(true))
            } else {
                line
            }
        })
        .collect();
    if tuples.is_empty() {
        lines.push(Line::styled("none", theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), body);
    widgets::scrollbar(frame, body, len, app.table_cursors[0].offset);
}

struct Columns {
    key: usize,
    name: usize,
    letters: usize,
}

/// Width of a number column with its gap.
const NUMBER: usize = 9;

impl Columns {
    fn of(width: usize) -> Self {
        let rest = width.saturating_sub(2 * NUMBER + 2);
        let key = (rest * 2 / 5).clamp(20.min(rest), 50);
        let name = if rest >= 90 { (rest / 4).min(40) } else { 0 };
        Self {
            key,
            name,
            letters: rest.saturating_sub(key + name),
        }
    }

    fn heading(&self) -> String {
        let name = if self.name > 0 {
            pad("name", self.name)
        } else {
            String::new()
        };
        format!(
            "{}{name}{}{}  {}",
            pad("tuple", self.key),
            pad_left("flows", NUMBER),
            pad_left("bytes", NUMBER),
            fit("behavioral letters", self.letters)
        )
    }

    fn row(&self, theme: Theme, tuple: &TupleView) -> Line<'static> {
        let name = tuple.name.as_deref().unwrap_or_default();
        Line::from(vec![
            Span::raw(pad(&tuple.key, self.key)),
            Span::styled(
                if self.name > 0 {
                    pad(name, self.name)
                } else {
                    String::new()
                },
                theme.quiet(),
            ),
            Span::raw(pad_left(&human::count(tuple.flows), NUMBER)),
            Span::raw(pad_left(&human::bytes(tuple.bytes), NUMBER)),
            Span::raw("  "),
            Span::styled(fit(&tuple.letters, self.letters), theme.key()),
        ])
    }
}
