//! Flows out of the kernel's records: joins what was seen on several CPUs and at several observation points.
//!
//! A router sees a packet twice, when it comes in and when it leaves; a bridge four times. So the totals of a side of a
//! flow are those of the one point that saw that side first (ties: ingress before egress, then the lower interface
//! index), and what the other points saw stands in `seen_at`. It is decided per side, because a host sees the two sides
//! of its flows at two points: ingress and egress.
//!
//! Who sent the first packet is certain within a record. Between records of different CPUs or points the kernel's clock
//! may not tell (one tick), then TCP's flags, ICMP's types or the ports do.

use std::collections::HashMap;
use std::num::NonZeroU64;

use lynceus_model::flow::{FlowEnd, FlowUpdate, SeenAt};
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowKey, FlowRecord, HookDirection, Point, Side, SideCounters};

use super::entry::{Content, Counts, Entry, Handshake, Rare};
use super::index::Hash;
use super::slab::Slab;
use super::state::{self, SYN};
use super::{ACK_BIT, Expiry, FlowTable, ICMP, ICMPV6, TCP, TableFull, nanos, silent};
use crate::clock::WallClock;

/// Observation points of one side of a flow besides the first: more than a bridge in a router has. What still others saw
/// is counted in [`super::TableStats::unlisted_points`].
const MOST_OTHERS: usize = 14;

/// What the table keeps of a flow only where records come from a kernel: one cache line.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Live {
    /// Packed [`Point`] whose counts are those of the side; 0: none yet.
    points: [u32; 2],
    /// When it saw the side first.
    firsts: [Timestamp; 2],
    /// Who told the origin: CPU and packed point of the record.
    origin_from: (u16, u32),
    /// Precise times of the handshake.
    syn: Option<NonZeroU64>,
    syn_ack: Option<NonZeroU64>,
    /// What other points saw; few flows have any.
    #[expect(
        clippy::box_collection,
        reason = "16 bytes less in each of a million flows that have none"
    )]
    others: Option<Box<Vec<Other>>>,
}

const _: () = assert!(size_of::<Live>() == 64);

/// A side of the flow as another point saw it.
struct Other {
    side: usize,
    point: u32,
    first: Timestamp,
    seen: Seen,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    counts: Counts,
    flags: u8,
    flag_counts: [u32; 8],
}

/// Per-place data and names that only live capture needs.
pub(super) struct LiveTable {
    places: Slab<Live>,
    names: HashMap<u32, String>,
}

impl LiveTable {
    pub(super) fn new() -> Self {
        Self {
            places: Slab::new(),
            names: HashMap::new(),
        }
    }

    /// Brings a flow's line near; 0 where there is none.
    #[inline]
    pub(super) fn touch(&self, slot: u32) -> u32 {
        if (slot as usize) < self.places.capacity() {
            self.places[slot].points[0]
        } else {
            0
        }
    }

    /// Bytes that the table holds for live capture.
    pub(super) const fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Live>()
    }
}

impl FlowTable {
    /// Tells the name of an interface for `seen_at`.
    pub fn name_interface(&mut self, ifindex: u32, name: &str) {
        self.live.names.insert(ifindex, name.to_owned());
    }

