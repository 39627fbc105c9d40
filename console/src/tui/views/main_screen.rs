//! The main screen: tree at the left; address, timeline and evidence at the right; in small terminals the pane in focus
//! only.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::{SMALL, evidence, info, timeline, tree};
use crate::tui::app::{App, Pane};

/// From this height on the address has two lines.
const HIGH: u16 = 32;

pub(super) fn draw(app: &mut App, frame: &mut Frame<'_>, area: Rect) {
    if area.width < SMALL.0 || area.height < SMALL.1 {
        match app.pane {
            Pane::Tree => tree::draw(app, frame, area),
            Pane::Timeline => timeline::draw(app, frame, area),
            Pane::Evidence => evidence::draw(app, frame, area),
        }
        return;
    }
    let tree_width = (area.width * 3 / 10).clamp(27, 50);
    let [left, right] = Layout::horizontal([Constraint::Length(tree_width), Constraint::Min(1)]).areas(area);
    // Whoever has the focus gets the room where there is little.
    let evidence_height = match app.pane {
        Pane::Evidence => (area.height / 2).clamp(6, 24),
        _ => (area.height * 3 / 10).clamp(4, 24),
    };
    let info_height = match area.height {
        0..16 => 0,
        16..HIGH => 3,
        _ => 4,
    };
    let [top, upper, lower] = Layout::vertical([
        Constraint::Length(info_height),
        Constraint::Min(4),
        Constraint::Length(evidence_height),
    ])
    .areas(right);
    tree::draw(app, frame, left);
    if info_height > 0 {
        info::draw(app, frame, top);
    }
    timeline::draw(app, frame, upper);
    evidence::draw(app, frame, lower);
}
