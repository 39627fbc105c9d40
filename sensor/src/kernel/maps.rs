//! The maps of the kernel programs, read in place: record rings, flow cache, counters.
//!
//! The one file of the sensor with `unsafe`: it maps the descriptors of the array maps (`BPF_F_MMAPABLE`, Linux 5.5)
//! and reads memory that the kernel writes at the same time. The order of stores that the programs promise is in
//! [`sensor_ebpf::layout`].
#![allow(
    unsafe_code,
    reason = "memory shared with the kernel; each block says why it holds"
)]

mod found;

use std::io;
use std::mem::transmute;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::thread;
use std::time::Duration;

use lynceus_model::status::Moved;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::flow::FlowRecord;
use sensor_ebpf::layout::{
    COLD_RECORD, ColdEntry, CpuBlock, EntryBody, EntryHead, FlowSet, HOT_RECORD, SLOT_BYTES, Slot, WAYS, meta,
};
use sensor_ebpf::record::{Clock, RawEntry};
use sensor_ebpf::settings::POINT_SLOTS;

pub use self::found::{Drained, Sizes, Swept};

/// Readings of an entry that the kernel keeps changing, before a pause.
const ATTEMPTS: u32 = 64;
/// Pauses of one reading of a CPU, together 2 ms. A program runs for less than a microsecond and nothing of its own machine
/// interrupts it for long; only a hypervisor that took the CPU away keeps it in the middle of a packet.
const PAUSES: u32 = 40;
const PAUSE: Duration = Duration::from_micros(50);

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of the kernel programs.
#[must_use]
pub fn monotonic_now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for the call's one write. The call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A mapped array map. The kernel keeps the memory while it is mapped, also when the map's descriptor is closed.
#[derive(Debug)]
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory is shared with the kernel anyway; it is only read with atomic or volatile accesses, and the one
// word that user space writes (`tail`) is written by the single owner of a `RecordRing`.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of an array map.
    fn new(map: BorrowedFd<'_>, len: usize, writable: bool) -> io::Result<Self> {
        let page = 4096;
        let len = len.next_multiple_of(page);
        let protection = if writable {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_READ
        };
        // SAFETY: a new mapping at an address that the kernel chooses; the descriptor is open for the call.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                protection,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                map.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast::<u8>())
            .map(|start| Self { start, len })
            .ok_or_else(|| io::Error::other("mmap returned address 0"))
    }

    /// Pointer to element `index` of an array of `T`, inside the mapping.
    fn element<T>(&self, index: usize) -> *mut T {
        let offset = index * size_of::<T>();
        assert!(
            offset + size_of::<T>() <= self.len,
            "element {index} is outside the map"
        );
        // SAFETY: checked above.
        unsafe { self.start.as_ptr().add(offset).cast::<T>() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made; nothing borrows from it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Copies words that the kernel may be writing.
///
/// # Safety
/// `from` points to `N` words of a mapping.
#[inline(always)]
unsafe fn copy_words<const N: usize>(from: *const u64) -> [u64; N] {
    let mut words = [0; N];
    for (at, word) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *word = unsafe { from.add(at).read_volatile() };
    }
    words
}

/// Record ring of one CPU. The kernel writes evicted entries, this side takes them out.
#[derive(Debug)]
pub struct RecordRing {
    cpu: u16,
    slots: u32,
    blocks: Arc<Mapping>,
    ring: Arc<Mapping>,
    tail: u64,
    malformed: u64,
}

impl RecordRing {
    /// CPU that writes this ring.
    #[must_use]
    pub const fn cpu(&self) -> u16 {
        self.cpu
    }

    /// Slots of the ring.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// Slots with an unknown mark that were passed over: 0 unless memory was damaged.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Takes out at most about `limit` records. Poll every 0.1 to 1 ms: a tighter poll makes the kernel fight for the
    /// line of the ring's head.
    pub fn drain(&mut self, limit: usize, mut each: impl FnMut(FlowRecord)) -> Drained {
        let (cpu, clock) = (self.cpu, Clock::at(monotonic_now()));
        self.drain_raw(limit, |entry| each(entry.record(cpu, clock)))
    }

    /// As [`Self::drain`], with the entries as they lie in memory.
    pub fn drain_raw(&mut self, limit: usize, mut each: impl FnMut(&RawEntry)) -> Drained {
        let block: *mut CpuBlock = self.blocks.element(usize::from(self.cpu));
        // SAFETY: `head` is an aligned word of the mapping that the kernel writes whole.
        let head = unsafe { AtomicU64::from_ptr(&raw mut (*block).head) }.load(Ordering::Acquire);
        let mut drained = Drained {
            records: 0,
            fill: u32::try_from(head.wrapping_sub(self.tail)).unwrap_or(self.slots),
        };
        while self.tail != head && drained.records < limit {
            let first = self.take_slot();
            let entry = match first[0] as u32 {
                HOT_RECORD => Some(whole(&first, &self.take_slot(), None)),
                COLD_RECORD => {
                    let body = self.take_slot();
                    let cold = cold(&self.take_slot(), &self.take_slot());
                    Some(whole(&first, &body, Some(cold)))
                }
                _ => RawEntry::from_short(&first),
            };
            let Some(entry) = entry else {
                self.malformed += 1;
                continue;
            };
            each(&entry);
            drained.records += 1;
        }
        if drained.fill != 0 {
            // SAFETY: `tail` is an aligned word of a writable mapping, and this is its only writer.
            unsafe { AtomicU64::from_ptr(&raw mut (*block).tail) }.store(self.tail, Ordering::Release);
        }
        drained
    }

    /// The slot at the tail, which moves on. The kernel moves its head over all slots of a record at once, so only a
    /// record's first slot has to be compared with it.
    #[inline(always)]
    fn take_slot(&mut self) -> [u64; SLOT_WORDS] {
        let slot = self.tail as usize & (self.slots as usize - 1);
        let index = self.cpu as usize * self.slots as usize + slot;
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: an element of the mapping; the kernel does not write to it before the tail has passed it.
        unsafe { copy_words::<SLOT_WORDS>(self.ring.element::<Slot>(index).cast::<u64>()) }
    }
}

const SLOT_WORDS: usize = SLOT_BYTES / 8;

#[inline(always)]
fn whole(head: &[u64; 8], body: &[u64; 8], cold: Option<ColdEntry>) -> RawEntry {
    // SAFETY: both are 64 bytes of integers without padding; every bit pattern is valid.
    let (head, body) = unsafe {
        (
            transmute::<[u64; 8], EntryHead>(*head),
            transmute::<[u64; 8], EntryBody>(*body),
        )
    };
    RawEntry { head, body, cold }
}

#[inline(always)]
fn cold(first: &[u64; 8], second: &[u64; 8]) -> ColdEntry {
    // SAFETY: 128 bytes of integers without padding; every bit pattern is valid.
    unsafe { transmute::<[[u64; 8]; 2], ColdEntry>([*first, *second]) }
}

/// The flow cache of all CPUs, read in place while the kernel writes to it.
#[derive(Debug)]
pub struct Cache {
    sizes: Sizes,
    sets: Mapping,
    cold: Mapping,
    /// Sequence of each entry at its last reading, for [`Self::read_changed`].
    seen: Vec<u32>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one step of a loop; a box would cost more"
)]
enum Reading {
    Empty,
    Unchanged,
    Unsettled,
    Whole(RawEntry, u32),
}

