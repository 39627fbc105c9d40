//! The main screen: tree at the left, timeline above evidence at the right; in small terminals the pane in focus only.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

use super::{SMALL, evidence, timeline, tree};
use crate::tui::app::{App, Pane};
use crate::tui::theme::Theme;

pub(super) fn draw(app: &mut App, theme: Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.width < SMALL.0 || area.height < SMALL.1 {
        match app.pane {
            Pane::Tree => tree::draw(app, theme, frame, area),
            Pane::Timeline => timeline::draw(app, theme, frame, area),
            Pane::Evidence => evidence::draw(app, theme, frame, area),
        }
        return;
    }
    let tree_width = (area.width * 3 / 10).clamp(28, 46);
    let [left, right] = Layout::horizontal([Constraint::Length(tree_width), Constraint::Min(1)]).areas(area);
    let evidence_height = (area.height * 2 / 5).clamp(7, 24);
    let [upper, lower] =
        Layout::vertical([Constraint::Min(5), Constraint::Length(evidence_height)]).areas(right);
    tree::draw(app, theme, frame, left);
    timeline::draw(app, theme, frame, upper);
    evidence::draw(app, theme, frame, lower);
}
