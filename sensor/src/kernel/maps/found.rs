//! Sizes of the maps, and what one reading of them found.

/// Sizes that the maps were made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub cpus: u16,
    /// Sets of two entries per CPU.
    pub sets: u32,
    /// Slots of 64 bytes per CPU.
    pub ring_slots: u32,
}

/// What one call of [`RecordRing::drain`](super::RecordRing::drain) found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub records: usize,
    /// Slots that were written and not yet taken when the call began: how full the ring was.
    pub fill: u32,
}

/// What one reading of the cache found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Entries handed out.
    pub entries: usize,
    /// Entries that stayed in the middle of a change; the next sweep reads them.
    pub unsettled: usize,
}
