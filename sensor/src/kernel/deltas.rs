//! From cumulative readings of an entry to what is new since the reading before: added up, they give every packet once.
//!
//! An entry is read when it leaves the cache (then its incarnation is over), and by each sweep while it lives. Only the
//! entries that a sweep has read are remembered here, and each of them ends with a record, so there are never more of
//! them than entries in the cache.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use rustc_hash::FxHasher;
use sensor_ebpf::flow::{FlowRecord, Side, SideCounters};

/// What was handed out of the entries that live.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    known: HashMap<(u16, u64), Known, BuildHasherDefault<FxHasher>>,
    /// Highest incarnation of each CPU that a sweep has read: a record above it was never read before.
    newest: Vec<u64>,
    /// Time of the last sweep. What an entry has that no reading told came after it, also where the entry was quiet for
    /// long and therefore not read.
    swept_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    sides: [SideCounters; 2],
    read_at: u64,
}

impl Deltas {
    /// What is new in the reading of a living entry; `None` where nothing is. `now` is the time of the reading.
    pub(super) fn living(&mut self, record: FlowRecord, now: u64) -> Option<FlowRecord> {
        let cpu = usize::from(record.cpu);
        if self.newest.len() <= cpu {
            self.newest.resize(cpu + 1, 0);
        }
        self.newest[cpu] = self.newest[cpu].max(record.incarnation);
        let known = Known {
            sides: record.sides,
            read_at: now,
        };
        match self.known.insert((record.cpu, record.incarnation), known) {
            Some(before) => since(&record, &before, self.swept_at),
            None => Some(record),
        }
    }

    /// A sweep that began at `now` has passed all entries.
    pub(super) fn swept(&mut self, now: u64) {
        self.swept_at = self.swept_at.max(now);
    }

    /// What is new in the last reading of an entry, which left the cache; `None` where nothing is.
    #[inline]
    pub(super) fn spilled(&mut self, record: FlowRecord) -> Option<FlowRecord> {
        let newest = self.newest.get(usize::from(record.cpu)).copied().unwrap_or(0);
        if record.incarnation > newest {
            return Some(record);
        }
        match self.known.remove(&(record.cpu, record.incarnation)) {
            Some(before) => since(&record, &before, self.swept_at),
            None => Some(record),
        }
    }

    /// Entries that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.known.len()
    }
}

fn since(record: &FlowRecord, before: &Known, swept_at: u64) -> Option<FlowRecord> {
    let read_at = before.read_at.max(swept_at);
    let low = side_since(&record.sides[0], &before.sides[0], read_at);
    let high = side_since(&record.sides[1], &before.sides[1], read_at);
    let origin = match (low.packets, high.packets) {
        (0, 0) => return None,
        // Should the flow have ended meanwhile, this is a new one, and the only side that sent something began it.
        (_, 0) => Side::Low,
        (0, _) => Side::High,
        _ => record.origin,
    };
    Some(FlowRecord {
        origin,
        sides: [low, high],
        ..*record
    })
}

