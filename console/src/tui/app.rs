//! State of the terminal UI. Pure: keys and data come in, requests for the outside come out.

mod act;
mod blocking;
mod data;
mod links;
mod mouse;
mod output;

use std::collections::HashMap;
use std::net::IpAddr;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseEvent};
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::status::SensorStatus;
use lynceus_model::window::WindowId;

use super::characters::Characters;
use super::cursor::Cursor;
use lynceus_view::search::Search;

use super::filter::{self, Known};
use super::keys::{self, Screen};
use super::refused::Refused;
use super::sheet::Sheet;
use super::theme::Theme;
use super::timeline_pane::TimelinePane;
use super::tree::Tree;
use crate::desk::{Answer, Card, Findings, FlowList, Index, Request, WindowAnswer};
use crate::human::Clock;
use crate::outliers::dive::Dive;
use crate::peers::{Peer, Peers};
use crate::text::Tone;
use crate::view::{Overview, WindowDetail};

pub(super) use blocking::Blocking;
pub(super) use links::ips_in;
pub(super) use mouse::{Area, List};

/// Screens that Esc leads back through.
const MAX_BACK: usize = 16;

/// What happens to the UI.
#[derive(Debug)]
pub enum Input {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Overview(Overview),
    Answer(Answer),
    Connection(Connection),
    /// Something for the reader, as that a file was written.
    Notice(Tone, String),
    /// Too many wait already.
    Refused(Request),
}

/// What the UI wants from its shell.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Ask(Request),
    /// To the clipboard.
    Copy(String),
    /// Beginning of a file name, its ending, and what to write.
    Export {
        name: String,
        ending: &'static str,
        content: String,
    },
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

/// What an explanation is about.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// With the evidence of its window.
    Alert(Box<Alert>, Vec<Evidence>),
    Evidence(Box<Evidence>),
}

/// Lists that have a filter of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Tree,
    Timeline,
    Evidence,
    Table,
}

/// A filter as typed and as understood.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) text: String,
    pub(super) filter: Search,
    /// What was not understood of the text; the filter before it holds on.
    pub(super) fault: Option<String>,
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    /// What is looked at: a file, an interface, a collector.
    pub(super) source: String,
    pub(super) clock: Clock,
    pub(super) theme: Theme,
    pub(super) characters: Characters,
    pub(super) connection: Connection,
    /// `None` until the first data arrived.
    pub(super) sensors: Option<Vec<SensorStatus>>,
    pub(super) more: bool,
    pub(super) screen: Screen,
    /// Screens that Esc leads back to.
    back: Vec<Screen>,
    pub(super) help: bool,
    pub(super) pane: Pane,
    pub(super) follow: bool,
    pub(super) paused: bool,
    /// What came while the screen stood still; of each kind the last.
    held: (Option<Overview>, Option<Box<WindowAnswer>>),
    pub(super) tree: Tree,
    pub(super) timeline: TimelinePane,
    /// The window on the screen; its entries are in `timeline`.
    pub(super) detail: Option<WindowDetail>,
    /// What is known of the addresses on the screen.
    pub(super) peers: Peers,
    pub(super) names: HashMap<IpAddr, String>,
    pub(super) refused: Refused,
    /// What filters over the profiles ask for.
    pub(super) index: Option<Index>,
    /// The window that was asked for.
    pub(super) wanted: Option<WindowId>,
    pub(super) findings: Vec<Finding>,
    /// Evidence pane in order of time instead of the worst first.
    pub(super) by_time: bool,
    pub(super) evidence_cursor: Cursor,
    /// Lines scrolled in running text and in the help.
    pub(super) scroll: usize,
    /// Upper (established) or lower table has the focus.
    pub(super) lower: bool,
    /// Tables of the screen.
    pub(super) sheets: Vec<Sheet>,
    pub(super) reason: Option<Reason>,
    /// Of the screens that ask for more than a window; `None`: not answered yet.
    pub(super) all: Option<Findings>,
    pub(super) flows: Option<FlowList>,
    pub(super) card: Option<Card>,
    pub(super) card_of: Option<IpAddr>,
    /// Of the window with this identity; the inner `None`: it has no account.
    pub(super) dive: Option<Option<Box<Dive>>>,
    pub(super) dive_of: Option<WindowId>,
    pub(super) blocking: Option<Blocking>,
    pub(super) filters: [Typed; 4],
    pub(super) typing: Option<Slot>,
    pub(super) notice: Option<(Tone, String)>,
    /// Lines that fit into the pane in focus, as last drawn: the length of a page.
    pub(super) page: usize,
    /// Where things stand on the screen, as last drawn.
    pub(super) areas: Vec<Area>,
    effects: Vec<Effect>,
}

