//! Screens of running text: why an evidence or an alert is there, what is known of an address, a dive into a window, the
//! question before a block, and where every packet went.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::text::{self, Tone};
use crate::tui::app::{App, Area, Connection, List, Reason};
use crate::tui::keys::Screen;
use crate::tui::widgets;
use crate::{accounting, explain, human, outliers};

/// Indent of wrapped lines: below the text behind the labels of an explanation.
const HANGING: usize = 14;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    let title = match (app.screen, app.card_of) {
        (Screen::Dossier, Some(ip)) => format!(" {ip}: {} ", app.screen.title()),
        _ => format!(" {} ", app.screen.title()),
    };
    let title = Line::styled(title, app.theme.heading());
    let inner = widgets::pane(frame, area, app.theme, true, title);
    app.areas.push(Area::List(inner, List::Text, 0));
    app.page = usize::from(inner.height);
    let lines = wrapped(&text_of(app, Some(inner.width)), inner.width)
        .iter()
        .map(|line| widgets::line(app.theme, line))
        .collect();
    let mut scroll = app.scroll;
    widgets::running_text(frame, inner, lines, &mut scroll);
    if !app.help {
        app.scroll = scroll;
    }
}

pub(super) fn wrapped(lines: &[text::Line], width: u16) -> Vec<text::Line> {
    lines
        .iter()
        .flat_map(|line| line.wrap(usize::from(width), if line.0.len() > 1 { HANGING } else { 0 }))
        .collect()
}

/// The text of such a screen; also what is copied and exported, then of any width.
pub(in crate::tui) fn text_of(app: &App, width: Option<u16>) -> Vec<text::Line> {
    let waiting = |text: &str| vec![text::Line::toned(Tone::Quiet, text)];
    match app.screen {
        Screen::Sensors => app.sensors.as_ref().map_or_else(
            || waiting("waiting for the first data …"),
            |sensors| {
                let mut lines = accounting::report(sensors, &app.clock);
                lines.extend(app.refused.lines(
                    app.tree.profiles().len(),
                    app.more,
                    app.addresses_without_facts(),
                ));
                lines
            },
        ),
        Screen::Dossier => match &app.card {
            Some(card) => card.lines(width.map(usize::from)),
            None => waiting("loading …"),
        },
        Screen::Dive => match &app.dive {
            Some(Some(dive)) => outliers::text::dive(dive, &app.clock, width.map(usize::from)),
            Some(None) => {
                waiting("no account: a window has one once it is over, and the others of its time are")
            }
            None => waiting("loading …"),
        },
        Screen::Block => block(app),
        _ => app.reason.as_ref().map_or_else(
            || waiting("nothing selected"),
            |reason| of_reason(app, reason, width),
        ),
    }
}

pub(super) fn of_reason(app: &App, reason: &Reason, width: Option<u16>) -> Vec<text::Line> {
    let width = width.map(usize::from);
    match reason {
        Reason::Evidence(evidence) => explain::evidence(evidence, &app.clock, width),
        Reason::Alert(alert, known) => explain::alert(alert, known, &app.clock, width),
    }
}

fn block(app: &App) -> Vec<text::Line> {
    let Some(blocking) = &app.blocking else {
        return Vec::new();
    };
    let name = app
        .names
        .get(&blocking.ip)
        .map_or_else(String::new, |name| format!(" ({name})"));
    let mut lines = vec![
        text::Line::toned(Tone::Heading, format!("{}{name}", blocking.ip)),
        text::Line::toned(Tone::Quiet, "for           ").and(Tone::Plain, human::duration(blocking.time())),
        text::Line::toned(Tone::Quiet, "reason        ").and(Tone::Plain, blocking.reason.clone()),
        text::Line::default(),
        text::Line::from(
            "Enter asks the collector for a dry run: the sensors count packets from and to this address and drop none.",
        ),
        text::Line::from(
            "Y, after a dry run that was accepted, drops them until the time is over. lynceus unblock ends it.",
        ),
        text::Line::default(),
    ];
    lines.push(match (&blocking.outcome, blocking.waiting) {
        (_, true) => text::Line::toned(Tone::Quiet, "asking …"),
        (Some(Ok(text)), _) => text::Line::toned(Tone::Good, human::printable(text, 300)),
        (Some(Err(text)), _) => text::Line::toned(Tone::Bad, human::printable(text, 300)),
        (None, _) if app.connection == Connection::Finished => text::Line::toned(
            Tone::Warning,
            "This is a finished analysis: no sensor is there that could block.",
        ),
        (None, _) => text::Line::default(),
    });
    if blocking.tried {
        lines.push(text::Line::toned(Tone::Warning, "Y drops packets now."));
    }
    lines
}
