//! What few packets add to their flow, in the entry's cold half: handshake times, fragments, tunnel addresses, and TCP
//! flags past 255 packets. `unsafe`: as in `flow_cache.rs`.

use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::layout::{ColdEntry, EntryHead, SideBody, meta};
use sensor_ebpf::parse::{Fragment, Packet};

use crate::programs::cpu::{Cpu, clear};
use crate::programs::maps::COLD;

const FIN: u8 = 1;
pub(crate) const SYN: u64 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;
const CWR: u8 = 128;

/// Adds the flags of `packets` packets that one buffer stands for: FIN and PSH are on the last of them only, CWR on the
/// first. What the lanes hold goes along. A function of its own, with the five arguments that it may have: the upper half
/// of `index_and_side` says which side.
///
/// # Safety
/// `head` and `side` are those of the entry `index` in this CPU's part of the cache.
#[inline(never)]
pub(crate) unsafe fn add_flags(
    head: *mut EntryHead,
    side: *mut SideBody,
    index_and_side: u64,
    flags: u64,
    packets: u64,
) {
    let (index, side_number, flags) = (
        index_and_side as u32,
        (index_and_side >> 32) as usize & 1,
        flags as u8,
    );
    // SAFETY: the caller's promise.
    unsafe {
        let Some(cold) = cold_half(head, index) else {
            return;
        };
        let counts = (&raw mut (*cold).flag_counts).cast::<u32>().add(side_number * 8);
        let once = flags & (FIN | PSH | CWR);
        let mut lanes = (*side).lanes;
        let mut bit = 0;
        while bit < 8 {
            let mut more = (lanes & 0xff) as u32;
            lanes >>= 8;
            if flags >> bit & 1 != 0 {
                more += if once >> bit & 1 != 0 { 1 } else { packets as u32 };
            }
            *counts.add(bit) += more;
            bit += 1;
        }
        (*side).lanes = 0;
        (*side).in_lanes = 0;
    }
}

/// Keeps the precise times of SYN, SYN-ACK and of the first ACK of the end that sent the SYN.
///
/// # Safety
/// `head` is that of the entry `index` in this CPU's part of the cache; `counters` are this CPU's.
#[inline(always)]
pub(crate) unsafe fn handshake(
    cpu: Cpu,
    counters: *mut PointCounters,
    head: *mut EntryHead,
    index: u32,
    awaits: u64,
    flags: u64,
    now: u64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let step = if flags & SYN == 0 {
            if flags & u64::from(ACK) == 0 {
                return;
            }
            (*head).meta &= !awaits;
            2
        } else if flags & u64::from(ACK) == 0 {
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

/// Counts a later fragment; keeps the outer addresses of the flow's first packet in a tunnel.
///
/// # Safety
/// `head` is that of the entry `index` in this CPU's part of the cache.
#[inline(always)]
pub(crate) unsafe fn keep_rare(
    head: *mut EntryHead,
    index: u32,
    packet: &Packet,
    side_number: usize,
    packets: u64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Fragment::Later { .. } = packet.fragment
            && let Some(cold) = cold_half(head, index)
        {
            *(&raw mut (*cold).fragments).cast::<u32>().add(side_number) += packets as u32;
        }
        if let Some((source, destination)) = packet.outer
            && (*head).meta & meta::OUTER == 0
            && let Some(cold) = cold_half(head, index)
        {
            (*cold).outer = [source, destination];
            (*head).meta |= meta::OUTER;
        }
    }
}

/// The cold half of an entry, emptied when it is first used.
///
/// # Safety
/// `head` is that of the entry `index` in this CPU's part of the cache.
#[inline(always)]
unsafe fn cold_half(head: *mut EntryHead, index: u32) -> Option<*mut ColdEntry> {
    let cold = COLD.get_ptr_mut(index)?;
    // SAFETY: the caller's promise; `cold` is the element that belongs to the entry.
    unsafe {
        if (*head).meta & meta::COLD == 0 {
            (*head).meta |= meta::COLD;
            clear::<{ size_of::<ColdEntry>() / 8 }>(cold.cast());
        }
    }
    Some(cold)
}