impl App {
    #[must_use]
    pub fn new(source: String, clock: Clock, theme: Theme, connection: Connection) -> Self {
        Self {
            source,
            clock,
            theme,
            characters: Characters::default(),
            follow: connection == Connection::Live,
            connection,
            sensors: None,
            more: false,
            screen: Screen::Main,
            back: Vec::new(),
            help: false,
            pane: Pane::Tree,
            paused: false,
            held: (None, None),
            tree: Tree::default(),
            timeline: TimelinePane::default(),
            detail: None,
            peers: Peers::default(),
            names: HashMap::new(),
            refused: Refused::default(),
            index: None,
            wanted: None,
            findings: Vec::new(),
            by_time: false,
            evidence_cursor: Cursor::default(),
            scroll: 0,
            lower: false,
            sheets: Vec::new(),
            reason: None,
            all: None,
            flows: None,
            card: None,
            card_of: None,
            dive: None,
            dive_of: None,
            blocking: None,
            filters: Default::default(),
            typing: None,
            notice: None,
            page: 1,
            areas: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Takes one input; tells what the shell has to do, in this order.
    pub fn update(&mut self, input: Input) -> Vec<Effect> {
        match input {
            Input::Key(event) if event.kind == KeyEventKind::Release => {}
            Input::Key(event) => self.press(event),
            Input::Mouse(event) => self.mouse(event),
            Input::Overview(overview) if self.paused => self.held.0 = Some(overview),
            Input::Overview(overview) => self.take_overview(overview),
            Input::Answer(Answer::Window(answer)) if self.paused && self.shown().is_some() => {
                self.held.1 = Some(answer);
            }
            Input::Answer(answer) => self.take_answer(answer),
            Input::Connection(connection) => self.connection = connection,
            Input::Notice(tone, text) => self.notice = Some((tone, text)),
            Input::Refused(request) => {
                self.refused.requests += 1;
                if let Request::Block(order) = request {
                    self.take_block(
                        order,
                        Err("not asked: too much waits for the collector".to_owned()),
                    );
                }
            }
        }
        std::mem::take(&mut self.effects)
    }

    fn press(&mut self, event: KeyEvent) {
        self.notice = None;
        if self.typing.is_some() {
            match (keys::typing(event), event.code) {
                (Some(action), _) => self.act_while_typing(action),
                (None, KeyCode::Char(c)) if !event.modifiers.contains(KeyModifiers::CONTROL) => {
                    self.change_filter(|text| {
                        if text.len() < filter::MAX_LENGTH {
                            text.push(c);
                        }
                    });
                }
                _ => {}
            }
        } else if let Some(action) = keys::action(self.screen, event) {
            self.act(action);
        }
    }

    /// The filter of the list in focus.
    pub(super) const fn filter(&self) -> &Typed {
        &self.filters[self.slot() as usize]
    }

    pub(super) const fn slot(&self) -> Slot {
        match (self.screen, self.pane) {
            (Screen::Main, Pane::Tree) => Slot::Tree,
            (Screen::Main, Pane::Timeline) => Slot::Timeline,
            (Screen::Main, Pane::Evidence) => Slot::Evidence,
            _ => Slot::Table,
        }
    }

    /// What is known of the window that the reader looks at; `None` while it is loading.
    pub(super) fn shown(&self) -> Option<&WindowDetail> {
        self.detail
            .as_ref()
            .filter(|detail| Some(detail.id) == self.wanted)
    }

    /// The profile that the reader looks at.
    pub(super) fn profile(&self) -> Option<IpAddr> {
        self.wanted
            .map(|window| window.profile)
            .or_else(|| self.tree.selected_profile().map(|profile| profile.ip))
    }

    /// In all that is held for the screens.
    pub(super) fn addresses_without_facts(&self) -> u64 {
        let held = [
            Some(&self.peers),
            self.index.as_ref().map(|index| &index.peers),
            self.all.as_ref().map(|all| &all.peers),
            self.flows.as_ref().map(|flows| &flows.peers),
        ];
        held.into_iter().flatten().map(|peers| peers.refused).sum()
    }

    pub(super) fn known(&self) -> Known<'_> {
        Known {
            peers: &self.peers,
            names: &self.names,
            clock: &self.clock,
        }
    }

    /// What is known of an address; looked up already, or nothing.
    pub(super) fn peer(&self, ip: IpAddr) -> Option<&Peer> {
        self.peers
            .get(&ip)
            .or_else(|| self.index.as_ref().and_then(|index| index.peers.get(&ip)))
    }

    fn ask(&mut self, request: Request) {
        self.effects.push(Effect::Ask(request));
    }

    fn tell(&mut self, tone: Tone, text: impl Into<String>) {
        self.notice = Some((tone, text.into()));
    }
}

#[cfg(test)]
#[path = "app/tests.rs"]
pub(crate) mod tests;
