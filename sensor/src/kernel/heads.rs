//! The kernel's ring buffer of payload heads.

use std::fmt;

use aya::maps::{Map, MapData, MapError, RingBuf};
use sensor_ebpf::event::Head;

use super::counters::Filled;
use super::hints::limit;

/// What the kernel puts before an event; events begin at multiples of 8.
const EVENT_HEADER: u64 = 8;

/// The consumer's end of the ring buffer.
pub struct HeadRing {
    ring: RingBuf<MapData>,
    malformed: u64,
    /// Bytes of the ring, and most of them that one call of [`Self::drain`] took out.
    fullest: Filled,
}

impl fmt::Debug for HeadRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HeadRing")
            .field("malformed", &self.malformed)
            .finish_non_exhaustive()
    }
}

impl HeadRing {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        let limit = limit(&map)?;
        Ok(Self {
            ring: RingBuf::try_from(map)?,
            malformed: 0,
            fullest: Filled { used: 0, limit },
        })
    }

    /// Takes out at most `limit` heads; returns how many.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(Head<'_>)) -> usize {
        let (mut taken, mut bytes) = (0, 0);
        while taken < limit {
            let Some(event) = self.ring.next() else { break };
            match Head::decode(&event) {
                Some(head) => each(head),
                None => self.malformed += 1,
            }
            taken += 1;
            bytes += (event.len() as u64).next_multiple_of(8) + EVENT_HEADER;
        }
        self.fullest.used = self.fullest.used.max(bytes);
        taken
    }

    /// Bytes of the ring, and most of them that one call of [`Self::drain`] took out since this was asked last: the ring
    /// held at least those.
    pub const fn take_fullest(&mut self) -> Filled {
        let fullest = self.fullest;
        self.fullest.used = 0;
        fullest
    }

    /// Events that were no heads: 0 unless memory was damaged.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }
}
