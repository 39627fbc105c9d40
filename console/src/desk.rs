//! Where the screens and tables get their data: a collector over the network, a result folder, or this very process.

mod later;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use crate::outliers::dive::Dive;
use crate::peers::Peers;
use crate::table::Table;
use crate::text::Line;
use crate::timeline::Entry;
use crate::view::{Overview, WindowDetail};

pub use later::Later;

/// What a screen wants to know, or to have done.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Everything about one window.
    Window(WindowId),
    /// All evidence and alerts of a profile, whatever the window.
    Findings(IpAddr),
    /// Flows by their Community IDs, as a profile sees them.
    Flows {
        profile: IpAddr,
        /// Between these moments, both included.
        span: (Timestamp, Timestamp),
        ids: Vec<CommunityId>,
    },
    /// All that is known of an address.
    Dossier(IpAddr),
    /// Why a window is an outlier, and all about it.
    Dive(WindowId),
    /// What filters over the list of profiles ask for.
    Index,
    Block(BlockOrder),
    /// The list of profiles, read anew.
    Reload,
}

impl Request {
    /// Only the last one of these counts: the reader has moved on.
    #[must_use]
    pub const fn replaces(&self, earlier: &Self) -> bool {
        matches!(
            (self, earlier),
            (Self::Window(_), Self::Window(_))
                | (Self::Findings(_), Self::Findings(_))
                | (Self::Flows { .. }, Self::Flows { .. })
                | (Self::Dossier(_), Self::Dossier(_))
                | (Self::Dive(_), Self::Dive(_))
                | (Self::Index, Self::Index)
                | (Self::Reload, Self::Reload)
        )
    }
}

/// Packets from and to an address are to be dropped, or counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOrder {
    pub ip: IpAddr,
    pub time: Duration,
    /// Count only.
    pub dry_run: bool,
    pub reason: String,
}

#[derive(Debug)]
pub enum Answer {
    Window(Box<WindowAnswer>),
    Findings(Findings),
    Flows(FlowList),
    Dossier(Card),
    /// `None`: the window has no account, as it is not over.
    Dive(WindowId, Option<Box<Dive>>),
    Index(Index),
    /// Of a block: what happens now, or why nothing does.
    Block(BlockOrder, Result<String, String>),
    /// Names of hosts, learned from messages.
    Names(HashMap<IpAddr, String>),
}

#[derive(Clone, Debug)]
pub struct WindowAnswer {
    pub detail: WindowDetail,
    /// What is known of the other sides.
    pub peers: Peers,
    pub names: HashMap<IpAddr, String>,
}

/// All evidence and alerts of a profile.
#[derive(Clone, Debug)]
pub struct Findings {
    pub profile: IpAddr,
    pub evidence: Vec<Evidence>,
    pub alerts: Vec<Alert>,
    /// There are more than these.
    pub more: bool,
    pub peers: Peers,
}

#[derive(Clone, Debug)]
pub struct FlowList {
    pub profile: IpAddr,
    /// In order of time.
    pub entries: Vec<Entry>,
    pub peers: Peers,
    /// Community IDs that were asked for.
    pub asked: usize,
}

/// What is known of an address, as text.
#[derive(Clone, Debug)]
pub struct Card {
    pub ip: IpAddr,
    pub above: Vec<Line>,
    /// The dossier; how it is laid out follows from the room.
    pub known: Table,
    pub below: Vec<Line>,
}

impl Card {
    /// Lines of at most `width` columns as far as words allow.
    #[must_use]
    pub fn lines(&self, width: Option<usize>) -> Vec<Line> {
        let known = self.known.folded(2, width, 2);
        self.above
            .iter()
            .cloned()
            .chain(known)
            .chain(self.below.iter().cloned())
            .collect()
    }
}

#[derive(Clone, Debug, Default)]
pub struct Index {
    pub evidence: HashMap<IpAddr, (BTreeSet<EvidenceType>, ThreatLevel)>,
    pub peers: Peers,
}

/// What became of a piece of work for which nobody waits.
#[derive(Debug)]
pub enum Spare {
    /// There is none left until the next question.
    Nothing,
    /// Nothing to show yet.
    More,
    /// The overview as it really is, after one that was kept.
    Overview(Overview),
    Answer(Answer),
}

/// Answers the questions of the screens. Calls may block; the terminal UI makes them from a thread of its own.
pub trait Desk: Send {
    /// Everything at a glance, if it changed since the last call.
    ///
    /// # Errors
    /// When the data cannot be had now; the caller may ask again.
    fn overview(&mut self) -> anyhow::Result<Option<Overview>>;

    /// The answer to a request; `None` where there is no such thing (any more).
    ///
    /// # Errors
    /// As [`Desk::overview`].
    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<Answer>>;

    /// A small piece of work for which nobody waits.
    ///
    /// # Errors
    /// As [`Desk::overview`].
    fn idle(&mut self) -> anyhow::Result<Spare>;

    /// The next overview is read anew, whatever is known.
    fn forget(&mut self);

    /// Whether new data can still come.
    fn is_live(&self) -> bool;
}