    /// Adds what is new: each packet must be in one record only (cumulative readings are made so by the sensor's drain
    /// thread). Records may come late and in any order; time passes only by [`FlowTable::tick`].
    ///
    /// # Errors
    /// The table is full and [`super::WhenFull::Fail`] was chosen; the record was not added.
    pub fn record(
        &mut self,
        record: &FlowRecord,
        clock: WallClock,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<(), TableFull> {
        self.hashed_record(self.index.hash(&record.key), record, clock, ended)
    }

    pub(super) fn hashed_record(
        &mut self,
        hash: Hash,
        record: &FlowRecord,
        clock: WallClock,
        ended: &mut Vec<FlowUpdate>,
    ) -> Result<(), TableFull> {
        let seen = || record.sides.iter().filter(|side| side.packets != 0);
        let Some(first) = seen().map(|side| side.first).min() else {
            return Ok(());
        };
        let first = clock.wall(first);
        let entries = &self.entries;
        let slot = match self.index.find(hash, |slot| entries[slot].key == record.key) {
            Some(slot) => {
                if let Some(end) = self.is_new_record_flow(slot, record, first) {
                    self.report(slot, end, ended);
                    self.entries[slot] = Entry::of_record(record, first);
                    self.begin_live(slot, record);
                    self.take_word(slot);
                } else {
                    self.settle_origin(slot, record, first);
                }
                slot
            }
            None => {
                let slot = self.begin(hash, Entry::of_record(record, first), ended)?;
                while self.live.places.capacity() <= slot as usize {
                    self.live.places.grow();
                }
                self.begin_live(slot, record);
                self.take_word(slot);
                slot
            }
        };
        for (side, counters) in record.sides.iter().enumerate() {
            if counters.packets != 0 {
                self.add_side(slot, side, record.point, counters, clock);
            }
        }
        if record.key.protocol == TCP {
            self.measure_live(slot, record);
        }
        Ok(())
    }

    /// Points that saw the flow: that of the originator's side, that of the responder's, then the others.
    pub(super) fn seen_at(&self, slot: u32) -> Vec<SeenAt> {
        if slot as usize >= self.live.places.capacity() {
            return Vec::new();
        }
        let (entry, live) = (&self.entries[slot], &self.live.places[slot]);
        let mut points: Vec<(u32, u64)> = Vec::with_capacity(2);
        let primary = [entry.origin as usize, entry.origin.other() as usize]
            .into_iter()
            .map(|side| (live.points[side], entry.counts[side].packets));
        let others = live.others.iter().flat_map(|others| others.iter());
        let others = others.map(|other| (other.point, other.seen.counts.packets));
        for (point, packets) in primary.chain(others).filter(|(point, _)| *point != 0) {
            match points.iter_mut().find(|(known, _)| *known == point) {
                Some((_, sum)) => *sum += packets,
                None => points.push((point, packets)),
            }
        }
        points
            .into_iter()
            .map(|(point, packets)| self.name_point(unpack(point), packets))
            .collect()
    }

    fn name_point(&self, point: Point, packets: u64) -> SeenAt {
        let name = self.live.names.get(&point.ifindex);
        SeenAt {
            interface: name.cloned().unwrap_or_else(|| format!("if{}", point.ifindex)),
            egress: point.direction == HookDirection::Egress,
            packets,
        }
    }

    fn begin_live(&mut self, slot: u32, record: &FlowRecord) {
        self.live.places[slot] = Live {
            origin_from: (record.cpu, pack(record.point)),
            ..Live::default()
        };
    }

    /// As for packets: the record cannot belong to the flow that has its key.
    fn is_new_record_flow(&self, slot: u32, record: &FlowRecord, first: Timestamp) -> Option<FlowEnd> {
        let Expiry::Timeouts(timeouts) = &self.config.expiry else {
            return None;
        };
        let entry = &self.entries[slot];
        let silence = first.0.saturating_sub(entry.last.0);
        if silence > nanos(timeouts.idle(entry)) {
            Some(silent(entry))
        } else if silence > 0 && state::is_over(entry.flags) && record.sides.iter().any(opens) {
            Some(FlowEnd::Closed)
        } else {
            None
        }
    }

    /// Corrects who sent the first packet, if the record knows better and nobody was told yet.
    fn settle_origin(&mut self, slot: u32, record: &FlowRecord, first: Timestamp) {
        let entry = &mut self.entries[slot];
        let live = &mut self.live.places[slot];
        let told = entry.rare.as_ref().is_some_and(|rare| rare.reported.is_some());
        let from = (record.cpu, pack(record.point));
        if told || record.origin == entry.origin || first > entry.first {
            return;
        }
        // Records of one CPU and point come in the order in which their entries began.
        if first == entry.first && (from == live.origin_from || !likelier(entry, record)) {
            return;
        }
        entry.origin = record.origin;
        if let Some((kind, code)) = icmp(&record.key, record.origin) {
            entry.content = Content::Icmp(kind, code);
        }
        live.origin_from = from;
    }

    fn add_side(&mut self, slot: u32, side: usize, point: Point, counters: &SideCounters, clock: WallClock) {
        let entry = &mut self.entries[slot];
        let live = &mut self.live.places[slot];
        let (first, last) = (clock.wall(counters.first), clock.wall(counters.last));
        entry.first = entry.first.min(first);
        entry.last = entry.last.max(last);
        let point = pack(point);
        let (primary, primary_first) = (&mut live.points[side], &mut live.firsts[side]);
        if *primary == 0 {
            (*primary, *primary_first) = (point, first);
        }
        if *primary == point {
            *primary_first = (*primary_first).min(first);
            let mut seen = entry.seen_by_primary(side);
            seen.add(counters);
            entry.set_primary(side, &seen);
            return;
        }
        let others = live.others.get_or_insert_default();
        let place = others
            .iter()
            .position(|other| other.side == side && other.point == point);
        let place = match place {
            Some(place) => place,
            None if others.len() < MOST_OTHERS => {
                others.push(Other {
                    side,
                    point,
                    first,
                    seen: Seen::default(),
                });
                others.len() - 1
            }
            None => {
                self.stats.unlisted_points += counters.packets;
                return;
            }
        };
        let other = &mut others[place];
        other.first = other.first.min(first);
        other.seen.add(counters);
        let told = entry.rare.as_ref().is_some_and(|rare| rare.reported.is_some());
        if !told && order(other.first, other.point) < order(*primary_first, *primary) {
            let before = entry.seen_by_primary(side);
            entry.set_primary(side, &other.seen);
            other.seen = before;
            std::mem::swap(&mut other.point, primary);
            std::mem::swap(&mut other.first, primary_first);
        }
    }

    /// From the SYN to the SYN-ACK, whichever record tells of them.
    fn measure_live(&mut self, slot: u32, record: &FlowRecord) {
        let live = &mut self.live.places[slot];
        let earlier =
            |known: Option<NonZeroU64>, new: Option<u64>| match (known, new.and_then(NonZeroU64::new)) {
                (Some(known), Some(new)) => Some(known.min(new)),
                (known, new) => known.or(new),
            };
        live.syn = earlier(live.syn, record.handshake.syn);
        live.syn_ack = earlier(live.syn_ack, record.handshake.syn_ack);
        if let (Some(syn), Some(syn_ack)) = (live.syn, live.syn_ack)
            && let Some(rtt) = syn_ack.get().checked_sub(syn.get())
        {
            self.entries[slot].handshake = Handshake::Measured;
            self.handshakes[slot] = i64::try_from(rtt).unwrap_or(i64::MAX);
        }
    }
}

impl Entry {
    fn of_record(record: &FlowRecord, first: Timestamp) -> Self {
        Self {
            key: record.key,
            first,
            last: first,
            origin: record.origin,
            used: true,
            content: Content::of(icmp(&record.key, record.origin)),
            rare: record.outer.map(|outer| {
                Box::new(Rare {
                    outer: Some(outer),
                    reported: None,
                })
            }),
            ..Self::default()
        }
    }

