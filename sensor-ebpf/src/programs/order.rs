//! The order of stores that user space relies on: an entry's `sequence` is odd while the entry changes, and a record's
//! bytes stand in the ring before its `head` says so.

use core::arch::asm;
use core::intrinsics::{AtomicOrdering, atomic_xchg};
use core::ptr::write_volatile;

use crate::programs::maps::WEAK_ORDER;

/// Makes the sequence odd before the entry changes; returns it.
///
/// # Safety
/// `sequence` points into this CPU's part of the cache.
#[inline(always)]
pub(crate) unsafe fn begin(sequence: *mut u32) -> u32 {
    // SAFETY: the caller's promise. The empty asm block keeps the compiler from moving stores over it; where the CPU may
    // move them too, the exchange is a full barrier.
    unsafe {
        let odd = (*sequence).wrapping_add(1);
        if WEAK_ORDER.load() != 0 {
            atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(sequence, odd);
        } else {
            write_volatile(sequence, odd);
        }
        asm!("");
        odd
    }
}

/// Makes the sequence even after the entry changed; `odd` is what [`begin`] returned.
///
/// # Safety
/// As [`begin`].
#[inline(always)]
pub(crate) unsafe fn end(sequence: *mut u32, odd: u32) {
    // 0 is the sequence of an entry that was never used.
    let next = odd.wrapping_add(1);
    let even = if next == 0 { 2 } else { next };
    // SAFETY: as in `begin`.
    unsafe {
        asm!("");
        if WEAK_ORDER.load() != 0 {
            atomic_xchg::<u32, { AtomicOrdering::SeqCst }>(sequence, even);
        } else {
            write_volatile(sequence, even);
        }
    }
}

/// Stores `value` after everything before it.
///
/// # Safety
/// `place` points into this CPU's block.
#[inline(always)]
pub(crate) unsafe fn publish(place: *mut u64, value: u64) {
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
