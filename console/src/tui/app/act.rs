//! What keys do.

use lynceus_view::search::Search;

use super::{App, Connection, Cursor, Effect, MAX_BACK, Pane, Reason, Screen, Slot, Typed};
use crate::desk::Request;
use crate::text::Tone;
use crate::tui::keys::Action;
use crate::tui::sheet::Target;

impl App {
    pub(super) fn act(&mut self, action: Action) {
        if self.help && !matches!(action, Action::Quit | Action::Theme) {
            return self.act_in_help(action);
        }
        match action {
            Action::Quit => self.effects.push(Effect::Quit),
            Action::Help => {
                self.scroll = 0;
                self.help = true;
            }
            Action::Back => self.go_back(),
            Action::Filter => self.typing = Some(self.slot()),
            Action::NextPane | Action::PreviousPane if self.screen != Screen::Main => {
                self.lower = !self.lower && self.sheets.len() > 1;
            }
            Action::NextPane => self.pane = self.pane.next(),
            Action::PreviousPane => self.pane = self.pane.previous(),
            Action::Follow => {
                self.follow = !self.follow;
                self.go_to_newest();
            }
            Action::Pause => self.pause(),
            Action::Sort => self.sort(),
            Action::ReverseSort => self.reverse(),
            Action::Open => self.open(),
            Action::Fold => match self.pane {
                Pane::Tree => self.tree.fold(),
                Pane::Timeline => self.timeline.set_unfolded(false),
                Pane::Evidence => {}
            },
            Action::PreviousWindow | Action::NextWindow => {
                if let Some(current) = self.wanted
                    && self.tree.neighbor(current, action == Action::NextWindow)
                {
                    self.want_selected();
                }
            }
            Action::NextAlert => self.next_alert(),
            Action::Why => self.why(),
            Action::Flows => self.open_flows(),
            Action::Dossier => match self.link() {
                Some(ip) => self.open_dossier(ip),
                None => self.tell(Tone::Quiet, "no address here"),
            },
            Action::Dive => self.open_dive(),
            Action::Block => self.begin_block(),
            Action::TryBlock | Action::ReallyBlock | Action::Longer | Action::Shorter => {
                self.act_on_block(action)
            }
            Action::Copy => self.copy(),
            Action::ExportCsv => self.export(false),
            Action::ExportJson => self.export(true),
            Action::Theme => {
                self.theme = self.theme.next();
                self.tell(Tone::Quiet, format!("theme {}", self.theme.name()));
            }
            Action::Reload => {
                self.ask(Request::Reload);
                if let Some(window) = self.wanted {
                    self.ask(Request::Window(window));
                }
                self.tell(Tone::Quiet, "reading everything anew");
            }
            Action::Show(screen) if screen == self.screen => self.go_back(),
            Action::Show(screen) => self.show(screen),
            Action::Up => self.scroll_by(-1),
            Action::Down => self.scroll_by(1),
            Action::PageUp => self.scroll_by(-self.page_step()),
            Action::PageDown => self.scroll_by(self.page_step()),
            Action::First => self.scroll_by(isize::MIN),
            Action::Last => self.scroll_by(isize::MAX),
            Action::Keep | Action::Clear | Action::Erase => {}
        }
    }

    pub(super) fn act_while_typing(&mut self, action: Action) {
        match action {
            Action::Keep => self.typing = None,
            Action::Clear => {
                self.change_filter(String::clear);
                self.typing = None;
            }
            Action::Erase => self.change_filter(|text| {
                text.pop();
            }),
            Action::Quit => self.effects.push(Effect::Quit),
            Action::Up => self.scroll_by(-1),
            Action::Down => self.scroll_by(1),
            _ => {}
        }
    }

    /// While the help is open, keys scroll it; anything else closes it.
    fn act_in_help(&mut self, action: Action) {
        let step = match action {
            Action::Up => -1,
            Action::Down => 1,
            Action::PageUp => -self.page_step(),
            Action::PageDown => self.page_step(),
            Action::First => isize::MIN,
            Action::Last => isize::MAX,
            _ => {
                self.help = false;
                self.scroll = 0;
                return;
            }
        };
        self.scroll = self.scroll.saturating_add_signed(step);
    }

    /// Clears the filter of the list in focus, else leads to the screen before.
    fn go_back(&mut self) {
        if !self.filter().text.is_empty() {
            return self.change_filter(String::clear);
        }
        if self.screen == Screen::Main {
            self.pane = Pane::Tree;
            return;
        }
        let screen = self.back.pop().unwrap_or(Screen::Main);
        self.enter(screen);
    }

