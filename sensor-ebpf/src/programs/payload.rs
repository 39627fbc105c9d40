//! Payload heads to the kernel's ring buffer. `unsafe`: the scratch element is written through a pointer; it belongs to
//! this CPU while the program runs.

use aya_ebpf::bindings::{BPF_ANY, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use sensor_ebpf::counters::PointCounters;
use sensor_ebpf::event::{HEAD_HEADER_BYTES, HeadHeader};
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::heads::{
    ARP_ETHER_TYPE, ARP_LINK_BYTES, Choice, FlowHeads, HeadRefused, SourceBucket, arp_place, select,
    select_arp, source_of,
};
use sensor_ebpf::parse::Link;

use crate::programs::flow_cache::reason_index;
use crate::programs::frame::{Deep, Direct, Hook, bounded};
use crate::programs::maps::{HEAD_LIMITS, HEAD_SCRATCH, HEAD_SOURCES, HEADS, HeadEvent, Work};

pub(crate) const SYN: u8 = 2;

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
    work: &mut Work,
    state: &mut FlowHeads,
) -> bool {
    let limits = HEAD_LIMITS.load();
    let now = work.now;
    let packet = &work.packet;
    let frame = Deep { hook, direct };
    match select(&frame, packet, state, &limits, || admit(&source_of(packet), now)) {
        Choice::Pass => false,
        Choice::Refuse(reason) => {
            refuse(counters, reason);
            false
        }
        Choice::Take { bytes } => {
            work.head_offset = packet.payload_offset;
            work.head_bytes = u32::from(bytes);
            work.arp = 0;
            true
        }
    }
}

/// Asks the selector about a frame that was refused as ARP; `true`: [`send`] is to run.
#[inline(always)]
pub(crate) fn choose_arp(frame: &Direct, counters: *mut PointCounters, work: &mut Work) -> bool {
    let Some(place) = arp_place(frame, Link::Ethernet) else {
        return false;
    };
    match select_arp(|| admit(&place.source, work.now)) {
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
    let packet = &work.packet;
    // SAFETY: this CPU's scratch element.
    unsafe {
        (*scratch).header = HeadHeader {
            key: packet.key,
            time: work.now,
            point: work.point,
            payload_len: packet.payload_len,
            tcp_seq: packet.tcp_seq,
            len: 0,
            sender: packet.sender as u8,
            tcp_flags: packet.tcp_flags,
        };
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