impl Cache {
    /// Sizes of the maps.
    #[must_use]
    pub const fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Hands out every entry of a CPU.
    pub fn read(&mut self, cpu: u16, mut each: impl FnMut(FlowRecord)) -> Swept {
        let clock = Clock::at(monotonic_now());
        self.sweep(cpu, false, |entry| each(entry.record(cpu, clock)))
    }

    /// Hands out the entries of a CPU that changed since their last reading by this method.
    pub fn read_changed(&mut self, cpu: u16, mut each: impl FnMut(FlowRecord)) -> Swept {
        let clock = Clock::at(monotonic_now());
        self.sweep(cpu, true, |entry| each(entry.record(cpu, clock)))
    }

    /// As [`Self::read`] or, with `changed`, [`Self::read_changed`], with the entries as they lie in memory.
    pub fn sweep(&mut self, cpu: u16, changed: bool, mut each: impl FnMut(&RawEntry)) -> Swept {
        assert!(cpu < self.sizes.cpus, "CPU {cpu} has no part of the cache");
        let entries = self.sizes.sets as usize * WAYS;
        let mut swept = Swept::default();
        let mut pauses = PAUSES;
        for entry in usize::from(cpu) * entries..(usize::from(cpu) + 1) * entries {
            let known = if changed { Some(self.seen[entry]) } else { None };
            let mut reading = self.entry(entry, known);
            while matches!(reading, Reading::Unsettled) && pauses > 0 {
                pauses -= 1;
                thread::sleep(PAUSE);
                reading = self.entry(entry, known);
            }
            match reading {
                Reading::Empty | Reading::Unchanged => {}
                Reading::Unsettled => swept.unsettled += 1,
                Reading::Whole(raw, sequence) => {
                    if changed {
                        self.seen[entry] = sequence;
                    }
                    swept.entries += 1;
                    each(&raw);
                }
            }
        }
        swept
    }

