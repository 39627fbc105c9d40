//! The timeline of the selected window: a line for each flow, its interpretation below it, rows of alike attempts as
//! one line that unfolds.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use unicode_width::UnicodeWidthStr;

use crate::human;
use crate::text::{fit, named, pad, pad_left};
use crate::timeline::{Direction, Entry, Run};
use crate::tui::app::{App, Area, List, Pane, ips_in};
use crate::tui::theme::Theme;
use crate::tui::timeline_pane::Line as PaneLine;
use crate::tui::widgets;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let theme = app.theme;
    let focused = app.pane == Pane::Timeline;
    let inner = widgets::pane(frame, area, theme, focused, title(app, theme, area.width));
    let height = usize::from(inner.height);
    if focused {
        app.page = height;
    }
    if app.shown().is_none() {
        let text = if app.wanted.is_some() {
            "loading …"
        } else {
            "nothing selected"
        };
        frame.render_widget(Paragraph::new(Line::styled(text, theme.quiet())), inner);
        return;
    }
    let len = app.timeline.lines().len();
    let range = app.timeline.cursor.visible(len, height);
    app.areas
        .push(Area::List(inner, List::Pane(Pane::Timeline), range.start));
    let selected = app.timeline.cursor.selected;
    let layout = Columns::of(usize::from(inner.width));
    let mut lines = Vec::with_capacity(height);
    for index in range {
        let line = match &app.timeline.lines()[index] {
            PaneLine::Entry { entry, in_run } => {
                entry_line(app, theme, app.timeline.entry(*entry), *in_run, &layout)
            }
            PaneLine::Note { entry, note } => note_line(
                theme,
                app.timeline.entry(*entry),
                *note,
                &layout,
                usize::from(inner.width),
            ),
            PaneLine::Run { run, unfolded } => run_line(app, theme, run, *unfolded, &layout),
        };
        let line = with_links(line, theme);
        link_areas(&mut app.areas, &line, inner, lines.len());
        let focus_here = index == selected && focused;
        lines.push(if focus_here {
            line.patch_style(theme.selected(true))
        } else {
            line
        });
    }
    if len == 0 {
        let text = if app.filters[1].text.is_empty() {
            "no flows of its own in this window"
        } else {
            "no line matches"
        };
        lines.push(Line::styled(text, theme.quiet()));
    }
    frame.render_widget(Paragraph::new(lines), inner);
    widgets::scrollbar(frame, inner, len, app.timeline.cursor.offset);
}

fn title(app: &App, theme: Theme, width: u16) -> Line<'static> {
    let mut title = vec![Span::styled(" Timeline ", theme.heading())];
    if let Some(detail) = app.shown() {
        title.push(Span::raw(format!(
            "{} {} ",
            detail.id.profile,
            human::window(detail.number)
        )));
        let span = if width < 64 {
            format!("{} ", app.clock.date_minute(detail.id.start))
        } else {
            format!("{} ", app.clock.span(detail.id.start, detail.end))
        };
        title.push(Span::styled(span, theme.quiet()));
        if detail.left_out > 0 {
            title.push(Span::styled(
                format!("{} flows more ", human::short_count(detail.left_out)),
                theme.warning(),
            ));
        }
    }
    if !app.filters[1].text.is_empty() {
        title.push(Span::styled(format!("/{} ", app.filters[1].text), theme.key()));
    }
    Line::from(title)
}

/// Widths of the columns; what does not fit is left out from the right of this list: duration, bytes, outcome.
struct Columns {
    time: usize,
    what: usize,
    target: usize,
    outcome: usize,
    bytes: usize,
    duration: usize,
    /// Room for the port of a service that has a name.
    ports: bool,
}

impl Columns {
    /// `↑9.99kB`
    const BYTES: usize = 7;

    fn of(width: usize) -> Self {
        let time = if width >= 90 { 12 } else { 8 };
        let what = match width {
            // Room for `65535/udp`, which stands there for services without a name.
            0..=69 => 9,
            70..=119 => 14,
            120..=139 => 24,
            // Room for `administratively prohibited`.
            _ => 28,
        };
        // These leave the target room for an IPv4 address and its port: `from 192.0.2.100 65535/udp` and more.
        let outcome = match width {
            0..=45 => 0,
            46..=95 => 11,
            96..=139 => 18,
            _ => 32,
        };
        let bytes = if width >= 82 { Self::BYTES } else { 0 };
        let duration = if width >= 110 { 12 } else { 0 };
        let fixed = time + what + outcome + 2 * bytes + duration;
        let gaps = 2 + usize::from(outcome > 0) + 2 * usize::from(bytes > 0) + usize::from(duration > 0);
        Self {
            time,
            what,
            target: width.saturating_sub(fixed + gaps),
            outcome,
            bytes,
            duration,
            ports: width >= 70,
        }
    }

