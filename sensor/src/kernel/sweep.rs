//! Reads the entries that live in the flow cache, without clearing anything: counters are cumulative, so a reading only
//! tells more than the one before.

use std::collections::HashMap;

use sensor_ebpf::counters::{PointCounters, Tally};
use sensor_ebpf::flow::{FlowRecord, Point};
use sensor_ebpf::layout::{TIME_SHIFT, WAYS};
use sensor_ebpf::record::Clock;
use sensor_ebpf::settings::POINT_SLOTS;

use super::counters::{Counted, Filled, Snapshot};
use super::deltas::Deltas;
use super::load::Readers;
use super::maps::monotonic_now;
use crate::queue::Producer;

/// The coarse clock of the packets stands behind the clock of a sweep by up to a tick (10 ms at 100 Hz); entries that
/// changed this much before the last sweep are read again.
const COARSE_UNITS: u32 = 16;

/// Keeps what was read until the queue takes it.
#[derive(Debug, Default)]
pub(super) struct Sweeper {
    /// Read and not yet delivered: at most the entries of the cache.
    pending: Vec<FlowRecord>,
    /// Clock of the last sweep, in units of the cache's times; entries that did not change since are not handed out.
    last: Option<u32>,
}

impl Sweeper {
    /// Everything that was read is in the queue.
    pub(super) const fn is_delivered(&self) -> bool {
        self.pending.is_empty()
    }

    /// Puts what was read into the queue; `true` when nothing is left.
    pub(super) fn deliver(&mut self, records: &mut Producer<FlowRecord>) -> bool {
        if !self.pending.is_empty() {
            records.push_from(&mut self.pending);
        }
        self.pending.is_empty()
    }

    /// Reads every entry and all counters, CPU by CPU: counters, entries, counters again. To be called only when the last
    /// sweep was delivered. `None`: a CPU stood still in the middle of a packet, so nobody can tell what is where; the
    /// entries were read all the same.
    pub(super) fn sweep(
        &mut self,
        readers: &mut Readers,
        deltas: &mut Deltas,
        fullest_ring: Filled,
    ) -> Option<Snapshot> {
        let now = monotonic_now();
        let clock = Clock::at(now);
        let since = self.last.map(|last| last.wrapping_sub(COARSE_UNITS));
        self.last = Some((now >> TIME_SHIFT) as u32);
        let sizes = readers.cache.sizes();
        let mut resident: HashMap<Point, Tally> = HashMap::new();
        let mut entries = 0;
        let mut counted: Vec<Counted> = (0..POINT_SLOTS)
            .map(|slot| Counted {
                slot,
                ..Counted::default()
            })
            .collect();
        let mut whole = true;
        let pending = &mut self.pending;
        for cpu in 0..sizes.cpus {
            let before = readers.counters.settled(cpu);
            let swept = readers.cache.sweep(cpu, false, |entry| {
                resident
                    .entry(Point::unpack(entry.head.point))
                    .or_default()
                    .add(Tally {
                        packets: entry.packets(),
                        bytes: entry.wire_bytes(),
                    });
                // Times wrap: "not before" is a difference in the lower half of the circle.
                let changed = since.is_none_or(|since| {
                    let recent = |last: u32| last.wrapping_sub(since) < 1 << 31;
                    entry
                        .body
                        .sides
                        .iter()
                        .any(|side| side.packets != 0 && recent(side.last))
                });
                if changed {
                    pending.extend(deltas.living(entry.record(cpu, clock), now));
                }
            });
            entries += swept.entries + swept.unsettled;
            whole &= before.is_some() && swept.unsettled == 0;
            for (sum, before) in counted.iter_mut().zip(before.into_iter().flatten()) {
                let (counters, moved) = readers.counters.since(sum.slot, cpu, before);
                sum.counters.add(&counters);
                sum.moved.add(moved);
            }
        }
        deltas.swept(now);
        if !whole {
            return None;
        }
        let [fragments, head_sources] = readers.hints.fills();
        counted.retain(|counted| counted.counters != PointCounters::default());
        Some(Snapshot {
            read_at: now,
            counted,
            resident,
            nested: readers.counters.nested(),
            cache: Filled {
                used: entries as u64,
                limit: u64::from(sizes.sets) * WAYS as u64 * u64::from(sizes.cpus),
            },
            fullest_ring,
            head_ring: readers.heads.take_fullest(),
            fragments,
            head_sources,
        })
    }
}
