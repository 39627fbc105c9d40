//! The per-CPU flow cache and its record ring. `unsafe`: entries are reached through pointers into map memory that this
//! CPU alone writes (see `guard` in `main.rs`), and user space reads at the same time; the order of stores is the
//! contract (`sequence` odd while an entry changes, a record's bytes before the ring's `head`).

use core::arch::asm;
use core::intrinsics::{AtomicOrdering, atomic_xchg};
use core::mem::transmute;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use sensor_ebpf::counters::{PointCounters, REASON_SLOTS, Tally};
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::heads::FlowHeads;
use sensor_ebpf::layout::{
    CLOCK_PERIOD_SHIFT, COLD_RECORD, ColdEntry, CpuBlock, EntryBody, EntryHead, FlowSet, HOT_RECORD,
    POINT_CACHE, SLOT_BYTES, SideBody, TIME_SHIFT, WAYS, flag_lanes, meta,
};
use sensor_ebpf::parse::{Fragment, Packet};
use sensor_ebpf::settings::POINT_SLOTS;

use crate::programs::maps::{
    CACHE, CLOCK_READS, COLD, COUNTERS, CPUS, FLOW_HEADS, HASH_KEYS, POINTS, RING, RING_SLOTS, SET_MASK,
    WEAK_ORDER,
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;
const CWR: u8 = 128;

/// A side's counters are written out when one of them reaches this: no packet adds as much as is left above it.
const FULL: u32 = 0x8000_0000;

/// This CPU's block, its number, and the counters of the packet's observation point.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) number: u32,
    pub(crate) block: *mut CpuBlock,
}

impl Cpu {
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        // SAFETY: a helper without arguments.
        let number = unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() };
        let block = CPUS.get_ptr_mut(number)?;
        Some(Self { number, block })
    }

    /// Counters of a packed point; those of slot 0 for a point that no one registered.
    #[inline(always)]
    pub(crate) fn counters(self, point: u32) -> Option<*mut PointCounters> {
        let place = (point ^ point >> 3) as usize & (POINT_CACHE - 1);
        // SAFETY: `block` is this CPU's element of a map; `place` is below POINT_CACHE.
        let cached = unsafe { &mut (*self.block).points[place] };
        let slot = if (*cached >> 32) as u32 == point {
            *cached as u32
        } else {
            // SAFETY: the loader writes an element once, before the hook of that point is attached.
            match unsafe { POINTS.get(point) } {
                Some(slot) => {
                    *cached = u64::from(point) << 32 | u64::from(*slot);
                    *slot
                }
                None => 0,
            }
        };
        COUNTERS.get_ptr_mut(self.number * POINT_SLOTS + (slot & (POINT_SLOTS - 1)))
    }

    /// A precise time, if the rate of this CPU allows one.
    #[inline(always)]
    fn precise_time(self, coarse: u64) -> Option<u64> {
        // SAFETY: this CPU's element of a map.
        let block = unsafe { &mut *self.block };
        let period = coarse >> CLOCK_PERIOD_SHIFT;
        if block.clock_period != period {
            block.clock_period = period;
            block.clock_reads = 0;
        }
        if block.clock_reads >= u64::from(CLOCK_READS.load()) {
            return None;
        }
        block.clock_reads += 1;
        // SAFETY: a helper without arguments.
        Some(unsafe { bpf_ktime_get_ns() })
    }
}

/// What one buffer at a hook adds to its flow.
pub(crate) struct Added {
    /// Packed observation point.
    pub(crate) point: u32,
    /// Coarse time, nanoseconds.
    pub(crate) now: u64,
    pub(crate) packets: u32,
    pub(crate) ip_bytes: u32,
    pub(crate) wire_bytes: u32,
}

/// Where a packet was counted.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    index: u32,
    head: *mut EntryHead,
}

