//! State of the terminal UI. Pure: keys and data come in, at most one request for the outside comes out.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::status::SensorStatus;
use lynceus_model::window::WindowId;

use super::cursor::Cursor;
use super::keys::{self, Action, Screen};
use super::timeline_pane::TimelinePane;
use super::tree::Tree;
use crate::human::Clock;
use crate::view::{Overview, WindowDetail};

/// What happens to the UI.
#[derive(Debug)]
pub enum Input {
    Key(KeyEvent),
    Overview(Overview),
    Detail(Box<WindowDetail>),
    Connection(Connection),
}

/// What the UI wants from its shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fetch this window; a later request replaces an earlier one.
    Load(WindowId),
    Quit,
}

/// Where the data comes from and whether it still comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// New data keeps coming.
    Live,
    /// A finished analysis: nothing will change.
    Finished,
    /// No data for now; the reason, and that it is being tried again, is shown.
    Lost(String),
}

/// Parts of the main screen, in the order of Tab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Tree,
    Timeline,
    Evidence,
}

impl Pane {
    const fn next(self) -> Self {
        match self {
            Self::Tree => Self::Timeline,
            Self::Timeline => Self::Evidence,
            Self::Evidence => Self::Tree,
        }
    }

    const fn previous(self) -> Self {
        self.next().next()
    }
}

/// A line of the evidence pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Alert(usize),
    Evidence(usize),
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    /// What is looked at: a file, an interface, a collector.
    pub(super) source: String,
    pub(super) clock: Clock,
    pub(super) connection: Connection,
    /// `None` until the first data arrived.
    pub(super) sensors: Option<Vec<SensorStatus>>,
    pub(super) more: bool,
    pub(super) screen: Screen,
    pub(super) help: bool,
    pub(super) pane: Pane,
    pub(super) follow: bool,
    pub(super) tree: Tree,
    pub(super) timeline: TimelinePane,
    /// The window on the screen; its entries are in `timeline`.
    pub(super) detail: Option<WindowDetail>,
    /// The window that was asked for.
    pub(super) wanted: Option<WindowId>,
    pub(super) findings: Vec<Finding>,
    pub(super) evidence_cursor: Cursor,
    /// Lines scrolled in [`Screen::Why`], [`Screen::Sensors`] and the help.
    pub(super) scroll: usize,
    /// Tables of the histogram screens: upper (established) or lower has the focus.
    pub(super) lower: bool,
    pub(super) table_cursors: [Cursor; 2],
    pub(super) filters: [String; 2],
    pub(super) editing_filter: bool,
    /// Lines that fit into the pane in focus, as last drawn: the length of a page.
    pub(super) page: usize,
}

impl App {
    #[must_use]
    pub fn new(source: String, clock: Clock, connection: Connection) -> Self {
        Self {
            source,
            clock,
            follow: connection == Connection::Live,
            connection,
            sensors: None,
            more: false,
            screen: Screen::Main,
            help: false,
            pane: Pane::Tree,
            tree: Tree::default(),
            timeline: TimelinePane::default(),
            detail: None,
            wanted: None,
            findings: Vec::new(),
            evidence_cursor: Cursor::default(),
            scroll: 0,
            lower: false,
            table_cursors: [Cursor::default(); 2],
            filters: [String::new(), String::new()],
            editing_filter: false,
            page: 1,
        }
    }

    /// Takes one input; tells what the shell has to do.
    pub fn update(&mut self, input: Input) -> Option<Effect> {
        match input {
            Input::Key(event) if event.kind == KeyEventKind::Release => None,
            Input::Key(event) if self.editing_filter => self.edit_filter(event),
            Input::Key(event) => keys::action(self.screen, event).and_then(|action| self.act(action)),
            Input::Overview(overview) => {
                self.sensors = Some(overview.sensors);
                self.more = overview.more;
                self.tree.set(overview.profiles);
                let moved = self.want_selected();
                // The window on the screen may have grown.
                if self.connection == Connection::Live {
                    moved.or_else(|| self.wanted.map(Effect::Load))
                } else {
                    moved
                }
            }
            Input::Detail(detail) => {
                self.take_detail(*detail);
                None
            }
            Input::Connection(connection) => {
                self.connection = connection;
                None
            }
        }
    }

