//! The maps and the globals. Sizes here are placeholders where the loader sets them from the number of CPUs.

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use aya_ebpf::macros::btf_map;
use sensor_ebpf::block::BlockRule;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::event::{HEAD_BYTES, HeadHeader};
use sensor_ebpf::hash::HashKeys;
use sensor_ebpf::heads::{FlowHeads, HeadLimits, Offered, SourceBucket};
use sensor_ebpf::layout::{ColdEntry, CpuBlock, FlowSet, FragmentKey, FragmentPorts, Slot};
use sensor_ebpf::parse::Packet;

const MMAP: usize = BPF_F_MMAPABLE as usize;

/// Set by the loader: sets per CPU × CPUs.
#[btf_map]
pub(crate) static CACHE: Array<FlowSet, 1, MMAP> = Array::new();
/// One for each entry of the cache.
#[btf_map]
pub(crate) static COLD: Array<ColdEntry, 1, MMAP> = Array::new();
/// One for each entry of the cache; only the kernel reads it.
#[btf_map]
pub(crate) static FLOW_HEADS: Array<FlowHeads, 1> = Array::new();
/// Slots per CPU × CPUs.
#[btf_map]
pub(crate) static RING: Array<Slot, 1, MMAP> = Array::new();
/// One a CPU.
#[btf_map]
pub(crate) static CPUS: Array<CpuBlock, 1, MMAP> = Array::new();
/// `POINT_SLOTS` a CPU.
#[btf_map]
pub(crate) static COUNTERS: Array<PointCounters, 1, MMAP> = Array::new();
/// Packed point → slot of its counters, written before a hook is attached.
#[btf_map]
pub(crate) static POINTS: HashMap<u32, u32, 256> = HashMap::new();
/// Payload heads: 4 MiB hold what one source may send in its burst.
#[btf_map]
pub(crate) static HEADS: RingBuf<HeadEvent, 0x40_0000> = RingBuf::new();
/// Token buckets by source address. When more sources than this are active, the least recently used starts anew with a
/// full bucket; the ring buffer's size is the last bound.
#[btf_map]
pub(crate) static HEAD_SOURCES: LruHashMap<[u64; 2], SourceBucket, 16384> = LruHashMap::new();
/// Datagrams in flight; one that is forgotten is counted as `fragment_unknown`.
#[btf_map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts, 16384> = LruHashMap::new();
/// What this CPU is working on: it goes from program to program, and the stack has only 512 bytes.
#[btf_map]
pub(crate) static WORK: PerCpuArray<Work, 1> = PerCpuArray::new();
/// The programs behind the XDP hook, by [`sensor_ebpf::settings::next`].
#[btf_map]
pub(crate) static XDP_NEXT: ProgramArray<4> = ProgramArray::new();
/// The programs behind the TC hooks.
#[btf_map]
pub(crate) static TC_NEXT: ProgramArray<4> = ProgramArray::new();
/// Rules of IPv4 addresses, in network order. One element where nothing is to be blocked, as the two below.
#[btf_map]
pub(crate) static BLOCK_V4: LpmTrie<u32, BlockRule, 1> = LpmTrie::new();
/// Rules of IPv6 addresses, in network order.
#[btf_map]
pub(crate) static BLOCK_V6: LpmTrie<[u32; 4], BlockRule, 1> = LpmTrie::new();
/// Packets and bytes that met a rule, by its slot.
#[btf_map]
pub(crate) static BLOCK_COUNTS: PerCpuArray<[u64; 2], 1> = PerCpuArray::new();
/// Where a head is put together: it does not fit the stack.
#[btf_map]
pub(crate) static HEAD_SCRATCH: PerCpuArray<HeadEvent, 1> = PerCpuArray::new();

/// A packet on its way through the programs.
#[repr(C)]
pub(crate) struct Work {
    /// Of a frame that took the general parser.
    pub(crate) packet: Packet,
    /// Coarse `CLOCK_MONOTONIC`, nanoseconds.
    pub(crate) now: u64,
    /// Packed observation point.
    pub(crate) point: u32,
    /// Packets on the wire that the buffer stands for; 0 until the general parser has counted them.
    pub(crate) segments: u32,
    /// Bytes of the headers that each of them repeats, from the frame's begin on.
    pub(crate) headers: u32,
    pub(crate) fragment: FragmentKey,
    /// Here between the two halves of the selector: in registers, everything that is known of it would be walked anew.
    pub(crate) offered: Offered,
    /// The head that was chosen, but for `len`.
    pub(crate) head: HeadHeader,
    /// Where the chosen head begins and how long it is; of ARP the place of the ARP packet.
    pub(crate) head_offset: u32,
    pub(crate) head_bytes: u32,
    /// 1: the head is an ARP frame.
    pub(crate) arp: u32,
    /// 1: the packet is to be dropped. Written only where something is to be blocked.
    pub(crate) dropped: u32,
    /// What the log is to tell: a refusal's number, or [`DEGRADED`] and a degradation's.
    pub(crate) told: u32,
    pub(crate) judged: Judged,
}

/// What is asked about a packet before it passes.
#[repr(C)]
pub(crate) struct Judged {
    /// Ends of the flow, then of the tunnel around it.
    pub(crate) ends: [[u64; 2]; 4],
    /// How many of them there are.
    pub(crate) count: u64,
    pub(crate) now: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// In [`Work::told`]: the packet counts in a flow.
pub(crate) const DEGRADED: u32 = 0x100;

/// What this CPU is working on.
#[inline(always)]
pub(crate) fn work() -> Option<&'static mut Work> {
    let work = WORK.get_ptr_mut(0)?;
    // SAFETY: this CPU's element; the programs on a CPU do not interrupt each other, and `busy` proves it.
    Some(unsafe { &mut *work })
}

/// A head as it goes up.
#[repr(C)]
pub(crate) struct HeadEvent {
    pub(crate) header: HeadHeader,
    pub(crate) bytes: [u8; HEAD_BYTES],
    /// Never read or sent: lets the verifier accept a read at any offset of `bytes`.
    pub(crate) slack: [u8; SLACK],
}

/// Most bytes that are read at once.
pub(crate) const SLACK: usize = 32;

/// A key of the flow hash. Not [`Global::load`], which reads all of them.
#[inline(always)]
pub(crate) fn hash_key(at: usize) -> u64 {
    // SAFETY: callers name one of the eight. Volatile as `load` does it: the loader patches the values in.
    unsafe { (&raw const HASH_KEYS).cast::<u64>().add(at).read_volatile() }
}

/// Only its name matters: it says which layouts these programs have ([`sensor_ebpf::layout::ABI_SYMBOL`]).
#[unsafe(no_mangle)]
pub(crate) static LYNCEUS_ABI_4: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static SET_MASK: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static RING_SLOTS: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
pub(crate) static HASH_KEYS: Global<HashKeys> = Global::new([0; 8]);
#[unsafe(no_mangle)]
pub(crate) static OUTER_LAYER: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HEADS_ON: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HEAD_LIMITS: Global<HeadLimits> = Global::new(HeadLimits::DEFAULT);
#[unsafe(no_mangle)]
pub(crate) static CLOCK_READS: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static WEAK_ORDER: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static BLOCK: Global<u8> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static LOG: Global<u8> = Global::new(0);