/// Counts a packet in its flow. `None`: a record had to leave and the ring was full; nothing was changed.
#[inline(always)]
pub(crate) fn account(
    cpu: Cpu,
    counters: *mut PointCounters,
    packet: &Packet,
    added: &Added,
) -> Option<Place> {
    // SAFETY: FlowKey is 48 bytes of integers without padding.
    let key: [u64; 6] = unsafe { transmute::<FlowKey, [u64; 6]>(packet.key) };
    let set_number = cpu.number * (SET_MASK.load() + 1) + (hash(&key, added.point) & SET_MASK.load());
    let set: *mut FlowSet = CACHE.get_ptr_mut(set_number)?;
    // SAFETY: an element of the cache; ways 0 and 1 exist.
    let heads = unsafe { (&raw mut (*set).heads).cast::<EntryHead>() };
    let bodies = unsafe { (&raw mut (*set).bodies).cast::<EntryBody>() };
    // SAFETY: as above.
    let (first, recent) = unsafe { (heads, (*heads).meta & meta::WAY1_RECENT) };
    // SAFETY: as above.
    let second = unsafe { heads.add(1) };

    let (way, fresh) = if is_flow(first, &key, added.point) {
        (0u32, false)
    } else if is_flow(second, &key, added.point) {
        (1, false)
    } else {
        // SAFETY: as above. An empty way, else the one that was not used last.
        let way = unsafe {
            if (*first).point == 0 {
                0
            } else if (*second).point == 0 {
                1
            } else if recent == 0 {
                1
            } else {
                0
            }
        };
        (way, true)
    };
    // SAFETY: `way` is 0 or 1.
    let (head, body) = unsafe { (heads.add(way as usize), bodies.add(way as usize)) };
    let index = set_number * WAYS as u32 + way;
    let side_number = masked::<1>(packet.sender as u32) as usize;
    // SAFETY: a side of an entry.
    let side = unsafe { (&raw mut (*body).sides).cast::<SideBody>().add(side_number) };

    // SAFETY: `head`, `body` and `side` point into this CPU's part of the cache.
    unsafe {
        let must_leave = if fresh {
            (*head).point != 0
        } else {
            ((*side).packets | (*side).ip_bytes | (*side).wire_bytes) & FULL != 0
        };
        if must_leave && !spill(cpu, counters, added.point, head, body, index) {
            return None;
        }
        begin(&raw mut (*head).sequence);
        if fresh || must_leave {
            let incarnation = (*cpu.block).next_incarnation + 1;
            (*cpu.block).next_incarnation = incarnation;
            let origin = if side_number == 0 { 0 } else { meta::ORIGIN_HIGH };
            // A flow that only starts a new incarnation keeps what the selector knows and what the handshake waits for.
            let kept = if fresh { meta::WAY1_RECENT } else { meta::KEPT };
            let mark = (*head).meta & kept;
            (*head).point = added.point;
            (&raw mut (*head).key).cast::<[u64; 6]>().write(key);
            (*head).meta = incarnation << meta::INCARNATION_SHIFT | origin | mark;
            *body = EntryBody::default();
        }
        let now = (added.now >> TIME_SHIFT) as u32;
        if (*side).packets == 0 {
            (*side).first = now;
            (*side).ttl_min = packet.ttl;
            (*side).ttl_max = packet.ttl;
        }
        (*side).packets += added.packets;
        (*side).ip_bytes += added.ip_bytes;
        (*side).wire_bytes += added.wire_bytes;
        (*side).last = now;
        if packet.ttl < (*side).ttl_min {
            (*side).ttl_min = packet.ttl;
        }
        if packet.ttl > (*side).ttl_max {
            (*side).ttl_max = packet.ttl;
        }
        if packet.tcp_flags != 0 {
            add_flags(head, side, index, side_number, packet.tcp_flags, added.packets);
            let awaits = meta::AWAITS_ACK << side_number;
            if packet.tcp_flags & SYN != 0 || (*head).meta & awaits != 0 {
                handshake(cpu, counters, head, index, awaits, packet.tcp_flags, added.now);
            }
        }
        if let Fragment::Later { .. } = packet.fragment
            && let Some(cold) = cold_half(head, index)
        {
            let count = (&raw mut (*cold).fragments).cast::<u32>().add(side_number);
            *count += added.packets;
        }
        if let Some((source, destination)) = packet.outer
            && (*head).meta & meta::OUTER == 0
            && let Some(cold) = cold_half(head, index)
        {
            (*cold).outer = [source, destination];
            (*head).meta |= meta::OUTER;
        }
        end(&raw mut (*head).sequence);
        let mark = if way == 0 { 0 } else { meta::WAY1_RECENT };
        if recent != mark {
            (*first).meta = (*first).meta & !meta::WAY1_RECENT | mark;
        }
    }
    Some(Place { index, head })
}

/// What the selector of payload heads remembers of the flow.
#[inline(always)]
pub(crate) fn flow_heads(place: Place) -> Option<*mut FlowHeads> {
    let heads = FLOW_HEADS.get_ptr_mut(place.index)?;
    // SAFETY: both point into this CPU's part of their maps.
    unsafe {
        if (*place.head).meta & meta::HEADS == 0 {
            (*place.head).meta |= meta::HEADS;
            *heads = FlowHeads::default();
        }
    }
    Some(heads)
}