    const fn seen_by_primary(&self, side: usize) -> Seen {
        Seen {
            counts: self.counts[side],
            flags: self.flags[side],
            flag_counts: self.flag_counts[side],
        }
    }

    const fn set_primary(&mut self, side: usize, seen: &Seen) {
        self.counts[side] = seen.counts;
        self.flags[side] = seen.flags;
        self.flag_counts[side] = seen.flag_counts;
    }
}

impl Seen {
    fn add(&mut self, counters: &SideCounters) {
        self.counts.packets += counters.packets;
        self.counts.ip_bytes += counters.ip_bytes;
        self.counts.wire_bytes += counters.wire_bytes;
        self.flags |= counters.tcp_flags;
        for (sum, count) in self.flag_counts.iter_mut().zip(counters.flag_counts) {
            *sum = sum.wrapping_add(count);
        }
    }
}

/// Points in the order in which they saw a packet.
fn order(first: Timestamp, point: u32) -> (Timestamp, bool, u32) {
    let point = unpack(point);
    (first, point.direction == HookDirection::Egress, point.ifindex)
}

/// Sent a SYN that was no SYN-ACK.
fn opens(side: &SideCounters) -> bool {
    side.tcp_flags & SYN != 0 && u64::from(side.flag_counts[ACK_BIT]) < side.packets
}

/// Whether the record's origin is a likelier originator than the entry's, where time does not tell.
fn likelier(entry: &Entry, record: &FlowRecord) -> bool {
    let new = record.origin as usize;
    match record.key.protocol {
        TCP => {
            let old = entry.origin as usize;
            let entry_opens = entry.flags[old] & SYN != 0
                && u64::from(entry.flag_counts[old][ACK_BIT]) < entry.counts[old].packets;
            let answered = entry.flags[old] & SYN != 0 && !entry_opens;
            if entry_opens || opens(&record.sides[new]) {
                !entry_opens
            } else if answered {
                true
            } else {
                asks_by_port(&record.key, record.origin)
            }
        }
        ICMP | ICMPV6 => asks_by_type(&record.key, record.origin),
        _ => asks_by_port(&record.key, record.origin),
    }
}

/// The end with the higher port is the client, as services have low ones.
const fn asks_by_port(key: &FlowKey, side: Side) -> bool {
    match side {
        Side::Low => key.low_port > key.high_port,
        Side::High => key.high_port > key.low_port,
    }
}

/// Echo, timestamp, information, mask and router solicitation; echo, multicast listener query, router and neighbor
/// solicitation (RFC 792, 950, 1256, 4443, 2710, 4861).
const fn asks_by_type(key: &FlowKey, side: Side) -> bool {
    let port = match side {
        Side::Low => key.low_port,
        Side::High => key.high_port,
    };
    if key.protocol == ICMP {
        matches!(port, 8 | 10 | 13 | 15 | 17)
    } else {
        matches!(port, 128 | 130 | 133 | 135)
    }
}

/// Type and code of the first message, from the ports that Community ID v1 makes of them: of a message that can have an
/// answer the originator's port is the type, and all of them have code 0; else the ports are type and code.
fn icmp(key: &FlowKey, origin: Side) -> Option<(u8, u8)> {
    if !matches!(key.protocol, ICMP | ICMPV6) || (key.low_port, key.high_port) == (0, 0) {
        return None;
    }
    let (mine, others) = match origin {
        Side::Low => (key.low_port, key.high_port),
        Side::High => (key.high_port, key.low_port),
    };
    let code = if key.one_way == 0 { 0 } else { others };
    Some((u8::try_from(mine).ok()?, u8::try_from(code).ok()?))
}

/// An observation point in one number that is not 0.
const fn pack(point: Point) -> u32 {
    point.ifindex << 1 | point.direction as u32
}

const fn unpack(packed: u32) -> Point {
    let direction = if packed & 1 == 0 {
        HookDirection::Ingress
    } else {
        HookDirection::Egress
    };
    Point {
        ifindex: packed >> 1,
        direction,
    }
}
