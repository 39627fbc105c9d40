//! Counters of the hooks, per observation point and CPU: law 1 is checked on them.

use crate::heads::HEAD_REFUSED_REASONS;
use crate::parse::{Degraded, Refused};

/// Packets and bytes (as on the wire) of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub packets: u64,
    pub bytes: u64,
}

impl Tally {
    /// Adds another tally; saturates.
    pub const fn add(&mut self, other: Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Why a packet is in no flow: the parser's reasons and the flow cache's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedPacket {
    Parse(Refused),
    /// A record had to leave the cache and its ring was full. The entry stays; the packet does not count in a flow.
    RingFull,
}

/// Number of [`RefusedPacket`] reasons.
pub const REFUSED_REASONS: usize = Refused::COUNT + 1;
const RING_FULL: usize = Refused::COUNT;

impl RefusedPacket {
    /// Place in [`PointCounters::refused`].
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Parse(reason) => reason as usize,
            Self::RingFull => RING_FULL,
        }
    }

    /// All reasons, in the order of [`PointCounters::refused`].
    pub fn all() -> impl Iterator<Item = Self> {
        Refused::ALL.into_iter().map(Self::Parse).chain([Self::RingFull])
    }

    /// Name in metrics and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse(reason) => reason.name(),
            Self::RingFull => "ring_full",
        }
    }
}

/// Reasons in [`PointCounters::degraded`]: the parser's and [`FRAGMENT_UNKNOWN`].
pub const DEGRADED_REASONS: usize = Degraded::COUNT + 1;
/// Place of the later fragments whose first fragment is not known; they count with ports 0.
pub const FRAGMENT_UNKNOWN: usize = Degraded::COUNT;

/// Length of the arrays of reasons: a power of two, because the kernel's verifier understands a mask.
pub const REASON_SLOTS: usize = 8;
const _: () = assert!(REFUSED_REASONS <= REASON_SLOTS && DEGRADED_REASONS <= REASON_SLOTS);

/// Counters of one observation point on one CPU. They only grow.
///
/// `seen` = `recorded` + what is in the flow cache + `refused`, exactly, whenever the CPU is in none of the programs.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointCounters {
    pub seen: Tally,
    /// In records that were written to the ring.
    pub recorded: Tally,
    /// By [`RefusedPacket::index`]; the last ones are not used.
    pub refused: [Tally; REASON_SLOTS],
    /// Packets that count in a flow with less than they should have. Not part of the law.
    pub degraded: [u64; REASON_SLOTS],
    /// Records written to the ring, and those of them that took two slots.
    pub records: u64,
    pub cold_records: u64,
    /// Handshake packets that got the precise clock, and those that its rate limit refused.
    pub clock_read: u64,
    pub clock_refused: u64,
    /// Payload heads sent up, and refused by [`crate::heads::HeadRefused`].
    pub heads_sent: u64,
    pub heads_refused: [u64; HEAD_REFUSED_REASONS],
    /// Packets that were dropped on purpose ([`crate::block`]). They count in their flow as any other, so this is no
    /// part of the law.
    pub blocked: Tally,
}

impl PointCounters {
    /// Adds the counters of another CPU or point; saturates.
    pub fn add(&mut self, other: &Self) {
        self.seen.add(other.seen);
        self.recorded.add(other.recorded);
        self.blocked.add(other.blocked);
        for (mine, theirs) in self.refused.iter_mut().zip(other.refused) {
            mine.add(theirs);
        }
        let pairs = self.degraded.iter_mut().zip(other.degraded);
        for (mine, theirs) in pairs.chain(self.heads_refused.iter_mut().zip(other.heads_refused)) {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in [
            (&mut self.records, other.records),
            (&mut self.cold_records, other.cold_records),
            (&mut self.clock_read, other.clock_read),
            (&mut self.clock_refused, other.clock_refused),
            (&mut self.heads_sent, other.heads_sent),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Sum of all reasons.
    #[must_use]
    pub fn refused_total(&self) -> Tally {
        let mut sum = Tally::default();
        for tally in self.refused {
            sum.add(tally);
        }
        sum
    }
}

const _: () = assert!(size_of::<PointCounters>() == 320);
