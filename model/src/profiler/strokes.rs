//! Flows that wait for their turn in the letters.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::live::{Role, letter_key};
use crate::flow::{CommunityId, FlowUpdate};
use crate::letters::Stroke;
use crate::profile::LetterKey;
use crate::time::Timestamp;
use crate::window::WindowId;

/// Ordered by begin, then by Community ID, so that flows that began at the same moment have a fixed order.
#[derive(Debug, Default)]
pub(super) struct Strokes {
    waiting: BinaryHeap<Reverse<Waiting>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    start: Timestamp,
    community_id: CommunityId,
    pub(super) window: WindowId,
    pub(super) key: LetterKey,
    nanos: u64,
    bytes: u64,
}

impl Waiting {
    pub(super) const fn stroke(&self) -> Stroke {
        Stroke {
            start: self.start,
            duration: std::time::Duration::from_nanos(self.nanos),
            bytes: self.bytes,
        }
    }
}

impl Strokes {
    /// About 32 MB. Beyond, the oldest goes first, without waiting for what may come before it.
    const LIMIT: usize = 262_144;

    pub(super) fn push(&mut self, window: WindowId, update: &FlowUpdate, role: Role) {
        let flow = &update.flow;
        self.waiting.push(Reverse(Waiting {
            start: flow.first,
            community_id: flow.community_id,
            window,
            key: letter_key(flow, role),
            nanos: u64::try_from(flow.duration().as_nanos()).unwrap_or(u64::MAX),
            bytes: flow.out.bytes.saturating_add(flow.back.bytes),
        }));
    }

    /// The earliest, if it began before `horizon`.
    pub(super) fn pop_before(&mut self, horizon: Timestamp) -> Option<Waiting> {
        let Reverse(first) = self.waiting.peek()?;
        if first.start < horizon || self.waiting.len() > Self::LIMIT {
            return self.waiting.pop().map(|Reverse(waiting)| waiting);
        }
        None
    }

    pub(super) fn is_over_limit(&self) -> bool {
        self.waiting.len() > Self::LIMIT
    }
}
