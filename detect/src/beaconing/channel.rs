//! What is remembered of a client that calls a server again and again.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::evidence::ThreatLevel;
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use super::score::{Call, Score};
use crate::generations::Generations;

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub client: IpAddr,
    pub server: IpAddr,
    pub port: u16,
    pub protocol: u8,
}

/// A flow that waits for its turn: flows are judged in the order in which they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub start: Timestamp,
    pub community_id: CommunityId,
    pub key: Key,
    /// IP bytes that the client sent, as first reported.
    pub bytes: u64,
    pub failed: bool,
    pub window: WindowId,
    /// Number of the window for people.
    pub number: i64,
}

#[derive(Debug, Default)]
pub(super) struct Channel {
    pub flows: u64,
    /// Without an answer, or refused.
    pub failed: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    /// The newest flows in the order in which they began.
    calls: VecDeque<Call>,
    /// The first flows.
    pub ids: Vec<CommunityId>,
    /// Flows at which it is judged next.
    next: u64,
    pub said: Option<Said>,
}

/// What was said of a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// Where the finding stands, however long the channel goes on.
    pub window: WindowId,
    pub number: i64,
    pub revision: u32,
    pub flows: u64,
    pub level: ThreatLevel,
    pub confidence: f64,
}

impl Said {
    /// What is said next: the same finding, not less than before, or a new one in this window.
    pub(super) fn after(
        before: Option<Self>,
        (window, number): (WindowId, i64),
        flows: u64,
        level: ThreatLevel,
        confidence: f64,
    ) -> Self {
        let new = Self {
            window,
            number,
            revision: 0,
            flows,
            level,
            confidence,
        };
        before.map_or(new, |before| Self {
            revision: before.revision + 1,
            flows,
            level: before.level.max(level),
            confidence: before.confidence.max(confidence),
            ..before
        })
    }
}

impl Channel {
    /// Enough for quartiles of gaps and for two days of one an hour.
    const CALLS: usize = 128;
    /// Flows that are named.
    const IDS: usize = 64;
    /// After so long a silence it is another channel.
    const SILENCE: Duration = Duration::from_secs(86_400);

    /// True if it should be judged.
    fn add(&mut self, flow: &Waiting, first_judged_at: u64) -> bool {
        if self.flows == 0 || flow.start.since(self.last) > Self::SILENCE {
            *self = Self {
                first: flow.start,
                next: first_judged_at,
                ..Self::default()
            };
        }
        self.flows += 1;
        self.failed += u64::from(flow.failed);
        self.first = self.first.min(flow.start);
        self.last = self.last.max(flow.start);
        let call = Call {
            start: flow.start.0,
            bytes: flow.bytes,
        };
        let at = self.calls.iter().rposition(|other| other.start <= call.start);
        self.calls.insert(at.map_or(0, |at| at + 1), call);
        if self.calls.len() > Self::CALLS {
            self.calls.pop_front();
        }
        if self.ids.len() < Self::IDS {
            self.ids.push(flow.community_id);
        }
        let due = self.flows >= self.next;
        if due {
            // Half as many again, so that a channel of n flows costs log n judgements.
            self.next = self.flows + (self.flows / 2).max(4);
        }
        due
    }

    pub(super) fn score(&mut self, min_beats: usize) -> Option<Score> {
        Score::of(self.calls.make_contiguous(), min_beats)
    }
}

/// All channels. Those with few flows are many and come with every scan; they must not push out those that go on.
#[derive(Debug)]
pub(super) struct Channels {
    few: Generations<Key, Channel>,
    settled: Generations<Key, Channel>,
    first_judged_at: u64,
}

impl Channels {
    /// Twice this many are kept: about 20 MB.
    const MAX_FEW: usize = 32_768;
    /// Twice this many are kept: about 30 MB.
    const MAX_SETTLED: usize = 4_096;
    const SETTLED_FLOWS: u64 = 4;

    pub(super) fn new(first_judged_at: u64) -> Self {
        Self {
            few: Generations::new(Self::MAX_FEW),
            settled: Generations::new(Self::MAX_SETTLED),
            first_judged_at,
        }
    }

    /// The channel of the flow and whether it should be judged now; `None` for one with few flows.
    pub(super) fn add(&mut self, flow: &Waiting) -> Option<(&mut Channel, bool)> {
        let first = self.first_judged_at;
        if self.settled.touch(flow.key).is_none() {
            if self.few.touch(flow.key).is_none() {
                self.few.insert(flow.key, Channel::default());
            }
            let young = self.few.touch(flow.key)?;
            if young.flows + 1 < Self::SETTLED_FLOWS {
                young.add(flow, first);
                return None;
            }
            let settled = self.few.remove(&flow.key)?;
            self.settled.insert(flow.key, settled);
        }
        let channel = self.settled.touch(flow.key)?;
        let due = channel.add(flow, first);
        Some((channel, due))
    }

    /// A channel that something was said of, if it is not forgotten.
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Channel> {
        self.settled.touch(key)
    }

    /// Channels that had to go.
    pub(super) const fn refused(&self) -> u64 {
        self.few.refused() + self.settled.refused()
    }
}