    /// Opens a screen; Esc leads back to this one.
    pub(super) fn show(&mut self, screen: Screen) {
        // A letter pressed on a letter's screen changes the screen, it does not stack it.
        let siblings = is_table(self.screen) && is_table(screen);
        if !siblings {
            self.back.push(self.screen);
            if self.back.len() > MAX_BACK {
                self.back.remove(0);
            }
        }
        self.filters[Slot::Table as usize] = Typed::default();
        self.enter(screen);
        if screen == Screen::Findings
            && let Some(profile) = self.profile()
        {
            if self.all.as_ref().is_none_or(|all| all.profile != profile) {
                self.all = None;
            }
            self.ask(Request::Findings(profile));
        }
    }

    pub(super) fn enter(&mut self, screen: Screen) {
        self.screen = screen;
        self.scroll = 0;
        self.lower = false;
        self.sheets.clear();
        self.make_sheets();
        // Nobody wants to begin in an empty table.
        self.lower = matches!(&self.sheets[..], [upper, lower] if upper.total() == 0 && lower.total() > 0);
    }

    fn open(&mut self) {
        match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => self.tree.toggle(),
            (Screen::Main, Pane::Timeline) => {
                if self.timeline.on_run() {
                    self.timeline.toggle();
                } else if let Some(ip) = self.link() {
                    self.open_dossier(ip);
                }
            }
            (Screen::Main, Pane::Evidence) => self.why(),
            (Screen::Why | Screen::Dossier | Screen::Dive, _) => self.go_to_profile(),
            _ => match self.selected_target() {
                Target::Ip(ip) => self.open_dossier(ip),
                Target::Port(port) => {
                    self.back.clear();
                    self.enter(Screen::Main);
                    self.pane = Pane::Timeline;
                    self.change_filter(|text| *text = format!("port:{port}"));
                }
                Target::Alert(_) | Target::Evidence(_) => self.why(),
                Target::None => {}
            },
        }
    }

    pub(super) fn selected_target(&self) -> Target {
        let sheet = self.sheets.get(usize::from(self.lower));
        sheet
            .and_then(|sheet| sheet.selected())
            .map_or(Target::None, |row| row.target)
    }

    /// The evidence or alert that the reader points at.
    pub(super) fn pointed_at(&self) -> Option<Reason> {
        if self.screen == Screen::Findings {
            let all = self.all.as_ref()?;
            return match self.selected_target() {
                Target::Alert(index) => {
                    let alert = all.alerts.get(index)?.clone();
                    let known = all
                        .evidence
                        .iter()
                        .filter(|found| found.window_start == alert.window_start);
                    let known = known.cloned().collect();
                    Some(Reason::Alert(Box::new(alert), known))
                }
                Target::Evidence(index) => Some(Reason::Evidence(Box::new(all.evidence.get(index)?.clone()))),
                _ => None,
            };
        }
        if self.screen != Screen::Main {
            return self.reason.clone();
        }
        self.selected_finding()
    }

    /// The one under the cursor of the evidence pane.
    pub(in crate::tui) fn selected_finding(&self) -> Option<Reason> {
        let detail = self.shown()?;
        Some(match *self.findings.get(self.evidence_cursor.selected)? {
            super::Finding::Alert(index) => Reason::Alert(
                Box::new(detail.alerts.get(index)?.clone()),
                detail.evidence.clone(),
            ),
            super::Finding::Evidence(index) => {
                Reason::Evidence(Box::new(detail.evidence.get(index)?.clone()))
            }
        })
    }

    fn why(&mut self) {
        match self.pointed_at() {
            Some(reason) => {
                self.reason = Some(reason);
                self.show(Screen::Why);
            }
            None => self.tell(Tone::Quiet, "no evidence here"),
        }
    }

    fn open_flows(&mut self) {
        let Some(reason) = self.pointed_at() else {
            return self.tell(Tone::Quiet, "no evidence here");
        };
        let (profile, span, ids) = match &reason {
            Reason::Alert(alert, _) => (alert.profile, (alert.first, alert.last), alert.flows.clone()),
            Reason::Evidence(found) => (found.profile, (found.first, found.last), found.flows.clone()),
        };
        if ids.is_empty() {
            return self.tell(Tone::Quiet, "no flow of its own stands behind this");
        }
        self.reason = Some(reason);
        self.flows = None;
        self.show(Screen::Flows);
        self.ask(Request::Flows { profile, span, ids });
    }

    pub(super) fn open_dossier(&mut self, ip: std::net::IpAddr) {
        // From evidence its flows stay one key away; from elsewhere there is none that is meant.
        self.reason = match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree | Pane::Timeline) => None,
            (Screen::Main, Pane::Evidence) | (Screen::Why | Screen::Flows | Screen::Findings, _) => {
                self.pointed_at()
            }
            _ => None,
        };
        self.card = None;
        self.card_of = Some(ip);
        self.show(Screen::Dossier);
        self.ask(Request::Dossier(ip));
    }

    /// Into the window on the screen.
    fn open_dive(&mut self) {
        let Some(window) = self.wanted else {
            return self.tell(Tone::Quiet, "no window here");
        };
        if self.screen == Screen::Dive {
            return self.go_back();
        }
        self.dive = None;
        self.dive_of = Some(window);
        self.show(Screen::Dive);
        self.ask(Request::Dive(window));
    }

    /// To the profile of the address, if it has one.
    fn go_to_profile(&mut self) {
        let Some(ip) = self.link() else { return };
        self.filters[Slot::Tree as usize] = Typed::default();
        self.arrange_tree();
        if self.tree.select(ip) {
            self.back.clear();
            self.enter(Screen::Main);
            self.pane = Pane::Tree;
            self.want_selected();
        } else {
            self.tell(Tone::Quiet, format!("{ip} has no profile of its own"));
        }
    }

    fn next_alert(&mut self) {
        if !self.tree.next_alert() {
            return self.tell(Tone::Quiet, "no alert anywhere");
        }
        self.back.clear();
        self.enter(Screen::Main);
        self.pane = Pane::Evidence;
        self.evidence_cursor = Cursor::default();
        self.want_selected();
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused {
            let held = std::mem::take(&mut self.held);
            if let Some(overview) = held.0 {
                self.take_overview(overview);
            }
            if let Some(answer) = held.1 {
                self.take_window(*answer);
            }
        }
    }

    fn sort(&mut self) {
        match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => {
                self.tree.next_order();
                self.want_selected();
            }
            (Screen::Main, Pane::Timeline) => {
                self.tell(Tone::Quiet, "the timeline stays in the order of time")
            }
            (Screen::Main, Pane::Evidence) => {
                self.by_time = !self.by_time;
                self.arrange_findings();
            }
            _ => self.with_sheet(|sheet| sheet.sort_by_next()),
        }
    }

    fn reverse(&mut self) {
        match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => {
                self.tree.reverse();
                self.want_selected();
            }
            (Screen::Main, _) => {}
            _ => self.with_sheet(|sheet| sheet.reverse()),
        }
    }

    fn page_step(&self) -> isize {
        isize::try_from(self.page.saturating_sub(1).max(1)).unwrap_or(1)
    }

    pub(super) fn scroll_by(&mut self, lines: isize) {
        match (self.screen, self.pane) {
            // The drawing clamps to the length of the text.
            (Screen::Why | Screen::Sensors | Screen::Dossier | Screen::Dive | Screen::Block, _) => {
                self.scroll = self.scroll.saturating_add_signed(lines);
            }
            (Screen::Main, Pane::Tree) => {
                let len = self.tree.rows().len();
                self.tree.cursor.step(lines, len);
                self.want_selected();
            }
            (Screen::Main, Pane::Timeline) => {
                let len = self.timeline.lines().len();
                self.timeline.cursor.step(lines, len);
                // Who moves up wants to stay there; who goes to the end wants to stay at the end.
                self.follow = self.connection == Connection::Live && self.timeline.cursor.selected + 1 >= len;
            }
            (Screen::Main, Pane::Evidence) => self.evidence_cursor.step(lines, self.findings.len()),
            _ => {
                if let Some(sheet) = self.sheets.get_mut(usize::from(self.lower)) {
                    let len = sheet.len();
                    sheet.cursor.step(lines, len);
                }
            }
        }
    }

    pub(super) fn change_filter(&mut self, change: impl FnOnce(&mut String)) {
        let slot = self.slot();
        let typed = &mut self.filters[slot as usize];
        change(&mut typed.text);
        match Search::typed(&typed.text) {
            Ok(filter) => {
                typed.filter = filter;
                typed.fault = None;
            }
            Err(fault) => typed.fault = Some(fault.to_string()),
        }
        match slot {
            Slot::Tree => {
                if typed.filter.asks_for(crate::tui::filter::OF_THE_INDEX) && self.index.is_none() {
                    self.ask(Request::Index);
                }
                self.arrange_tree();
                self.want_selected();
            }
            Slot::Timeline => self.arrange_timeline(),
            Slot::Evidence => self.arrange_findings(),
            Slot::Table => self.arrange_sheets(),
        }
    }
}

const fn is_table(screen: Screen) -> bool {
    matches!(
        screen,
        Screen::SourcePorts
            | Screen::ServerPorts
            | Screen::DestinationIps
            | Screen::DestinationPorts
            | Screen::PortsAndIps
            | Screen::OutTuples
            | Screen::InTuples
            | Screen::Map
            | Screen::Findings
    )
}
