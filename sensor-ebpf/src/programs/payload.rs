//! Payload heads to the kernel's ring buffer. `unsafe`: the scratch element is written through a pointer; it belongs to
//! this CPU while the program runs.

use aya_ebpf::bindings::{BPF_ANY, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::event::{HEAD_HEADER_BYTES, HeadHeader};
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::heads::{
    ARP_ETHER_TYPE, ARP_LINK_BYTES, Choice, FlowHeads, HeadRefused, SourceBucket, arp_place, select, select_arp, source_of,
};
use sensor_ebpf::parse::{Link, Packet};

use crate::programs::flow_cache::reason_index;
use crate::programs::frame::{Hook, bounded};
use crate::programs::maps::{HEAD_LIMITS, HEAD_SCRATCH, HEAD_SOURCES, HEADS};

/// Where and when a packet was seen.
#[derive(Clone, Copy)]
pub(crate) struct When {
    pub(crate) now: u64,
    pub(crate) point: u32,
}

/// Most heads of one packet: the selector takes at most 16,320 bytes of it.
const MAX_CHUNKS: u32 = 8;

/// Sends up what the selector wants of a packet with a flow.
#[inline(never)]
pub(crate) fn offer<H: Hook>(
    hook: H,
    counters: *mut PointCounters,
    packet: &Packet,
    state: &mut FlowHeads,
    when: &When,
) {
    let limits = HEAD_LIMITS.load();
    let (point, now) = (when.point, when.now);
    let frame = &hook.direct();
    let choice = select(frame, packet, state, &limits, || admit(&source_of(packet), now));
    match choice {
        Choice::Pass => {}
        Choice::Refuse(reason) => refuse(counters, reason),
        Choice::Take { bytes } => {
            let header = HeadHeader {
                key: packet.key,
                time: now,
                point,
                payload_len: packet.payload_len,
                tcp_seq: packet.tcp_seq,
                len: 0,
                sender: packet.sender as u8,
                tcp_flags: packet.tcp_flags,
            };
            send(hook, counters, &header, packet.payload_offset, u32::from(bytes));
        }
    }
}

/// Sends up an ARP packet.
#[inline(never)]
pub(crate) fn offer_arp<H: Hook>(hook: H, counters: *mut PointCounters, point: u32, now: u64) {
    let frame = &hook.direct();
    let Some(place) = arp_place(frame, Link::Ethernet) else { return };
    match select_arp(|| admit(&place.source, now)) {
        Choice::Pass => {}
        Choice::Refuse(reason) => refuse(counters, reason),
        Choice::Take { bytes } => {
            let mut key = FlowKey::default();
            key.low_port = ARP_ETHER_TYPE;
            key.high_port = ARP_LINK_BYTES;
            let header = HeadHeader {
                key,
                time: now,
                point,
                payload_len: u32::from(bytes),
                tcp_seq: 0,
                len: 0,
                sender: Side::Low as u8,
                tcp_flags: 0,
            };
            send_arp(hook, counters, &header, place.offset as u32, u32::from(bytes));
        }
    }
}

/// Takes a token of a source.
#[inline(always)]
fn admit(source: &[u8; 16], now: u64) -> bool {
    let limits = HEAD_LIMITS.load();
    if let Some(bucket) = HEAD_SOURCES.get_ptr_mut(source) {
        // SAFETY: a value of the map; another CPU may change it at the same time, which can cost or give one token.
        return unsafe { (*bucket).take(now, &limits) };
    }
    let mut bucket = SourceBucket::default();
    let admitted = bucket.take(now, &limits);
    // Cannot fail for want of room: the map drops its least recently used element.
    let _ = HEAD_SOURCES.insert(source, &bucket, u64::from(BPF_ANY));
    admitted
}

/// Sends `bytes` bytes of payload in pieces of at most [`sensor_ebpf::event::HEAD_BYTES`].
#[inline(always)]
fn send<H: Hook>(hook: H, counters: *mut PointCounters, header: &HeadHeader, offset: u32, bytes: u32) {
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's scratch element.
    unsafe { (*scratch).header = *header };
    let mut done = 0;
    for _ in 0..MAX_CHUNKS {
        if done >= bytes {
            return;
        }
        let Some(len) = bounded(bytes - done) else { return };
        // SAFETY: `len` is at most HEAD_BYTES, the size of the scratch's payload.
        unsafe {
            let to = (&raw mut (*scratch).bytes).cast::<u8>();
            if !hook.copy(offset + done, to, len) {
                return;
            }
            (*scratch).header.len = len as u16;
        }
        output(counters, scratch.cast(), len);
        // SAFETY: this CPU's scratch element.
        unsafe { (*scratch).header.tcp_seq = (*scratch).header.tcp_seq.wrapping_add(len) };
        done += len;
    }
}

/// Link addresses and ARP packet stand apart where there is a VLAN tag.
#[inline(always)]
fn send_arp<H: Hook>(hook: H, counters: *mut PointCounters, header: &HeadHeader, offset: u32, bytes: u32) {
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else { return };
    const LINK: u32 = ARP_LINK_BYTES as u32;
    const ARP: u32 = 28;
    // SAFETY: both pieces fit the scratch's payload.
    unsafe {
        let to = (&raw mut (*scratch).bytes).cast::<u8>();
        if !hook.copy(0, to, LINK) || !hook.copy(offset, to.add(LINK as usize), ARP) {
            return;
        }
        (*scratch).header = *header;
        (*scratch).header.len = bytes as u16;
    }
    output(counters, scratch.cast(), LINK + ARP);
}

#[inline(always)]
fn output(counters: *mut PointCounters, event: *mut u8, len: u32) {
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
