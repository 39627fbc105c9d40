//! The numbers in a row, and how two observations of the same row join.

use super::hash::mix;
use crate::flow::{CommunityId, Flow};
use crate::time::Timestamp;

/// Something whose merging is commutative, associative and has no memory of how it was cut.
pub trait Merge {
    fn merge(&mut self, other: &Self);
}

/// What flowed. `sent` and `received` are seen from the profile's IP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// A flow reported in parts counts once, with its first part.
    pub flows: u64,
    pub packets_sent: u64,
    pub packets_received: u64,
    /// IP total length.
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

impl Counts {
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets_sent.saturating_add(self.packets_received)
    }

    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_sent.saturating_add(self.bytes_received)
    }
}

impl Merge for Counts {
    fn merge(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets_sent = self.packets_sent.saturating_add(other.packets_sent);
        self.packets_received = self.packets_received.saturating_add(other.packets_received);
        self.bytes_sent = self.bytes_sent.saturating_add(other.bytes_sent);
        self.bytes_received = self.bytes_received.saturating_add(other.bytes_received);
    }
}

/// The flow that began first, with the packets that its originator sent in the first report.
/// The smallest survives a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Earliest {
    pub first: Timestamp,
    pub community_id: CommunityId,
    pub packets: u64,
}

impl Merge for Earliest {
    fn merge(&mut self, other: &Self) {
        *self = (*self).min(*other);
    }
}

/// A row of a [`super::table::Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    pub counts: Counts,
    /// Draws by which rows with many bytes and rows with many flows survive in a full table.
    pub draws: Draws,
    pub earliest: Earliest,
    /// Newest packet.
    pub last: Timestamp,
}

impl Merge for Cell {
    fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        self.draws.merge(&other.draws);
        self.earliest.merge(&other.earliest);
        self.last = self.last.max(other.last);
    }
}

/// Lottery tickets of a row, the smallest wins. Every flow report draws a uniform number from its own identity, for
/// `bytes` divided by its bytes; a row keeps its smallest. So the chance to be among the smallest grows with the
/// row's *sum*, although no sum is compared, and joining is a minimum (sampling proportional to size without
/// replacement; E. Cohen, "Size-estimation framework", 1997).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Draws {
    pub bytes: u64,
    pub flows: u64,
}

impl Draws {
    /// Draws of a report of `flow`.
    #[must_use]
    pub fn of(flow: &Flow, part: u32, counts: &Counts) -> Self {
        let id = &flow.community_id.0;
        let word = u64::from_be_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]);
        Self::new(mix(word ^ u64::from(part), flow.first.0 as u64), counts)
    }

    /// `seed`: identity of the report, well mixed. `counts`: what it adds.
    #[must_use]
    pub fn new(seed: u64, counts: &Counts) -> Self {
        Self {
            bytes: if counts.bytes() == 0 {
                u64::MAX
            } else {
                seed / counts.bytes()
            },
            flows: if counts.flows == 0 { u64::MAX } else { seed },
        }
    }
}

impl Merge for Draws {
    fn merge(&mut self, other: &Self) {
        self.bytes = self.bytes.min(other.bytes);
        self.flows = self.flows.min(other.flows);
    }
}

/// A target that did not answer, or was asked: a row of a [`super::sample::Sample`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Flows or requests.
    pub flows: u64,
    /// Sent by the profile.
    pub packets: u64,
    pub earliest: Earliest,
    /// Begin of the flow that began last.
    pub last: Timestamp,
}

impl Merge for Attempt {
    fn merge(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
        self.earliest.merge(&other.earliest);
        self.last = self.last.max(other.last);
    }
}
