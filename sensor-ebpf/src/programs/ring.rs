//! Writes entries that leave the cache to this CPU's record ring. `unsafe`: entries and slots are map memory that this
//! CPU alone writes.

use core::ptr::read_volatile;

use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::KEY_IPV4;
use sensor_ebpf::layout::{
    COLD_RECORD, EntryBody, EntryHead, HOT_RECORD, SHORT_KEY, SHORT_RECORD, SideBody, meta,
};

use crate::programs::cpu::{Cpu, count, masked};
use crate::programs::maps::{COLD, RING, RING_SLOTS};
use crate::programs::order::publish;

/// Place of a side's `zero` in its third word.
const ZERO: u32 = 56;

/// Writes an entry to this CPU's ring. `false`: no room; nothing was written.
///
/// # Safety
/// `head` and `body` are those of the entry `index` in this CPU's part of the cache; `counters` are this CPU's.
#[inline(always)]
pub(crate) unsafe fn spill(
    cpu: Cpu,
    counters: *mut PointCounters,
    point: u64,
    head: *const EntryHead,
    body: *const EntryBody,
    index: u32,
) -> bool {
    let slots = RING_SLOTS.load();
    // SAFETY: the caller's promise; the block is this CPU's; a slot is an element of the ring.
    unsafe {
        let has_cold = (*head).meta & meta::COLD != 0;
        let words = body.cast::<u64>();
        let (low, high) = (*words, *words.add(4));
        let key = (&raw const (*head).key).cast::<u64>();
        let kinds = *key.add(1);
        // Only the side that sent anything has packets in its first word.
        let is_short = !has_cold && (low == 0 || high == 0) && kinds & !SHORT_KEY == KEY_IPV4;
        let needed = if is_short {
            1
        } else if has_cold {
            4
        } else {
            2
        };
        let at = (*cpu.block).head;
        if at.wrapping_sub((*cpu.block).seen_tail) + needed > u64::from(slots) {
            let tail = read_volatile(&raw const (*cpu.block).tail);
            (*cpu.block).seen_tail = tail;
            if at.wrapping_sub(tail) + needed > u64::from(slots) {
                return false;
            }
        }
        let ring = Ring {
            base: cpu.number * slots,
            mask: slots - 1,
        };
        let Some(slot) = ring.slot(at) else { return false };
        let head_word = u64::from((*head).point) << 32;
        if is_short {
            let side = if low == 0 { 1 } else { 0 };
            let sent = words.add(masked::<1>(side) as usize * 4);
            *slot = head_word | u64::from(SHORT_RECORD) | side | kinds >> 16 << 1 & 6;
            *slot.add(1) = *key.add(2);
            *slot.add(2) = *key;
            *slot.add(3) = (*head).meta;
            *slot.add(4) = low | high;
            *slot.add(5) = *sent.add(1);
            *slot.add(6) = *sent.add(2) | (kinds & 0xff) << ZERO;
            *slot.add(7) = *sent.add(3);
        } else {
            let kind = if has_cold { COLD_RECORD } else { HOT_RECORD };
            *slot = head_word | u64::from(kind);
            copy::<7>(head.cast::<u64>().add(1), slot.add(1));
            let Some(slot) = ring.slot(at + 1) else {
                return false;
            };
            copy::<8>(words, slot);
            if has_cold && !spill_cold(index, ring.index(at + 2), ring.index(at + 3)) {
                return false;
            }
        }
        publish(&raw mut (*cpu.block).head, at + needed);

        let victim = if u64::from((*head).point) == point {
            counters
        } else {
            match cpu.counters(u64::from((*head).point)) {
                Some(counters) => counters,
                None => counters,
            }
        };
        let sides = (&raw const (*body).sides).cast::<SideBody>();
        count(
            &raw mut (*victim).recorded,
            u64::from((*sides).packets) + u64::from((*sides.add(1)).packets),
            u64::from((*sides).wire_bytes) + u64::from((*sides.add(1)).wire_bytes),
        );
        (*victim).records += 1;
        (*victim).cold_records += u64::from(has_cold);
    }
    true
}

/// This CPU's part of the ring.
#[derive(Clone, Copy)]
struct Ring {
    base: u32,
    mask: u32,
}

impl Ring {
    #[inline(always)]
    fn index(self, position: u64) -> u32 {
        self.base + (position as u32 & self.mask)
    }

    #[inline(always)]
    fn slot(self, position: u64) -> Option<*mut u64> {
        Some(RING.get_ptr_mut(self.index(position))?.cast())
    }
}

/// Writes the cold half of entry `index` to two slots.
#[inline(never)]
fn spill_cold(index: u32, to: u32, then_to: u32) -> bool {
    let (Some(cold), Some(slot), Some(next)) = (
        COLD.get_ptr_mut(index),
        RING.get_ptr_mut(to),
        RING.get_ptr_mut(then_to),
    ) else {
        return false;
    };
    let cold = cold.cast::<u64>();
    // SAFETY: elements of their maps; the cold half is as long as two slots.
    unsafe {
        copy::<8>(cold, slot.cast());
        copy::<8>(cold.add(8), next.cast());
    }
    true
}

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