    fn entry(&self, entry: usize, known: Option<u32>) -> Reading {
        let set: *mut FlowSet = self.sets.element(entry / WAYS);
        let way = entry % WAYS;
        // SAFETY: `way` is 0 or 1; pointers into the mapping, nothing is read yet.
        let (head, body) = unsafe {
            (
                (&raw mut (*set).heads).cast::<EntryHead>().add(way),
                (&raw mut (*set).bodies).cast::<EntryBody>().add(way),
            )
        };
        // SAFETY: an aligned word of the mapping that the kernel writes whole.
        let sequence = unsafe { AtomicU32::from_ptr(&raw mut (*head).sequence) };
        for _ in 0..ATTEMPTS {
            let before = sequence.load(Ordering::Acquire);
            if before == 0 {
                return Reading::Empty;
            }
            if known == Some(before) {
                return Reading::Unchanged;
            }
            if before & 1 != 0 {
                std::hint::spin_loop();
                continue;
            }
            // SAFETY: head and body are eight words each, the cold half sixteen, all inside their mappings.
            let (head, body, cold_words) = unsafe {
                let head = copy_words::<8>(head.cast::<u64>());
                let cold = if head[7] & meta::COLD == 0 {
                    None
                } else {
                    let cold = self.cold.element::<ColdEntry>(entry).cast::<u64>();
                    Some((copy_words::<8>(cold), copy_words::<8>(cold.add(8))))
                };
                (head, copy_words::<8>(body.cast::<u64>()), cold)
            };
            fence(Ordering::Acquire);
            if sequence.load(Ordering::Relaxed) == before {
                let cold = cold_words.map(|(first, second)| cold(&first, &second));
                return Reading::Whole(whole(&head, &body, cold), before);
            }
        }
        Reading::Unsettled
    }
}

/// Counters of the hooks.
#[derive(Debug)]
pub struct Counters {
    cpus: u16,
    counters: Mapping,
    blocks: Arc<Mapping>,
}

impl Counters {
    /// Counters of one slot on one CPU. Each word is read whole; the set of them is exact when the CPU is at rest.
    #[must_use]
    pub fn of_cpu(&self, slot: u32, cpu: u16) -> PointCounters {
        let place = self.element(slot, cpu);
        const WORDS: usize = size_of::<PointCounters>() / 8;
        // SAFETY: an element of the mapping; PointCounters is 40 words of integers, the last of them padding.
        unsafe { transmute::<[u64; WORDS], PointCounters>(copy_words::<WORDS>(place.cast::<u64>())) }
    }

    /// What each slot of a CPU had counted when all of it was in its place: the law's side of a reading of the CPU's
    /// part of the cache, taken before it. `None`: the CPU stood still in the middle of a packet.
    #[must_use]
    pub fn settled(&self, cpu: u16) -> Option<Vec<Moved>> {
        let marks = (0..POINT_SLOTS).map(|slot| self.moved(slot, cpu)).collect();
        fence(Ordering::Acquire);
        let block: *mut CpuBlock = self.blocks.element(usize::from(cpu));
        for attempt in 0..ATTEMPTS + PAUSES {
            // SAFETY: an aligned word of the mapping that the kernel writes whole.
            if unsafe { AtomicU64::from_ptr(&raw mut (*block).busy) }.load(Ordering::Acquire) == 0 {
                return Some(marks);
            }
            if attempt < ATTEMPTS {
                std::hint::spin_loop();
            } else {
                thread::sleep(PAUSE);
            }
        }
        None
    }

