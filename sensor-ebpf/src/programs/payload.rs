//! Payload heads to the kernel's ring buffer. `unsafe`: the scratch element is written through a pointer; it belongs to
//! this CPU while the program runs.

use core::arch::asm;

use aya_ebpf::bindings::{BPF_ANY, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::event::{HEAD_HEADER_BYTES, HeadHeader};
use sensor_ebpf::flow::{FlowKey, KEY_IPV4, Side, addresses};
use sensor_ebpf::heads::{
    ARP_ETHER_TYPE, ARP_LINK_BYTES, Choice, HeadRefused, Offered, SourceBucket, arp_place, decide, look,
    may_matter, select_arp,
};
use sensor_ebpf::parse::Link;

use crate::programs::cpu::reason_index;
use crate::programs::flow_cache::{Arrival, Place};
use crate::programs::frame::{Deep, Direct, Hook, bounded};
use crate::programs::maps::{HEAD_LIMITS, HEAD_SCRATCH, HEAD_SOURCES, HEADS, HeadEvent, Work, work};

/// Most heads of one packet: the selector takes at most 16,320 bytes of it.
const MAX_CHUNKS: u32 = 8;
const LINK_BYTES: u32 = ARP_LINK_BYTES as u32;
const ARP_BYTES: u32 = 28;

/// Asks the selector about a packet with a flow; `true`: [`send`] is to run.
#[inline(always)]
pub(crate) fn choose<H: Hook>(
    hook: H,
    direct: Direct,
    counters: *mut PointCounters,
    arrival: &Arrival,
    offered: &Offered,
    place: Place,
) -> bool {
    let frame = Deep { hook, direct };
    if offered.is_empty() || place.is_unknown() && !may_matter(&frame, offered) {
        return false;
    }
    let Some(work) = work() else { return false };
    work.offered = *offered;
    // SAFETY: no instruction; the compiler has to write the fields and to read them again.
    unsafe { asm!("") };
    let offered = &work.offered;
    let content = look(&frame, offered);
    if content.passes() || place.is_unknown() && content.passes_unknown(offered) {
        return false;
    }
    let Some(state) = place.heads() else { return false };
    // SAFETY: the state of this flow in this CPU's part of its map.
    let state = unsafe { &mut *state };
    let limits = HEAD_LIMITS.load();
    let admit = || {
        let [low, high] = addresses(&arrival.key);
        let source = if arrival.sender == 0 { low } else { high };
        admit(&source, arrival.now)
    };
    match decide(offered, content, state, &limits, admit) {
        Choice::Pass => false,
        Choice::Refuse(reason) => {
            refuse(counters, reason);
            false
        }
        Choice::Take { bytes } => {
            prepare(work, arrival, bytes);
            true
        }
    }
}

/// Leaves to [`send`] what it needs.
#[inline(always)]
fn prepare(work: &mut Work, arrival: &Arrival, bytes: u16) {
    let offered = work.offered;
    let [low, high] = addresses(&arrival.key);
    let rest = arrival.key[1] & !KEY_IPV4;
    // SAFETY: a key is six words, at a multiple of 8; the order is that of its fields.
    unsafe {
        let key = (&raw mut work.head.key).cast::<[u64; 6]>();
        key.write([low[0], low[1], high[0], high[1], arrival.key[0], rest]);
    }
    work.head.time = arrival.now;
    work.head.point = arrival.point as u32;
    work.head.payload_len = offered.payload_len;
    work.head.tcp_seq = offered.tcp_seq;
    work.head.sender = arrival.sender as u8;
    work.head.tcp_flags = offered.tcp_flags;
    work.head_offset = offered.payload_offset;
    work.head_bytes = u32::from(bytes);
    work.arp = 0;
}

/// Asks the selector about a frame that was refused as ARP; `true`: [`send`] is to run.
#[inline(always)]
pub(crate) fn choose_arp(frame: &Direct, counters: *mut PointCounters, work: &mut Work) -> bool {
    let Some(place) = arp_place(frame, Link::Ethernet) else {
        return false;
    };
    let [.., a, b, c, d, e, f] = place.source;
    let source = [0, u64::from_le_bytes([0, 0, a, b, c, d, e, f])];
    match select_arp(|| admit(&source, work.now)) {
        Choice::Pass => false,
        Choice::Refuse(reason) => {
            refuse(counters, reason);
            false
        }
        Choice::Take { .. } => {
            work.head_offset = place.offset as u32;
            work.arp = 1;
            true
        }
    }
}

/// Takes a token of a source.
#[inline(never)]
fn admit(source: &[u64; 2], now: u64) -> bool {
    let limits = HEAD_LIMITS.load();
    if let Some(bucket) = HEAD_SOURCES.get_ptr_mut(source) {
        // SAFETY: a value of the map; another CPU may change it at the same time, which can cost or give one token.
        return unsafe { (*bucket).take(now, &limits) };
    }
    let mut bucket = SourceBucket::default();
    let admitted = bucket.take(now, &limits);
    // Cannot fail for want of room: the map drops its least recently used element.
    let _ = HEAD_SOURCES.insert(source, bucket, u64::from(BPF_ANY));
    admitted
}

/// Sends up what was chosen, in pieces of at most [`sensor_ebpf::event::HEAD_BYTES`].
#[inline(always)]
pub(crate) fn send<H: Hook>(hook: H, counters: *mut PointCounters, work: &Work) {
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else {
        return;
    };
    if work.arp != 0 {
        send_arp(hook, counters, work, scratch);
        return;
    }
    // SAFETY: this CPU's scratch element; two headers of nine words.
    unsafe {
        let from = (&raw const work.head).cast::<u64>();
        let to = (&raw mut (*scratch).header).cast::<u64>();
        let mut word = 0;
        while word < HEAD_HEADER_BYTES / 8 {
            to.add(word).write(from.add(word).read());
            word += 1;
        }
    }
    let bytes = work.head_bytes;
    let mut done = 0;
    for _ in 0..MAX_CHUNKS {
        if done >= bytes {
            return;
        }
        let Some(len) = bounded(bytes - done) else { return };
        // SAFETY: `len` is at most HEAD_BYTES, the size of the scratch's payload.
        unsafe {
            let to = (&raw mut (*scratch).bytes).cast::<u8>();
            if !hook.copy(work.head_offset + done, to, len) {
                return;
            }
            (*scratch).header.len = len as u16;
        }
        output(counters, scratch, len);
        // SAFETY: this CPU's scratch element.
        unsafe { (*scratch).header.tcp_seq = (*scratch).header.tcp_seq.wrapping_add(len) };
        done += len;
    }
}

/// Link addresses and ARP packet stand apart where there is a VLAN tag.
#[inline(always)]
fn send_arp<H: Hook>(hook: H, counters: *mut PointCounters, work: &Work, scratch: *mut HeadEvent) {
    // SAFETY: both pieces fit the scratch's payload.
    unsafe {
        let to = (&raw mut (*scratch).bytes).cast::<u8>();
        if !hook.copy(0, to, LINK_BYTES)
            || !hook.copy(work.head_offset, to.add(LINK_BYTES as usize), ARP_BYTES)
        {
            return;
        }
        (*scratch).header = HeadHeader {
            key: FlowKey {
                low_port: ARP_ETHER_TYPE,
                high_port: ARP_LINK_BYTES,
                ..FlowKey::default()
            },
            time: work.now,
            point: work.point,
            payload_len: LINK_BYTES + ARP_BYTES,
            tcp_seq: 0,
            len: (LINK_BYTES + ARP_BYTES) as u16,
            sender: Side::Low as u8,
            tcp_flags: 0,
        };
    }
    output(counters, scratch, LINK_BYTES + ARP_BYTES);
}

#[inline(always)]
fn output(counters: *mut PointCounters, event: *mut HeadEvent, len: u32) {
    // SAFETY: the scratch element holds the header and `len` bytes.
    let result = unsafe {
        bpf_ringbuf_output(
            (&raw const HEADS).cast_mut().cast(),
            event.cast(),
            u64::from(HEAD_HEADER_BYTES as u32 + len),
            u64::from(BPF_RB_NO_WAKEUP),
        )
    };
    if result == 0 {
        // SAFETY: this CPU's counters.
        unsafe { (*counters).heads_sent += 1 };
    } else {
        refuse(counters, HeadRefused::RingFull);
    }
}

#[inline(always)]
fn refuse(counters: *mut PointCounters, reason: HeadRefused) {
    let index = reason_index(reason as u32) & 3;
    // SAFETY: this CPU's counters; the index is below the array's length.
    unsafe { *(&raw mut (*counters).heads_refused).cast::<u64>().add(index) += 1 };
}
