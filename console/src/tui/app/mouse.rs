//! The mouse: a click selects, a click on what is selected opens, the wheel scrolls, headings sort, hints act.

use std::net::IpAddr;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use super::{App, Pane, Screen};
use crate::tui::keys::Action;

/// Lines that one step of the wheel scrolls.
const WHEEL: isize = 3;

/// A list with a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum List {
    Pane(Pane),
    /// Upper (0) or lower (1) table.
    Sheet(usize),
    /// Running text.
    Text,
}

/// What stands at a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::tui) enum Area {
    /// Its rows begin with the first visible one.
    List(Rect, List, usize),
    Heading(Rect, usize, usize),
    Hint(Rect, Action),
    Link(Rect, IpAddr),
}

impl Area {
    const fn rect(&self) -> Rect {
        match self {
            Self::List(rect, ..) | Self::Heading(rect, ..) | Self::Hint(rect, _) | Self::Link(rect, _) => {
                *rect
            }
        }
    }
}

impl App {
    pub(super) fn mouse(&mut self, event: MouseEvent) {
        let at = Position::new(event.column, event.row);
        // What was drawn last lies on top.
        let hit = |area: &&Area| area.rect().contains(at);
        let list = self
            .areas
            .iter()
            .rev()
            .filter(hit)
            .find(|area| matches!(area, Area::List(..)))
            .copied();
        match event.kind {
            MouseEventKind::ScrollUp | MouseEventKind::ScrollDown => {
                let step = if event.kind == MouseEventKind::ScrollUp {
                    -WHEEL
                } else {
                    WHEEL
                };
                if let Some(Area::List(_, list, _)) = list {
                    self.focus(list);
                    self.scroll_by(step);
                }
            }
            MouseEventKind::Down(MouseButton::Left) => {
                self.notice = None;
                let hit = self.areas.iter().rev().find(hit).copied();
                if self.help {
                    self.help = false;
                    return;
                }
                match hit {
                    Some(Area::Hint(_, action)) if self.typing.is_some() => self.act_while_typing(action),
                    Some(Area::Hint(_, action)) => self.act(action),
                    Some(Area::Heading(_, sheet, column)) => {
                        self.lower = sheet == 1;
                        self.with_sheet(|sheet| sheet.sort_by(column));
                    }
                    Some(Area::Link(_, ip)) => self.open_dossier(ip),
                    Some(Area::List(rect, list, first)) => {
                        self.click(list, first + usize::from(at.y - rect.y))
                    }
                    None => {}
                }
            }
            _ => {}
        }
    }

    fn focus(&mut self, list: List) {
        match list {
            List::Pane(pane) if self.screen == Screen::Main => self.pane = pane,
            List::Sheet(sheet) => self.lower = sheet == 1,
            List::Pane(_) | List::Text => {}
        }
    }

    fn click(&mut self, list: List, row: usize) {
        let focused = match list {
            List::Pane(pane) => self.pane == pane,
            List::Sheet(sheet) => usize::from(self.lower) == sheet,
            List::Text => return,
        };
        self.focus(list);
        let (cursor, len) = match list {
            List::Pane(Pane::Tree) => {
                let len = self.tree.rows().len();
                (&mut self.tree.cursor, len)
            }
            List::Pane(Pane::Timeline) => {
                let len = self.timeline.lines().len();
                (&mut self.timeline.cursor, len)
            }
            List::Pane(Pane::Evidence) => (&mut self.evidence_cursor, self.findings.len()),
            List::Sheet(sheet) => match self.sheets.get_mut(sheet) {
                Some(sheet) => {
                    let len = sheet.len();
                    (&mut sheet.cursor, len)
                }
                None => return,
            },
            List::Text => return,
        };
        if row >= len {
            return;
        }
        let again = focused && cursor.selected == row;
        cursor.selected = row;
        if again {
            return self.act(Action::Open);
        }
        if list == List::Pane(Pane::Tree) {
            self.want_selected();
        }
        if list == List::Pane(Pane::Timeline) {
            self.follow = false;
        }
    }
}