/// Keyed NH (as in UMAC): the sum of products of 32-bit halves with the key added. Two keys collide with probability
/// 2^-32 over the random keys, so a flood cannot aim at a set. The products do not wait for each other.
#[inline(always)]
pub(crate) fn hash(key: &[u64; 6], point: u32) -> u32 {
    let seeds = HASH_KEYS.load();
    let mut sum = u64::from(point).wrapping_mul(seeds[6] | 1);
    let mut at = 0;
    while at < 6 {
        let word = key[at];
        let seed = seeds[at];
        let low = (word as u32).wrapping_add(seed as u32);
        let high = ((word >> 32) as u32).wrapping_add((seed >> 32) as u32);
        sum = sum.wrapping_add(u64::from(low).wrapping_mul(u64::from(high)));
        at += 1;
    }
    (sum.wrapping_mul(seeds[7] | 1) >> 32) as u32
}

#[inline(always)]
fn is_flow(head: *const EntryHead, key: &[u64; 6], point: u32) -> bool {
    // SAFETY: `head` is in this CPU's part of the cache; the key is 48 bytes at a multiple of 8.
    unsafe {
        let stored = (&raw const (*head).key).cast::<u64>();
        (*head).point == point
            && *stored.add(4) == key[4]
            && *stored.add(1) == key[1]
            && *stored.add(3) == key[3]
            && *stored.add(0) == key[0]
            && *stored.add(2) == key[2]
            && *stored.add(5) == key[5]
    }
}

/// Adds the flags of `packets` packets that one buffer stands for: FIN and PSH are on the last of them only, CWR on the
/// first.
#[inline(always)]
unsafe fn add_flags(
    head: *mut EntryHead,
    side: *mut SideBody,
    index: u32,
    side_number: usize,
    flags: u8,
    packets: u32,
) {
    // SAFETY: the caller's pointers into this CPU's part of the cache.
    unsafe {
        if packets == 1 && (*side).in_lanes < 255 {
            (*side).in_lanes += 1;
            (*side).lanes += flag_lanes(flags);
            return;
        }
        let Some(cold) = cold_half(head, index) else {
            return;
        };
        let counts = (&raw mut (*cold).flag_counts).cast::<[u32; 8]>().add(side_number);
        let once = flags & (FIN | PSH | CWR);
        let mut lanes = (*side).lanes;
        let mut bit = 0;
        while bit < 8 {
            let count = &mut (*counts)[bit];
            *count += (lanes & 0xff) as u32;
            lanes >>= 8;
            if flags >> bit & 1 != 0 {
                *count += if once >> bit & 1 != 0 { 1 } else { packets };
            }
            bit += 1;
        }
        (*side).lanes = 0;
        (*side).in_lanes = 0;
    }
}

/// Keeps the precise times of SYN, SYN-ACK and of the first ACK of the end that sent the SYN.
#[inline(always)]
unsafe fn handshake(
    cpu: Cpu,
    counters: *mut PointCounters,
    head: *mut EntryHead,
    index: u32,
    awaits: u64,
    flags: u8,
    now: u64,
) {
    // SAFETY: the caller's pointers into this CPU's part of the cache and of the counters.
    unsafe {
        let step = if flags & SYN == 0 {
            if flags & ACK == 0 {
                return;
            }
            (*head).meta &= !awaits;
            2
        } else if flags & ACK == 0 {
            (*head).meta |= awaits;
            0
        } else {
            1
        };
        if let Some(time) = cpu.precise_time(now) {
            let Some(cold) = cold_half(head, index) else {
                return;
            };
            let place = (&raw mut (*cold).handshake).cast::<u64>().add(step);
            // A retransmission does not move the time.
            if *place == 0 {
                *place = time;
            }
            (*counters).clock_read += 1;
        } else {
            (*counters).clock_refused += 1;
        }
    }
}

/// The cold half of an entry, emptied when it is first used.
#[inline(always)]
unsafe fn cold_half(head: *mut EntryHead, index: u32) -> Option<*mut ColdEntry> {
    let cold = COLD.get_ptr_mut(index)?;
    // SAFETY: `head` is in this CPU's part of the cache, `cold` the element that belongs to it.
    unsafe {
        if (*head).meta & meta::COLD == 0 {
            (*head).meta |= meta::COLD;
            cold.cast::<[u64; SLOT_BYTES / 8]>().write([0; SLOT_BYTES / 8]);
        }
    }
    Some(cold)
}