/// `first` cannot be known for the new packets alone: they came after the reading before.
fn side_since(now: &SideCounters, before: &SideCounters, read_at: u64) -> SideCounters {
    let packets = now.packets.saturating_sub(before.packets);
    if before.packets == 0 || packets == 0 {
        return if packets == 0 {
            SideCounters::default()
        } else {
            *now
        };
    }
    let mut flag_counts = now.flag_counts;
    let mut tcp_flags = 0;
    for (bit, (count, known)) in flag_counts.iter_mut().zip(before.flag_counts).enumerate() {
        *count = count.saturating_sub(known);
        tcp_flags |= u8::from(*count != 0) << bit;
    }
    SideCounters {
        packets,
        ip_bytes: now.ip_bytes.saturating_sub(before.ip_bytes),
        wire_bytes: now.wire_bytes.saturating_sub(before.wire_bytes),
        first: if packets == 1 {
            now.last
        } else {
            read_at.clamp(before.last, now.last)
        },
        last: now.last,
        tcp_flags,
        ttl_min: now.ttl_min,
        ttl_max: now.ttl_max,
        flag_counts,
        fragments: now.fragments.saturating_sub(before.fragments),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sensor_ebpf::flow::{FlowKey, Handshake, HookDirection, Point};

    use super::*;

    fn record(incarnation: u64, low: u64, high: u64) -> FlowRecord {
        let side = |packets: u64| SideCounters {
            packets,
            ip_bytes: packets * 100,
            wire_bytes: packets * 114,
            first: 1_000,
            last: 1_000 + packets,
            tcp_flags: u8::from(packets != 0) << 4,
            flag_counts: [0, 0, 0, 0, packets as u32, 0, 0, 0],
            ..SideCounters::default()
        };
        FlowRecord {
            key: FlowKey::default(),
            point: Point {
                ifindex: 1,
                direction: HookDirection::Ingress,
            },
            cpu: 1,
            incarnation,
            origin: Side::High,
            sides: [side(low), side(high)],
            handshake: Handshake::default(),
            outer: None,
        }
    }

    #[test]
    fn a_record_that_no_sweep_has_read_passes_as_it_is() {
        let mut deltas = Deltas::default();
        assert_eq!(deltas.spilled(record(7, 3, 0)), Some(record(7, 3, 0)));
        assert_eq!(deltas.len(), 0);
    }

    #[test]
    fn only_what_is_new_comes_out_and_the_end_is_forgotten() {
        let mut deltas = Deltas::default();
        assert_eq!(deltas.living(record(7, 3, 1), 1_500), Some(record(7, 3, 1)));
        assert_eq!(deltas.living(record(7, 3, 1), 1_600), None);
        let new = deltas.living(record(7, 5, 1), 1_700).unwrap();
        assert_eq!(
            (new.sides[0].packets, new.sides[0].ip_bytes, new.sides[1].packets),
            (2, 200, 0)
        );
        assert_eq!((new.sides[0].flag_counts[4], new.sides[0].tcp_flags), (2, 16));
        assert_eq!(new.origin, Side::Low);
        let last = deltas.spilled(record(7, 5, 4)).unwrap();
        assert_eq!((last.sides[0].packets, last.sides[1].packets), (0, 3));
        assert_eq!(deltas.len(), 0);
    }

    /// A flow that was silent for minutes must not seem to go on from its last packet.
    #[test]
    fn what_is_new_came_after_the_last_sweep() {
        let mut deltas = Deltas::default();
        deltas.living(record(7, 3, 0), 1_500);
        deltas.swept(1_500);
        // Sweeps that find the entry unchanged do not read it.
        deltas.swept(600_000);
        let mut later = record(7, 5, 0);
        later.sides[0].last = 600_800;
        assert_eq!(deltas.living(later, 601_000).unwrap().sides[0].first, 600_000);
        deltas.swept(601_000);
        later.sides[0] = SideCounters {
            packets: 9,
            last: 900_000,
            ..later.sides[0]
        };
        deltas.swept(899_000);
        assert_eq!(deltas.spilled(later).unwrap().sides[0].first, 899_000);
    }

    proptest! {
        /// However often an entry is read on its way, the parts add up to its last reading.
        #[test]
        fn parts_add_up(steps in proptest::collection::vec((0u64..4, 0u64..4), 1..20)) {
            let mut deltas = Deltas::default();
            let (mut low, mut high) = (0, 0);
            let mut sum = [SideCounters::default(); 2];
            let mut add = |part: Option<FlowRecord>| {
                for (sum, side) in sum.iter_mut().zip(part.map_or_else(Default::default, |part| part.sides)) {
                    sum.packets += side.packets;
                    sum.ip_bytes += side.ip_bytes;
                    sum.wire_bytes += side.wire_bytes;
                    sum.flag_counts[4] += side.flag_counts[4];
                }
            };
            for (number, (more_low, more_high)) in steps.into_iter().enumerate() {
                low += more_low;
                high += more_high;
                add(deltas.living(record(9, low, high), number as u64));
            }
            add(deltas.spilled(record(9, low + 1, high)));
            let whole = record(9, low + 1, high);
            for (sum, side) in sum.iter().zip(whole.sides) {
                prop_assert_eq!(sum.packets, side.packets);
                prop_assert_eq!(sum.ip_bytes, side.ip_bytes);
                prop_assert_eq!(sum.wire_bytes, side.wire_bytes);
                prop_assert_eq!(sum.flag_counts[4], side.flag_counts[4]);
            }
            prop_assert_eq!(deltas.len(), 0);
        }
    }
}
