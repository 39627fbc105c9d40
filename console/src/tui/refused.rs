//! What the bounds of this program refused, in numbers: shown below the accounting of the sensors.

use crate::human;
use crate::peers::MAX_PEERS;
use crate::text::{Line, Tone};

/// Names of hosts that are kept; the collector may know more.
pub(super) const MAX_NAMES: usize = 100_000;
/// Requests that wait; more than a reader makes while one is answered.
pub(super) const MAX_WAITING: usize = 32;

/// Since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused {
    /// Why the list of profiles that the store kept was not taken.
    pub(super) kept_lists: Vec<String>,
    /// Names of further hosts that came when [`MAX_NAMES`] were there.
    pub(super) names: u64,
    /// Questions and orders that came when [`MAX_WAITING`] waited.
    pub(super) requests: u64,
}

impl Refused {
    /// `more`: there are more profiles than are listed. `without`: addresses on this screen whose facts found no room.
    pub(super) fn lines(&self, listed: usize, more: bool, without: u64) -> Vec<Line> {
        let times = |count: u64| human::plural(count, "time", "times");
        let mut lines = vec![Line::toned(Tone::Heading, "this screen")];
        let mut add = |name: &str, refused: u64, text: String| {
            let tone = if refused > 0 { Tone::Warning } else { Tone::Plain };
            lines.push(Line::toned(Tone::Quiet, format!("  {name:<12}")).and(tone, text));
        };
        let room = human::count(listed as u64);
        let beyond = if more { "more were refused" } else { "0 refused" };
        add(
            "profiles",
            u64::from(more),
            format!("{beyond}, {room} are listed"),
        );
        let room = human::count(MAX_NAMES as u64);
        let text = format!("refused {}, {room} have room", times(self.names));
        add("host names", self.names, text);
        let text = format!("refused {}, {MAX_WAITING} may wait", times(self.requests));
        add("questions", self.requests, text);
        let room = human::count(MAX_PEERS as u64);
        let text = format!("refused {}, {room} have facts", times(without));
        add("addresses", without, text);
        let kept = self.kept_lists.len() as u64;
        let why: String = self
            .kept_lists
            .iter()
            .map(|reason| format!(": {}", human::printable(reason, 300)))
            .collect();
        add("kept lists", kept, format!("refused {}{why}", times(kept)));
        lines
    }
}