    fn moved(&self, slot: u32, cpu: u16) -> Moved {
        let place = self.element(slot, cpu);
        // SAFETY: aligned words of the mapping that the kernel writes whole.
        unsafe {
            Moved {
                seen: (&raw const (*place).seen.packets).read_volatile(),
                recorded: (&raw const (*place).recorded.packets).read_volatile(),
            }
        }
    }

    /// The other side, taken after the reading: counters and what moved since `before`. What was seen is read last, so
    /// every packet that is counted elsewhere is counted there too.
    #[must_use]
    pub fn since(&self, slot: u32, cpu: u16, before: Moved) -> (PointCounters, Moved) {
        let mut counters = self.of_cpu(slot, cpu);
        fence(Ordering::Acquire);
        counters.seen.packets = self.moved(slot, cpu).seen;
        let moved = Moved {
            seen: counters.seen.packets.saturating_sub(before.seen),
            recorded: counters.recorded.packets.saturating_sub(before.recorded),
        };
        (counters, moved)
    }

    fn element(&self, slot: u32, cpu: u16) -> *const PointCounters {
        assert!(cpu < self.cpus && slot < POINT_SLOTS, "no such counters");
        self.counters
            .element(usize::from(cpu) * POINT_SLOTS as usize + slot as usize)
    }

    /// Sum over all CPUs of one slot.
    #[must_use]
    pub fn of_slot(&self, slot: u32) -> PointCounters {
        let mut sum = PointCounters::default();
        for cpu in 0..self.cpus {
            sum.add(&self.of_cpu(slot, cpu));
        }
        sum
    }

    /// Packets whose program interrupted another one on its CPU; must stay 0.
    #[must_use]
    pub fn nested(&self) -> u64 {
        (0..self.cpus)
            .map(|cpu| {
                let block: *mut CpuBlock = self.blocks.element(usize::from(cpu));
                // SAFETY: an aligned word of the mapping that the kernel writes whole.
                unsafe { AtomicU64::from_ptr(&raw mut (*block).nested) }.load(Ordering::Relaxed)
            })
            .sum()
    }
}

/// Descriptors of the maps that are read in place.
pub(super) struct Descriptors<'a> {
    pub(super) cache: BorrowedFd<'a>,
    pub(super) cold: BorrowedFd<'a>,
    pub(super) ring: BorrowedFd<'a>,
    pub(super) cpus: BorrowedFd<'a>,
    pub(super) counters: BorrowedFd<'a>,
}

/// Maps everything.
pub(super) fn map_all(
    descriptors: &Descriptors<'_>,
    sizes: Sizes,
) -> io::Result<(Vec<RecordRing>, Cache, Counters)> {
    let cpus = usize::from(sizes.cpus);
    let entries = cpus * sizes.sets as usize * WAYS;
    let slots = cpus * sizes.ring_slots as usize;
    let blocks = Arc::new(Mapping::new(
        descriptors.cpus,
        cpus * size_of::<CpuBlock>(),
        true,
    )?);
    let ring = Arc::new(Mapping::new(descriptors.ring, slots * size_of::<Slot>(), false)?);
    let rings = (0..sizes.cpus)
        .map(|cpu| RecordRing {
            cpu,
            slots: sizes.ring_slots,
            blocks: Arc::clone(&blocks),
            ring: Arc::clone(&ring),
            tail: 0,
            malformed: 0,
        })
        .collect();
    let cache = Cache {
        sizes,
        sets: Mapping::new(descriptors.cache, entries / WAYS * size_of::<FlowSet>(), false)?,
        cold: Mapping::new(descriptors.cold, entries * size_of::<ColdEntry>(), false)?,
        seen: vec![0; entries],
    };
    let counter_bytes = cpus * POINT_SLOTS as usize * size_of::<PointCounters>();
    let counters = Counters {
        cpus: sizes.cpus,
        counters: Mapping::new(descriptors.counters, counter_bytes, false)?,
        blocks,
    };
    Ok((rings, cache, counters))
}
