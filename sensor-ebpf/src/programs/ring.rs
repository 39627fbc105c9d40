//! Writes entries that leave the cache to this CPU's record ring. `unsafe`: entries and slots are map memory that this
//! CPU alone writes.

use core::ptr::read_volatile;

use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::layout::{
    COLD_RECORD, ColdEntry, EntryBody, EntryHead, HOT_RECORD, SLOT_BYTES, SideBody, meta,
};

use crate::programs::cpu::{Cpu, count};
use crate::programs::maps::{COLD, RING, RING_SLOTS};
use crate::programs::order::publish;

/// Writes an entry to this CPU's ring. `false`: no room; nothing was written.
///
/// # Safety
/// `head` and `body` are those of the entry `index` in this CPU's part of the cache; `counters` are this CPU's.
#[inline(always)]
pub(crate) unsafe fn spill(
    cpu: Cpu,
    counters: *mut PointCounters,
    point: u32,
    head: *const EntryHead,
    body: *const EntryBody,
    index: u32,
) -> bool {
    let slots = RING_SLOTS.load();
    // SAFETY: the caller's promise; the block is this CPU's; a slot is an element of the ring.
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
        *words = u64::from(kind) | u64::from((*head).point) << 32;
        copy::<7>(head.cast::<u64>().add(1), words.add(1));
        copy::<8>(body.cast::<u64>(), words.add(8));
        if has_cold && !spill_cold(index, base + ((at as u32 + 1) & (slots - 1))) {
            return false;
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

/// Writes the cold half of entry `index` to slot `to`.
#[inline(never)]
fn spill_cold(index: u32, to: u32) -> bool {
    let Some(cold) = COLD.get_ptr_mut(index) else {
        return false;
    };
    let Some(slot) = RING.get_ptr_mut(to) else {
        return false;
    };
    // SAFETY: both are elements of their maps and have as many words.
    unsafe { copy::<{ SLOT_BYTES / 8 }>(cold.cast::<u64>(), slot.cast::<u64>()) };
    true
}
const _: () = assert!(size_of::<ColdEntry>() == SLOT_BYTES);

/// # Safety
/// Both are valid for `N` words.
#[inline(always)]
unsafe fn copy<const N: usize>(from: *const u64, to: *mut u64) {
    let mut word = 0;
    while word < N {
        // SAFETY: the caller's promise.
        unsafe { *to.add(word) = *from.add(word) };
        word += 1;
    }
}