    fn line(&self, theme: Theme, parts: Parts<'_>) -> Line<'static> {
        let Parts {
            time,
            what,
            target,
            outcome,
            warn,
            bytes,
            duration,
        } = parts;
        let mut spans = vec![
            Span::styled(pad(time, self.time), theme.quiet()),
            Span::raw(" "),
            Span::styled(pad(what, self.what), theme.heading()),
            Span::raw(" "),
            Span::raw(pad(target, self.target)),
        ];
        if self.outcome > 0 {
            let outcome = if outcome.len() > self.outcome {
                // The word before the comma says the most.
                outcome.split(',').next().unwrap_or(outcome)
            } else {
                outcome
            };
            let style = if warn { theme.warning() } else { theme.good() };
            spans.extend([Span::raw(" "), Span::styled(pad(outcome, self.outcome), style)]);
        }
        if self.bytes > 0 {
            let (sent, received) = bytes.map_or_else(
                || (String::new(), String::new()),
                |(sent, received)| {
                    (
                        format!("↑{}", short_bytes(sent)),
                        format!("↓{}", short_bytes(received)),
                    )
                },
            );
            spans.push(Span::raw(format!(
                " {} {}",
                pad_left(&sent, self.bytes),
                pad_left(&received, self.bytes)
            )));
        }
        if self.duration > 0 {
            spans.push(Span::styled(
                format!(" {}", pad_left(&duration, self.duration)),
                theme.quiet(),
            ));
        }
        Line::from(spans)
    }
}

struct Parts<'a> {
    time: &'a str,
    what: &'a str,
    target: &'a str,
    outcome: &'a str,
    warn: bool,
    /// Sent and received; ARP has none.
    bytes: Option<(u64, u64)>,
    duration: String,
}

fn short_bytes(bytes: u64) -> String {
    human::bytes(bytes).replace(' ', "")
}

fn time(app: &App, entry: &Entry, columns: &Columns) -> String {
    let mut time = app.clock.milliseconds(entry.time);
    time.truncate(columns.time);
    time
}

fn entry_line(app: &App, theme: Theme, entry: &Entry, in_run: bool, columns: &Columns) -> Line<'static> {
    let implied = entry.port == "arp" || !columns.ports;
    let what = if implied && entry.what.is_empty() {
        &entry.port
    } else {
        &entry.what
    };
    let port = if implied {
        String::new()
    } else {
        format!(" {}", entry.port)
    };
    // The port must stay readable: a long name gives way.
    let word = entry.direction.word();
    let whole = word.len() + 1 + entry.peer.to_string().len() + port.len();
    // An address says more than the indent below a row of attempts.
    let indent = if in_run && whole + 2 <= columns.target {
        "  "
    } else {
        ""
    };
    let lead = format!("{indent}{word} ");
    let room = columns.target.saturating_sub(lead.len() + port.len());
    let target = format!("{lead}{}{port}", peer(entry, room));
    let is_arp = entry.port == "arp";
    columns.line(
        theme,
        Parts {
            time: &time(app, entry, columns),
            what,
            target: &target,
            outcome: entry.outcome,
            warn: !entry.established && !is_arp,
            bytes: (!is_arp).then_some((entry.sent, entry.received)),
            duration: if is_arp {
                String::new()
            } else {
                human::duration(entry.duration)
            },
        },
    )
}

/// Name and address where both fit, else the name, which says more.
fn peer(entry: &Entry, room: usize) -> String {
    let both = named(entry.peer, entry.peer_name.as_deref());
    match &entry.peer_name {
        Some(name) if both.width() > room => fit(name, room),
        _ => fit(&both, room),
    }
}

fn note_line(theme: Theme, entry: &Entry, note: usize, columns: &Columns, width: usize) -> Line<'static> {
    let indent = columns.time + 1;
    let last = note + 1 == entry.notes.len();
    let branch = if last { "└ " } else { "├ " };
    let text = entry.notes.get(note).map_or("", String::as_str);
    Line::from(vec![
        Span::raw(" ".repeat(indent)),
        Span::styled(branch, theme.quiet()),
        Span::styled(fit(text, width.saturating_sub(indent + 2)), theme.quiet()),
    ])
}

