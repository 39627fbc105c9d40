//! Flows that wait for their turn in the letters.

use std::collections::BTreeMap;

use super::live::{Role, letter_key};
use crate::flow::{CommunityId, FlowUpdate};
use crate::letters::Stroke;
use crate::profile::LetterKey;
use crate::time::Timestamp;
use crate::window::WindowId;

/// In slots of begin; a slot is sorted when its time has come.
#[derive(Debug, Default)]
pub(super) struct Strokes {
    slots: BTreeMap<i64, Vec<Waiting>>,
    waiting: usize,
}

/// Ordered by begin, then by Community ID, so that flows that began at the same moment have a fixed order.
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
    /// About 30 MB. Beyond, the oldest go first, without waiting for what may come before them.
    const LIMIT: usize = 262_144;
    /// Five seconds: small enough that letters come soon after the wait, large enough that slots are few.
    const SLOT: i64 = 5_000_000_000;

    pub(super) fn push(&mut self, window: WindowId, update: &FlowUpdate, role: Role) {
        let flow = &update.flow;
        self.waiting += 1;
        self.slots
            .entry(flow.first.0.div_euclid(Self::SLOT))
            .or_default()
            .push(Waiting {
                start: flow.first,
                community_id: flow.community_id,
                window,
                key: letter_key(flow, role),
                nanos: u64::try_from(flow.duration().as_nanos()).unwrap_or(u64::MAX),
                bytes: flow.out.bytes.saturating_add(flow.back.bytes),
            });
    }

    /// The earliest slot, in order, if it ended before `horizon` or there are too many.
    pub(super) fn pop_before(&mut self, horizon: Timestamp) -> Option<Vec<Waiting>> {
        let entry = self.slots.first_entry()?;
        let end = entry.key().saturating_add(1).saturating_mul(Self::SLOT);
        if end > horizon.0 && self.waiting <= Self::LIMIT {
            return None;
        }
        let mut slot = entry.remove();
        self.waiting -= slot.len();
        slot.sort_unstable();
        Some(slot)
    }

    pub(super) const fn is_over_limit(&self) -> bool {
        self.waiting > Self::LIMIT
    }
}
