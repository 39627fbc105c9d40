//! The per-CPU flow cache. `unsafe`: entries are reached through pointers into map memory that this CPU alone writes (see
//! `busy` in `programs.rs`), and user space reads at the same time; the order of stores is in `order.rs`.
//!
//! The body of an entry is read and written in words of eight bytes, whose meaning is [`SideBody`]'s on this
//! (little-endian) target.

use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::{KEY_IPV4, KeyWords};
use sensor_ebpf::hash::flow_hash;
use sensor_ebpf::heads::FlowHeads;
use sensor_ebpf::layout::{EntryBody, EntryHead, FlowSet, SideBody, TIME_SHIFT, WAYS, flag_lanes, meta};
use sensor_ebpf::parse::Packet;

use crate::programs::cpu::{Cpu, clear, masked, top_bit};
use crate::programs::maps::{CACHE, FLOW_HEADS, SET_MASK, hash_key};
use crate::programs::order::{begin, end};
use crate::programs::rare::{SYN, add_flags, handshake, keep_rare};
use crate::programs::ring::spill;

/// A side's counters are written out when one of them reaches this: no packet adds as much as is left above it.
const FULL: u64 = 0x8000_0000;
/// Packets that the lanes of TCP flags can count.
const LANES_FULL: u64 = 255;
/// Places in the third word of a side.
const TTL_MIN: u32 = 32;
const TTL_MAX: u32 = 40;
const IN_LANES: u32 = 48;

/// What one buffer at a hook adds to its flow. All of them in 64 bits, which costs the fewest instructions.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) key: KeyWords,
    /// 0: the key's low end sent it, 1: the high end.
    pub(crate) sender: u64,
    /// Packed observation point.
    pub(crate) point: u64,
    /// Coarse time, nanoseconds.
    pub(crate) now: u64,
    pub(crate) packets: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) wire_bytes: u64,
    pub(crate) ttl: u64,
    pub(crate) tcp_flags: u64,
}

/// Where a packet was counted.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    index: u32,
    head: *mut EntryHead,
}

/// Counts a packet in its flow; `rare` is the whole packet where it may have more than [`Arrival`] says. `None`: a record
/// had to leave and the ring was full; nothing was changed.
#[inline(always)]
pub(crate) fn account(
    cpu: Cpu,
    counters: *mut PointCounters,
    arrival: &Arrival,
    rare: Option<&Packet>,
) -> Option<Place> {
    let set_mask = SET_MASK.load();
    let hash = flow_hash(&arrival.key, arrival.point, hash_key);
    let set_number = cpu.number * (set_mask + 1) + (hash as u32 & set_mask);
    let set: *mut FlowSet = CACHE.get_ptr_mut(set_number)?;
    // SAFETY: an element of the cache; ways 0 and 1 exist.
    let (heads, bodies) = unsafe {
        (
            (&raw mut (*set).heads).cast::<EntryHead>(),
            (&raw mut (*set).bodies).cast::<EntryBody>(),
        )
    };
    let (way, fresh) = choose_way(heads, arrival);
    let sender = masked::<1>(arrival.sender);
    // SAFETY: `way` and `sender` are 0 or 1, and an entry has two sides.
    let (head, body, side) = unsafe {
        let body = bodies.add(way);
        let sides = (&raw mut (*body).sides).cast::<SideBody>();
        (heads.add(way), body, sides.add(sender as usize))
    };
    let index = set_number * WAYS as u32 + way as u32;

    // SAFETY: all of them point into this CPU's part of the cache.
    unsafe {
        let words = side.cast::<u64>();
        let must_leave = if fresh {
            (*head).point != 0
        } else {
            (*words | *words.add(1) << 32 | *words >> 32) & FULL != 0
        };
        if must_leave && !spill(cpu, counters, arrival.point, head, body, index) {
            return None;
        }
        let odd = begin(&raw mut (*head).sequence);
        if fresh || must_leave {
            renew(cpu, head, body, arrival, sender, fresh);
        }
        add(head, side, index, sender, arrival);
        if arrival.tcp_flags != 0 {
            let awaits = meta::AWAITS_ACK << sender;
            if arrival.tcp_flags & SYN != 0 || (*head).meta & awaits != 0 {
                handshake(cpu, counters, head, index, awaits, arrival.tcp_flags, arrival.now);
            }
        }
        if let Some(packet) = rare {
            keep_rare(head, index, packet, sender as usize, arrival.packets);
        }
        end(&raw mut (*head).sequence, odd);
        // Written each time: which way was used last is as good as random, and a store costs less than a wrong guess.
        (*heads).meta = (*heads).meta & !meta::WAY1_RECENT | way as u64;
    }
    Some(Place { index, head })
}
const _: () = assert!(meta::WAY1_RECENT == 1);

/// The way of the flow, or the way that it is to get and `true`: the one that was not used last. In a new set that is
/// way 1, then way 0.
#[inline(always)]
fn choose_way(heads: *mut EntryHead, arrival: &Arrival) -> (usize, bool) {
    // Which way a flow has is as good as random: a wrong guess of the CPU costs more than these instructions.
    // SAFETY: the heads of a set of two.
    let difference = unsafe { difference(heads, arrival) };
    let way = masked::<1>(top_bit(difference.wrapping_neg() | difference)) as usize;
    // SAFETY: as above.
    if unsafe { is_flow(heads.add(way), arrival) } {
        return (way, false);
    }
    // Way 0 looked like the flow and was not: IPv6 flows in the same networks with the same ports.
    // SAFETY: as above.
    if way == 0 && unsafe { is_flow(heads.add(1), arrival) } {
        return (1, false);
    }
    // SAFETY: as above.
    let recent = unsafe { (*heads).meta };
    (masked::<1>(!recent) as usize, true)
}