/// Addresses in the line stand out: a click leads to what is known of them.
fn with_links(line: Line<'static>, theme: Theme) -> Line<'static> {
    let mut spans = Vec::with_capacity(line.spans.len());
    for span in line.spans {
        let mut rest = 0;
        for (range, _) in ips_in(&span.content) {
            spans.push(Span::styled(
                span.content[rest..range.start].to_owned(),
                span.style,
            ));
            spans.push(Span::styled(
                span.content[range.clone()].to_owned(),
                span.style.patch(theme.link()),
            ));
            rest = range.end;
        }
        spans.push(Span::styled(span.content[rest..].to_owned(), span.style));
    }
    Line::from(spans)
}

fn link_areas(areas: &mut Vec<Area>, line: &Line<'_>, pane: Rect, row: usize) {
    let Ok(row) = u16::try_from(row) else { return };
    let mut x = pane.x;
    for span in &line.spans {
        let width = u16::try_from(span.width()).unwrap_or(u16::MAX);
        if let Ok(ip) = span.content.parse() {
            let place = Rect {
                x,
                y: pane.y.saturating_add(row),
                width,
                height: 1,
            };
            areas.push(Area::Link(place.intersection(pane), ip));
        }
        x = x.saturating_add(width);
    }
}

fn run_line(app: &App, theme: Theme, run: &Run, unfolded: bool, columns: &Columns) -> Line<'static> {
    let first = app.timeline.entry(run.first);
    let last = app.timeline.entry(run.first + run.len - 1);
    let fold = if unfolded { "▾" } else { "▸" };
    let target = format!("{fold} {}", run.target(app.timeline.entries(), columns.ports));
    let is_arp = first.port == "arp";
    let what = if run.ports == 1 { &first.what } else { "many ports" };
    if target.width() > columns.target && columns.bytes == 0 {
        // What was tried says more than columns that line up.
        return Line::from(vec![
            Span::styled(pad(&time(app, first, columns), columns.time), theme.quiet()),
            Span::raw(" "),
            Span::styled(pad(what, columns.what), theme.heading()),
            Span::raw(format!(" {fold} {}, ", brief(run, first))),
            Span::styled(first.outcome, if is_arp { theme.good() } else { theme.warning() }),
        ]);
    }
    columns.line(
        theme,
        Parts {
            time: &time(app, first, columns),
            what,
            target: &target,
            outcome: first.outcome,
            warn: !is_arp,
            bytes: (!is_arp).then_some((run.sent, run.received)),
            duration: human::duration(last.time.since(first.time)),
        },
    )
}

/// `312 hosts, 500 flows`, `10.0.0.9, 998 ports`
fn brief(run: &Run, first: &Entry) -> String {
    let direction = if first.direction == Direction::From {
        "from "
    } else {
        ""
    };
    let peers = match run.peers {
        1 => first.peer.to_string(),
        more => format!("{} hosts", human::short_count(more as u64)),
    };
    let ports = match run.ports {
        1 => String::new(),
        more => format!(", {} ports", human::short_count(more as u64)),
    };
    let flows = match run.len {
        len if len == run.peers * run.ports => String::new(),
        len => format!(", {} flows", human::short_count(len as u64)),
    };
    format!("{direction}{peers}{ports}{flows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_ipv4_address_and_port_have_room_wherever_there_are_bytes() {
        let longest = "from 255.255.255.255 65535/udp".len();
        // Panes of screens of 80 columns and wider.
        for width in 52..300 {
            let columns = Columns::of(width);
            assert!(
                columns.target
                    >= if width < 70 {
                        longest - " 65535/udp".len()
                    } else {
                        longest
                    },
                "{width}: {}",
                columns.target
            );
        }
        assert_eq!(Columns::of(82).bytes, Columns::BYTES);
        assert!(Columns::of(148).what >= "administratively prohibited".len());
    }

    #[test]
    fn bytes_fit_their_column() {
        for bytes in [0, 999, 9_994, 99_960, 999_499, u64::MAX] {
            assert!(format!("↑{}", short_bytes(bytes)).width() <= Columns::BYTES);
        }
    }
}
