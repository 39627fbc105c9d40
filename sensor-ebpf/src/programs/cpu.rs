//! What belongs to the CPU that runs the program: its block, its counters, its share of the precise clock. `unsafe`: map
//! memory is reached through pointers; only this CPU writes it, and its programs run one after the other (`busy` proves
//! it).

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use sensor_ebpf::counters::{PointCounters, REASON_SLOTS, Tally};
use sensor_ebpf::layout::{CLOCK_PERIOD_SHIFT, CpuBlock, POINT_CACHE};
use sensor_ebpf::settings::POINT_SLOTS;

use crate::programs::maps::{CLOCK_READS, COUNTERS, CPUS, POINTS};

/// This CPU's number and block.
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
    pub(crate) fn counters(self, point: u64) -> Option<*mut PointCounters> {
        let place = (point ^ point >> 3) as usize & (POINT_CACHE - 1);
        // SAFETY: `block` is this CPU's element of a map; `place` is below POINT_CACHE.
        let cached = unsafe { (&raw mut (*self.block).points).cast::<u64>().add(place) };
        // SAFETY: as above.
        let known = unsafe { *cached };
        let slot = if known >> 32 == point {
            known as u32
        } else {
            // The loader writes an element once, before the hook of that point is attached, so a missing one may be
            // remembered too.
            // SAFETY: the element is read at once.
            let slot = match unsafe { POINTS.get(point as u32) } {
                Some(slot) => *slot,
                None => 0,
            };
            // SAFETY: as above.
            unsafe { *cached = point << 32 | u64::from(slot) };
            slot
        };
        COUNTERS.get_ptr_mut(self.number * POINT_SLOTS + (slot & (POINT_SLOTS - 1)))
    }

    /// A precise time, if the rate of this CPU allows one.
    #[inline(always)]
    pub(crate) fn precise_time(self, coarse: u64) -> Option<u64> {
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

/// Adds to a tally of this CPU.
///
/// # Safety
/// `tally` points into this CPU's counters.
#[inline(always)]
pub(crate) unsafe fn count(tally: *mut Tally, packets: u64, bytes: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        (*tally).packets += packets;
        (*tally).bytes += bytes;
    }
}

/// Writes `N` zeros. Volatile: the compiler would make a call of them to a loop that writes bytes.
///
/// # Safety
/// `words` is valid for `N` words.
#[inline(always)]
pub(crate) unsafe fn clear<const N: usize>(words: *mut u64) {
    let mut word = 0;
    while word < N {
        // SAFETY: the caller's promise.
        unsafe { words.add(word).write_volatile(0) };
        word += 1;
    }
}

/// The top bit, in a form that the compiler does not make a jump of.
#[inline(always)]
pub(crate) fn top_bit(number: u64) -> u64 {
    let mut bit = number;
    // SAFETY: one instruction on one register.
    unsafe { asm!("{0} >>= 63", inout(reg) bit, options(pure, nomem, nostack)) };
    bit
}

/// `value & MASK` in a form that the compiler cannot drop. It knows the range of an enum or of a clamped length and would
/// leave the mask out; the verifier does not and needs it.
#[inline(always)]
pub(crate) fn masked<const MASK: u32>(value: u64) -> u64 {
    let mut value = value;
    // SAFETY: one instruction on one register.
    unsafe { asm!("{0} &= {1}", inout(reg) value, const MASK, options(pure, nomem, nostack)) };
    value
}

/// Bounds an index of a reason.
#[inline(always)]
pub(crate) fn reason_index(index: u32) -> usize {
    masked::<7>(u64::from(index)) as usize
}
const _: () = assert!(REASON_SLOTS == 8);