/// 0 where the point and the first three words of the key are the arrival's, which is all of an IPv4 key.
///
/// # Safety
/// `head` is in this CPU's part of the cache.
#[inline(always)]
unsafe fn difference(head: *const EntryHead, arrival: &Arrival) -> u64 {
    let key = &arrival.key;
    // SAFETY: the caller's promise.
    unsafe {
        let stored = (&raw const (*head).key).cast::<u64>();
        *stored ^ key[0]
            | *stored.add(1) ^ key[1]
            | *stored.add(2) ^ key[2]
            | u64::from((*head).point) ^ arrival.point
    }
}

/// # Safety
/// As [`difference`].
#[inline(always)]
unsafe fn is_flow(head: *const EntryHead, arrival: &Arrival) -> bool {
    let key = &arrival.key;
    // SAFETY: the caller's promise.
    unsafe {
        let stored = (&raw const (*head).key).cast::<u64>();
        difference(head, arrival) == 0
            && (key[1] & KEY_IPV4 != 0
                || *stored.add(3) == key[3] && *stored.add(4) == key[4] && *stored.add(5) == key[5])
    }
}

/// Begins an incarnation of the arrival's flow; `fresh`: another flow had the entry.
///
/// # Safety
/// `head` and `body` are those of an entry in this CPU's part of the cache.
#[inline(always)]
unsafe fn renew(
    cpu: Cpu,
    head: *mut EntryHead,
    body: *mut EntryBody,
    arrival: &Arrival,
    sender: u64,
    fresh: bool,
) {
    // SAFETY: the caller's promise; the block is this CPU's.
    unsafe {
        let incarnation = (*cpu.block).next_incarnation + 1;
        (*cpu.block).next_incarnation = incarnation;
        // A flow that only starts a new incarnation keeps what the selector knows and what the handshake waits for.
        let kept = if fresh { meta::WAY1_RECENT } else { meta::KEPT };
        let mark = (*head).meta & kept;
        (*head).point = arrival.point as u32;
        let key = (&raw mut (*head).key).cast::<u64>();
        *key = arrival.key[0];
        *key.add(1) = arrival.key[1];
        *key.add(2) = arrival.key[2];
        if arrival.key[1] & KEY_IPV4 == 0 {
            *key.add(3) = arrival.key[3];
            *key.add(4) = arrival.key[4];
            *key.add(5) = arrival.key[5];
        }
        (*head).meta = incarnation << meta::INCARNATION_SHIFT | (sender * meta::ORIGIN_HIGH) | mark;
        clear::<8>(body.cast::<u64>());
    }
}

/// Adds to the counters of a side.
///
/// # Safety
/// `head` and `side` are those of the entry `index` in this CPU's part of the cache.
#[inline(always)]
unsafe fn add(head: *mut EntryHead, side: *mut SideBody, index: u32, sender: u64, arrival: &Arrival) {
    let now = arrival.now >> TIME_SHIFT & 0xffff_ffff;
    let ttl = arrival.ttl;
    // SAFETY: the caller's promise; a side has four words.
    unsafe {
        let words = side.cast::<u64>();
        let counts = *words;
        let mut bytes = *words.add(1);
        let mut rest = *words.add(2) & !0xffff_ffff;
        if counts as u32 == 0 {
            bytes = now << 32;
            rest = ttl << TTL_MIN | ttl << TTL_MAX;
        } else if rest >> TTL_MIN & 0xffff != (ttl | ttl << 8) {
            rest = with_ttl(rest, ttl);
        }
        // Neither half overflows: both are below FULL.
        *words = counts + (arrival.packets | arrival.ip_bytes << 32);
        *words.add(1) = bytes + arrival.wire_bytes;
        let flags = arrival.tcp_flags;
        if flags != 0 {
            if arrival.packets == 1 && rest >> IN_LANES & 0xff != LANES_FULL {
                rest += 1 << IN_LANES;
                *words.add(3) += flag_lanes(flags as u8);
            } else {
                add_flags(
                    head,
                    side,
                    u64::from(index) | sender << 32,
                    flags,
                    arrival.packets,
                );
                rest &= !(0xff << IN_LANES);
            }
        }
        *words.add(2) = rest | now;
    }
}

#[inline(always)]
fn with_ttl(rest: u64, ttl: u64) -> u64 {
    let (least, most) = (rest >> TTL_MIN & 0xff, rest >> TTL_MAX & 0xff);
    let least = if ttl < least { ttl } else { least };
    let most = if ttl > most { ttl } else { most };
    rest & !(0xffff << TTL_MIN) | least << TTL_MIN | most << TTL_MAX
}

impl Place {
    /// Nothing is known to the selector of payload heads of this flow.
    #[inline(always)]
    pub(crate) fn is_unknown(self) -> bool {
        // SAFETY: an entry in this CPU's part of the cache.
        unsafe { (*self.head).meta & meta::HEADS == 0 }
    }

    /// What the selector of payload heads remembers of the flow.
    #[inline(always)]
    pub(crate) fn heads(self) -> Option<*mut FlowHeads> {
        let heads = FLOW_HEADS.get_ptr_mut(self.index)?;
        if self.is_unknown() {
            // SAFETY: both are this CPU's parts of their maps; the state is 16 bytes at a multiple of 8.
            unsafe {
                (*self.head).meta |= meta::HEADS;
                heads.cast::<u64>().write(0);
                heads.cast::<u64>().add(1).write(0);
            }
        }
        Some(heads)
    }
}
const _: () = assert!(size_of::<FlowHeads>() == 16);