/// Writes an entry to this CPU's ring. `false`: no room; nothing was written.
#[inline(always)]
unsafe fn spill(
    cpu: Cpu,
    counters: *mut PointCounters,
    point: u32,
    head: *const EntryHead,
    body: *const EntryBody,
    index: u32,
) -> bool {
    let slots = RING_SLOTS.load();
    // SAFETY: this CPU's block; the entry is in this CPU's part of the cache; a slot is an element of the ring.
    unsafe {
        let has_cold = (*head).meta & meta::COLD != 0;
        let needed = if has_cold { 2 } else { 1 };
        let at = (*cpu.block).head;
        if at.wrapping_sub((*cpu.block).seen_tail) + needed > u64::from(slots) {
            let tail = read_volatile(&raw const (*cpu.block).tail);
            (*cpu.block).seen_tail = tail;
            if at.wrapping_sub(tail) + needed > u64::from(slots) {
                return false;
            }
        }
        let base = cpu.number * slots;
        let Some(slot) = RING.get_ptr_mut(base + (at as u32 & (slots - 1))) else {
            return false;
        };
        let kind = if has_cold { COLD_RECORD } else { HOT_RECORD };
        let words = slot.cast::<u64>();
        let from_head = head.cast::<u64>();
        let from_body = body.cast::<u64>();
        *words = u64::from(kind) | u64::from((*head).point) << 32;
        let mut word = 1;
        while word < 8 {
            *words.add(word) = *from_head.add(word);
            word += 1;
        }
        let mut word = 0;
        while word < 8 {
            *words.add(8 + word) = *from_body.add(word);
            word += 1;
        }
        if has_cold {
            let Some(cold) = COLD.get_ptr_mut(index) else {
                return false;
            };
            let Some(slot) = RING.get_ptr_mut(base + ((at as u32 + 1) & (slots - 1))) else {
                return false;
            };
            let mut word = 0;
            while word < SLOT_BYTES / 8 {
                *slot.cast::<u64>().add(word) = *cold.cast::<u64>().add(word);
                word += 1;
            }
        }
        publish(&raw mut (*cpu.block).head, at + needed);

        let victim = if (*head).point == point {
            counters
        } else {
            match cpu.counters((*head).point) {
                Some(counters) => counters,
                None => counters,
            }
        };
        let sides = (&raw const (*body).sides).cast::<SideBody>();
        count(
            &raw mut (*victim).recorded,
            (*sides).packets + (*sides.add(1)).packets,
            (*sides).wire_bytes + (*sides.add(1)).wire_bytes,
        );
        (*victim).records += 1;
        (*victim).cold_records += u64::from(has_cold);
    }
    true
}

/// `value & MASK` in a form that the compiler cannot drop. It knows the range of an enum or of a clamped length and would
/// leave the mask out; the verifier does not and needs it.
#[inline(always)]
pub(crate) fn masked<const MASK: u32>(value: u32) -> u32 {
    let mut value = u64::from(value);
    // SAFETY: one instruction on one register.
    unsafe { asm!("{0} &= {1}", inout(reg) value, const MASK, options(pure, nomem, nostack)) };
    value as u32
}

/// Bounds an index of a reason.
#[inline(always)]
pub(crate) fn reason_index(index: u32) -> usize {
    masked::<7>(index) as usize
}
const _: () = assert!(REASON_SLOTS == 8);

/// Adds to a tally of this CPU.
///
/// # Safety
/// `tally` points into this CPU's counters.
#[inline(always)]
pub(crate) unsafe fn count(tally: *mut Tally, packets: u32, bytes: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (*tally).packets += u64::from(packets);
        (*tally).bytes += u64::from(bytes);
    }
}

/// Makes the sequence odd before the entry changes.
#[inline(always)]
unsafe fn begin(sequence: *mut u32) {
    // SAFETY: the caller's pointer into this CPU's part of the cache. The empty asm block keeps the compiler from moving
    // stores over it; where the CPU may move them too, the exchange is a full barrier.
    unsafe {
        let odd = (*sequence).wrapping_add(1);
        if WEAK_ORDER.load() != 0 {
            atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(sequence, odd);
        } else {
            write_volatile(sequence, odd);
        }
        asm!("");
    }
}

/// Makes the sequence even after the entry changed.
#[inline(always)]
unsafe fn end(sequence: *mut u32) {
    // SAFETY: as in `begin`.
    unsafe {
        asm!("");
        // 0 is the sequence of an entry that was never used.
        let next = (*sequence).wrapping_add(1);
        let even = if next == 0 { 2 } else { next };
        if WEAK_ORDER.load() != 0 {
            atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(sequence, even);
        } else {
            write_volatile(sequence, even);
        }
    }
}

/// Stores `value` after everything before it.
#[inline(always)]
unsafe fn publish(place: *mut u64, value: u64) {
    // SAFETY: as in `begin`.
    unsafe {
        asm!("");
        if WEAK_ORDER.load() != 0 {
            atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(place, value);
        } else {
            write_volatile(place, value);
        }
    }
}

const _: () = assert!(Side::Low as usize == 0 && Side::High as usize == 1);