    /// The filter of the pane in focus; the evidence pane has none.
    pub(super) fn filter(&self) -> Option<&str> {
        self.filter_slot().map(|slot| self.filters[slot].as_str())
    }

    const fn filter_slot(&self) -> Option<usize> {
        match self.pane {
            Pane::Tree => Some(0),
            Pane::Timeline => Some(1),
            Pane::Evidence => None,
        }
    }

    /// What is known of the window that the reader looks at; `None` while it is loading.
    pub(super) fn shown(&self) -> Option<&WindowDetail> {
        self.detail
            .as_ref()
            .filter(|detail| Some(detail.id) == self.wanted)
    }

    /// The finding under the cursor of the evidence pane.
    pub(super) fn finding(&self) -> Option<FindingRef<'_>> {
        let detail = self.shown()?;
        match *self.findings.get(self.evidence_cursor.selected)? {
            Finding::Alert(index) => detail.alerts.get(index).map(FindingRef::Alert),
            Finding::Evidence(index) => detail.evidence.get(index).map(FindingRef::Evidence),
        }
    }

    fn act(&mut self, action: Action) -> Option<Effect> {
        if self.help {
            return self.act_in_help(action);
        }
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Help => self.open_text(None),
            Action::Back => return self.back(),
            Action::Filter => self.start_filter(),
            Action::NextPane | Action::PreviousPane if self.screen != Screen::Main => {
                self.lower = !self.lower
            }
            Action::NextPane => self.pane = self.pane.next(),
            Action::PreviousPane => self.pane = self.pane.previous(),
            Action::Follow => {
                self.follow = !self.follow;
                self.go_to_newest();
            }
            Action::Sort => {
                self.tree.next_order();
                return self.want_selected();
            }
            Action::Open => self.open(),
            Action::Fold => self.fold(),
            Action::PreviousWindow | Action::NextWindow => {
                let current = self.wanted?;
                if self.tree.neighbor(current, action == Action::NextWindow) {
                    return self.want_selected();
                }
            }
            Action::Show(screen) if screen == self.screen => self.screen = Screen::Main,
            Action::Show(screen) => self.show(screen),
            Action::Up => return self.scroll_by(-1),
            Action::Down => return self.scroll_by(1),
            Action::PageUp => return self.scroll_by(-self.page_step()),
            Action::PageDown => return self.scroll_by(self.page_step()),
            Action::First => return self.scroll_by(isize::MIN),
            Action::Last => return self.scroll_by(isize::MAX),
        }
        None
    }

    /// While the help is open, keys scroll it; anything else closes it.
    fn act_in_help(&mut self, action: Action) -> Option<Effect> {
        match action {
            Action::Quit => return Some(Effect::Quit),
            Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::First | Action::Last => {
                let step = match action {
                    Action::Up => -1,
                    Action::Down => 1,
                    Action::PageUp => -self.page_step(),
                    Action::PageDown => self.page_step(),
                    Action::First => isize::MIN,
                    _ => isize::MAX,
                };
                self.scroll = self.scroll.saturating_add_signed(step);
            }
            _ => {
                self.help = false;
                self.scroll = 0;
            }
        }
        None
    }

    fn back(&mut self) -> Option<Effect> {
        if self.screen == Screen::Main {
            return self.change_filter(String::clear);
        }
        self.screen = Screen::Main;
        self.scroll = 0;
        None
    }

    /// Opens the help, or a screen of running text.
    const fn open_text(&mut self, screen: Option<Screen>) {
        self.scroll = 0;
        match screen {
            None => self.help = true,
            Some(screen) => self.screen = screen,
        }
    }

    const fn show(&mut self, screen: Screen) {
        self.table_cursors = [Cursor {
            selected: 0,
            offset: 0,
        }; 2];
        self.lower = false;
        self.open_text(Some(screen));
    }

    fn open(&mut self) {
        match self.pane {
            Pane::Tree => self.tree.toggle(),
            Pane::Timeline => self.timeline.toggle(),
            Pane::Evidence if self.finding().is_some() => self.show(Screen::Why),
            Pane::Evidence => {}
        }
    }

    fn fold(&mut self) {
        match self.pane {
            Pane::Tree => self.tree.fold(),
            Pane::Timeline => self.timeline.set_unfolded(false),
            Pane::Evidence => {}
        }
    }

    fn page_step(&self) -> isize {
        isize::try_from(self.page.saturating_sub(1).max(1)).unwrap_or(1)
    }

    fn scroll_by(&mut self, lines: isize) -> Option<Effect> {
        match self.screen {
            // The drawing clamps to the length of the text.
            Screen::Why | Screen::Sensors => self.scroll = self.scroll.saturating_add_signed(lines),
            Screen::Main => match self.pane {
                Pane::Tree => {
                    let len = self.tree.rows().len();
                    self.tree.cursor.step(lines, len);
                    return self.want_selected();
                }
                Pane::Timeline => {
                    let len = self.timeline.lines().len();
                    self.timeline.cursor.step(lines, len);
                    // Who moves up wants to stay there; who goes to the end wants to stay at the end.
                    self.follow =
                        self.connection == Connection::Live && self.timeline.cursor.selected + 1 >= len;
                }
                Pane::Evidence => self.evidence_cursor.step(lines, self.findings.len()),
            },
            screen => {
                let slot = usize::from(self.lower);
                let len = super::views::table_len(self, screen, slot);
                self.table_cursors[slot].step(lines, len);
            }
        }
        None
    }

    fn want_selected(&mut self) -> Option<Effect> {
        let window = self.tree.window()?;
        if self.wanted == Some(window) {
            return None;
        }
        self.wanted = Some(window);
        if self.shown().is_none() {
            self.findings.clear();
        }
        self.evidence_cursor = Cursor::default();
        self.table_cursors = [Cursor::default(); 2];
        Some(Effect::Load(window))
    }

    fn take_detail(&mut self, mut detail: WindowDetail) {
        if self.wanted.is_some_and(|wanted| wanted != detail.id) {
            return;
        }
        let same = self.detail.as_ref().is_some_and(|shown| shown.id == detail.id);
        let entries = std::mem::take(&mut detail.entries);
        if same {
            self.timeline.refresh(entries)
        } else {
            self.timeline.show(entries)
        }
        detail.evidence.sort_by(|a, b| {
            b.threat_level
                .cmp(&a.threat_level)
                .then(a.first.cmp(&b.first))
                .then(a.id.cmp(&b.id))
        });
        self.findings = (0..detail.alerts.len())
            .map(Finding::Alert)
            .chain((0..detail.evidence.len()).map(Finding::Evidence))
            .collect();
        self.detail = Some(detail);
        self.go_to_newest();
    }

    fn go_to_newest(&mut self) {
        if self.follow {
            let len = self.timeline.lines().len();
            self.timeline.cursor.last(len);
        }
    }

    fn start_filter(&mut self) {
        if self.filter_slot().is_none() {
            self.pane = Pane::Timeline;
        }
        self.editing_filter = true;
    }

    fn edit_filter(&mut self, event: KeyEvent) -> Option<Effect> {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Enter => self.editing_filter = false,
            KeyCode::Esc => {
                self.editing_filter = false;
                return self.change_filter(String::clear);
            }
            KeyCode::Char('c') if ctrl => return Some(Effect::Quit),
            KeyCode::Char('u') if ctrl => return self.change_filter(String::clear),
            KeyCode::Char(c) if !ctrl => return self.change_filter(|filter| filter.push(c)),
            KeyCode::Backspace => {
                return self.change_filter(|filter| {
                    filter.pop();
                });
            }
            KeyCode::Up => return self.scroll_by(-1),
            KeyCode::Down => return self.scroll_by(1),
            _ => {}
        }
        None
    }

    fn change_filter(&mut self, change: impl FnOnce(&mut String)) -> Option<Effect> {
        let slot = self.filter_slot()?;
        change(&mut self.filters[slot]);
        if slot == 0 {
            self.tree.set_filter(&self.filters[0]);
            return self.want_selected();
        }
        self.timeline.set_filter(&self.filters[1]);
        None
    }
}

/// What the cursor of the evidence pane points at.
#[derive(Clone, Copy, Debug)]
pub(super) enum FindingRef<'a> {
    Alert(&'a Alert),
    Evidence(&'a Evidence),
}

#[cfg(test)]
#[path = "app/tests.rs"]
pub(crate) mod tests;
