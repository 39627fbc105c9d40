//! Decides whether a packet is dropped on purpose. Loaded only where blocking was asked for. `unsafe`: this CPU's element
//! of a per-CPU map is written through a pointer.

use aya_ebpf::btf_maps::lpm_trie::Key;
use sensor_ebpf::block::{ALLOW, BLOCK_SLOTS, BlockRule, DROP};
use sensor_ebpf::counters::{PointCounters, Tally};
use sensor_ebpf::flow::addresses;

use crate::programs::cpu::{count, masked};
use crate::programs::flow_cache::Arrival;
use crate::programs::maps::{BLOCK_COUNTS, BLOCK_V4, BLOCK_V6, Judged, Work};

/// Second half of an IPv4 address in a key, without the address.
const MAPPED: u32 = 0xffff_0000;
/// Ends of a flow, and of the tunnel around it.
const ENDS: usize = 4;
/// No rule of this slot was met.
const NO_SLOT: u32 = u32::MAX;

/// Writes down what [`judge`] needs. On the stack it would be in the way of packets that nobody asks about.
#[inline(always)]
pub(crate) fn note(judged: &mut Judged, arrival: &Arrival, outer: Option<([u8; 16], [u8; 16])>) {
    let [low, high] = addresses(&arrival.key);
    judged.ends[0] = low;
    judged.ends[1] = high;
    judged.count = 2;
    if let Some((source, destination)) = outer {
        judged.ends[2] = halves(source);
        judged.ends[3] = halves(destination);
        judged.count = 4;
    }
    judged.now = arrival.now;
    judged.packets = arrival.packets;
    judged.bytes = arrival.wire_bytes;
}

#[inline(always)]
fn halves(address: [u8; 16]) -> [u64; 2] {
    // SAFETY: both are 16 bytes of integers; the order in memory stays.
    unsafe { core::mem::transmute::<[u8; 16], [u64; 2]>(address) }
}

/// Whether the packet that was noted is to be dropped: one of its addresses is in a block. Counts it once for each rule
/// that it met, and once at its point if it is dropped. Also keeps the answer in `work`, for a program that follows.
#[inline(never)]
pub(crate) fn judge(counters: *mut PointCounters, work: &mut Work) -> u32 {
    let judged = &work.judged;
    let (now, packets, bytes) = (judged.now, judged.packets, judged.bytes);
    let mut dropped = 0;
    let mut met = NO_SLOT;
    let mut end = 0;
    while end < ENDS {
        if end < judged.count as usize
            && let Some(rule) = rule(&judged.ends[end])
            && rule.action != ALLOW
            && now < rule.expires()
        {
            if rule.action == DROP {
                dropped = 1;
            }
            // A packet between two addresses of one prefix meets its rule once.
            if rule.slot != met {
                met = rule.slot;
                let slot = masked::<{ BLOCK_SLOTS - 1 }>(u64::from(met)) as u32;
                if let Some(tally) = BLOCK_COUNTS.get_ptr_mut(slot) {
                    // SAFETY: this CPU's element.
                    unsafe { count(tally.cast::<Tally>(), packets, bytes) };
                }
            }
        }
        end += 1;
    }
    if dropped != 0 {
        // SAFETY: this CPU's counters.
        unsafe { count(&raw mut (*counters).blocked, packets, bytes) };
    }
    work.dropped = dropped;
    dropped
}

/// The rule of the longest prefix that holds an address.
#[inline(always)]
fn rule(address: &[u64; 2]) -> Option<&'static BlockRule> {
    if address[0] == 0 && address[1] as u32 == MAPPED {
        return BLOCK_V4.get(&Key::new(32, (address[1] >> 32) as u32)).map(long);
    }
    let (first, second) = (address[0], address[1]);
    let words = [
        first as u32,
        (first >> 32) as u32,
        second as u32,
        (second >> 32) as u32,
    ];
    BLOCK_V6.get(&Key::new(128, words)).map(long)
}

/// The maps are static; a value that is replaced meanwhile is freed only after the program.
#[inline(always)]
fn long(rule: &BlockRule) -> &'static BlockRule {
    // SAFETY: see above.
    unsafe { &*core::ptr::from_ref(rule) }
}
