//! The way of a packet through a hook, in up to five programs:
//!
//! 1. the hook's own ([`enter`]) parses the usual frame, counts it in the flow cache and asks the selector of heads;
//! 2. [`parse_rest`] parses every other frame with the general parser, from a copy of its first bytes;
//! 3. [`count_parsed`] does with its packet what the first one does;
//! 4. [`send_head`] copies payload to the ring buffer;
//! 5. [`log_packet`] tells of a refused or degraded packet, where the log was asked for.
//!
//! They are tail calls and not functions because each gets its own 512 bytes of stack and its own verifier budget, and
//! the usual packet pays for none of them. What one leaves to the next lies in this CPU's [`maps::Work`].

mod block;
mod cpu;
mod flow_cache;
mod frame;
mod maps;
mod order;
mod payload;
mod rare;
mod ring;
mod tell;

use core::mem::transmute;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use sensor_ebpf::counters::{FRAGMENT_UNKNOWN, PointCounters, RefusedPacket, Tally};
use sensor_ebpf::flow::{FlowKey, Side, pack};
use sensor_ebpf::heads::Offered;
use sensor_ebpf::layout::{FragmentPorts, pack_point};
use sensor_ebpf::parse::{
    Fragment, Frame, KERNEL_LEVELS, Link, Packet, Refused, Simple, parse_general, parse_simple,
};
use sensor_ebpf::settings::next;

use self::cpu::{Cpu, count, reason_index};
use self::flow_cache::{Arrival, Place, account};
use self::frame::{Copied, Direct};
pub(crate) use self::frame::{Hook, TcHook, XdpHook};
use self::maps::{
    BLOCK, DEGRADED, FRAGMENTS, HEAD_SCRATCH, HEADS_ON, LOG, LYNCEUS_ABI_4, OUTER_LAYER, Work, work,
};

/// The program at a hook. Never changes the packet. `true`: it is to be dropped.
#[inline(always)]
pub(crate) fn enter<H: Hook, const EGRESS: bool>(hook: H) -> bool {
    let Some(cpu) = Cpu::current() else { return false };
    // SAFETY: this CPU's block.
    unsafe {
        if (*cpu.block).busy != 0 {
            (*cpu.block).nested += 1;
            return false;
        }
        (&raw mut (*cpu.block).busy).write_volatile(1);
    }
    let point = u64::from(pack_point(hook.ifindex(), EGRESS));
    // SAFETY: a helper without arguments (Linux 5.11).
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    let frame = hook.direct();
    // Where segments are to be counted first, or repeat headers that the flow's layer hides, the general parser does it.
    let is_usual = !hook.is_uncounted() && (OUTER_LAYER.load() == 0 || hook.segments() == 1);
    let mut simple = Simple::NONE;
    let mut dropped = false;
    if is_usual && parse_simple(&frame, &mut simple) {
        dropped = count_simple(hook, cpu, frame, point, now, &simple);
    } else if let Some(work) = work() {
        work.point = point as u32;
        work.now = now;
        work.segments = if hook.is_uncounted() { 0 } else { hook.segments() };
        hook.next(next::PARSE);
    }
    leave(cpu);
    dropped
}

/// Parses what [`enter`] did not.
#[inline(always)]
pub(crate) fn parse_rest<H: Hook>(hook: H) {
    // Keeps the symbol in the object: its presence is the check of the layouts.
    let _ = LYNCEUS_ABI_4.load();
    let Some((cpu, work)) = workplace() else { return };
    if let Some(counters) = cpu.counters(u64::from(work.point)) {
        match read_copy(hook, work) {
            0 => {
                if work.segments == 0 {
                    let payload = hook.direct().present.saturating_sub(work.headers);
                    work.segments = payload.div_ceil(hook.segment_bytes()).max(1);
                }
                if work.packet.fragment != Fragment::Whole {
                    fragment(counters, work);
                }
                if LOG.load() != 0
                    && let Some(reason) = work.packet.degraded
                {
                    work.told = DEGRADED + reason as u32;
                    hook.next(next::LOG);
                }
                hook.next(next::COUNT);
            }
            result => {
                let wire = u64::from(hook.direct().wire_len());
                let packets = u64::from(work.segments.max(1));
                // SAFETY: this CPU's counters.
                unsafe { count(&raw mut (*counters).seen, packets, wire) };
                refuse(counters, result - 1, packets, wire);
                if result == Refused::Arp as u32 + 1
                    && HEADS_ON.load() != 0
                    && payload::choose_arp(&hook.direct(), counters, work)
                {
                    work.dropped = 0;
                    hook.next(next::SEND);
                }
                if LOG.load() != 0 {
                    work.told = result - 1;
                    hook.next(next::LOG);
                }
            }
        }
    }
    leave(cpu);
}

/// Writes a line about a packet of [`parse_rest`], and goes on with it.
#[inline(always)]
pub(crate) fn log_packet<H: Hook>(hook: H) {
    let Some((cpu, work)) = workplace() else { return };
    tell::line(work, hook.direct().wire_len());
    if work.told >= DEGRADED {
        hook.next(next::COUNT);
    }
    leave(cpu);
}

/// Counts what [`parse_rest`] parsed.
#[inline(always)]
pub(crate) fn count_parsed<H: Hook>(hook: H) -> bool {
    let Some((cpu, work)) = workplace() else {
        return false;
    };
    let dropped = count_packet(hook, cpu, work, hook.direct());
    leave(cpu);
    dropped
}

/// Sends up the payload that the selector chose.
#[inline(always)]
pub(crate) fn send_head<H: Hook>(hook: H) -> bool {
    let Some((cpu, work)) = workplace() else {
        return false;
    };
    let dropped = BLOCK.load() != 0 && work.dropped != 0;
    if let Some(counters) = cpu.counters(u64::from(work.point)) {
        payload::send(hook, counters, work);
    }
    leave(cpu);
    dropped
}

/// This CPU's block and what it is working on.
#[inline(always)]
fn workplace() -> Option<(Cpu, &'static mut Work)> {
    Some((Cpu::current()?, work()?))
}

#[inline(always)]
fn leave(cpu: Cpu) {
    // SAFETY: this CPU's block.
    unsafe { (&raw mut (*cpu.block).busy).write_volatile(0) };
}

/// Counts a packet that took the short way through the parser; `true`: it is to be dropped.
#[inline(always)]
fn count_simple<H: Hook>(hook: H, cpu: Cpu, frame: Direct, point: u64, now: u64, simple: &Simple) -> bool {
    let Some(counters) = cpu.counters(point) else {
        return false;
    };
    let sizes = Sizes {
        segments: u64::from(hook.segments()),
        ip_len: u64::from(simple.ip_len),
        ip_offset: u64::from(simple.ip_offset),
        headers: u64::from(simple.payload_offset),
    };
    let arrival = Arrival {
        key: simple.key,
        sender: simple.sender,
        point,
        now,
        packets: sizes.segments,
        ip_bytes: sizes.ip_bytes(),
        wire_bytes: sizes.wire_bytes(frame),
        ttl: u64::from(simple.ttl),
        tcp_flags: u64::from(simple.tcp_flags),
    };
    let place = count_in_flow(cpu, counters, &arrival, None);
    let mut dropped = false;
    if BLOCK.load() != 0
        && let Some(work) = work()
    {
        block::note(&mut work.judged, &arrival, None);
        dropped = block::judge(counters, work) != 0;
    }
    let Some(place) = place else { return dropped };
    let offered = Offered {
        protocol: simple.key[1] as u8,
        low_port: simple.key[0] as u16,
        high_port: (simple.key[0] >> 16) as u16,
        sender: simple.sender as u32,
        payload_offset: simple.payload_offset,
        payload_len: simple.payload_len,
        tcp_flags: simple.tcp_flags,
        tcp_seq: simple.tcp_seq,
        zero: [0; 2],
    };
    if HEADS_ON.load() != 0 && payload::choose(hook, frame, counters, &arrival, &offered, place) {
        hook.next(next::SEND);
    }
    dropped
}

/// Counts a packet that the general parser parsed; `true`: it is to be dropped.
#[inline(always)]
fn count_packet<H: Hook>(hook: H, cpu: Cpu, work: &mut Work, frame: Direct) -> bool {
    let Some(counters) = cpu.counters(u64::from(work.point)) else {
        return false;
    };
    let packet = &work.packet;
    if let Some(reason) = packet.degraded {
        let index = reason_index(reason as u32);
        // SAFETY: this CPU's counters; the index is below the array's length.
        unsafe { *(&raw mut (*counters).degraded).cast::<u64>().add(index) += 1 };
    }
    let sizes = Sizes {
        segments: u64::from(work.segments),
        ip_len: u64::from(packet.ip_len),
        ip_offset: u64::from(packet.ip_offset),
        headers: u64::from(work.headers),
    };
    let arrival = Arrival {
        // SAFETY: FlowKey is 48 bytes of integers without padding; on this target its bytes are its words.
        key: pack(unsafe { transmute::<FlowKey, [u64; 6]>(packet.key) }),
        sender: packet.sender as u64,
        point: u64::from(work.point),
        now: work.now,
        packets: sizes.segments,
        ip_bytes: sizes.ip_bytes(),
        wire_bytes: sizes.wire_bytes(frame),
        ttl: u64::from(packet.ttl),
        tcp_flags: u64::from(packet.tcp_flags),
    };
    let place = count_in_flow(cpu, counters, &arrival, Some(packet));
    let mut dropped = false;
    if BLOCK.load() != 0 {
        block::note(&mut work.judged, &arrival, work.packet.outer);
        dropped = block::judge(counters, work) != 0;
    }
    let Some(place) = place else { return dropped };
    let packet = &work.packet;
    if HEADS_ON.load() != 0
        && let Some(offered) = Offered::of(packet)
        && payload::choose(hook, frame, counters, &arrival, &offered, place)
    {
        hook.next(next::SEND);
    }
    dropped
}

/// What the numbers of bytes are made of.
#[derive(Clone, Copy)]
struct Sizes {
    segments: u64,
    ip_len: u64,
    ip_offset: u64,
    /// From the frame's begin to a segment's payload.
    headers: u64,
}

impl Sizes {
    /// Each segment but the first repeats all headers up to its payload.
    #[inline(always)]
    fn ip_bytes(self) -> u64 {
        self.ip_len + (self.segments - 1) * self.headers.wrapping_sub(self.ip_offset)
    }

    #[inline(always)]
    fn wire_bytes(self, frame: Direct) -> u64 {
        let stripped = if frame.stripped_tag().is_some() { 4 } else { 0 };
        u64::from(frame.wire_len()) + (self.segments - 1) * (self.headers + stripped)
    }
}

/// Counts a packet as seen, and in its flow or as refused.
#[inline(always)]
fn count_in_flow(
    cpu: Cpu,
    counters: *mut PointCounters,
    arrival: &Arrival,
    rare: Option<&Packet>,
) -> Option<Place> {
    // SAFETY: this CPU's counters.
    unsafe { count(&raw mut (*counters).seen, arrival.packets, arrival.wire_bytes) };
    let place = account(cpu, counters, arrival, rare);
    if place.is_none() {
        let reason = RefusedPacket::RingFull.index() as u32;
        refuse(counters, reason, arrival.packets, arrival.wire_bytes);
    }
    place
}

/// Parses a copy of the frame's first bytes. Returns 0, or the number of the reason plus 1.
#[inline(always)]
fn read_copy<H: Hook>(hook: H, work: &mut Work) -> u32 {
    const UNREADABLE: u32 = Refused::TruncatedLink as u32 + 1;
    let Some(scratch) = HEAD_SCRATCH.get_ptr_mut(0) else {
        return UNREADABLE;
    };
    // SAFETY: this CPU's scratch element.
    let scratch = unsafe { &raw mut (*scratch).bytes };
    let Some(frame) = Copied::new(hook, scratch) else {
        return UNREADABLE;
    };
    let packet = &mut work.packet;
    let mut inner = 0;
    let result = if OUTER_LAYER.load() == 0 {
        parse_general::<_, KERNEL_LEVELS>(&frame, Link::Ethernet, packet)
    } else {
        // The segments of a tunneled stream repeat the headers inside the tunnel too.
        if work.segments != 1 && parse_general::<_, KERNEL_LEVELS>(&frame, Link::Ethernet, packet).is_ok() {
            inner = packet.payload_offset;
        }
        parse_general::<_, 0>(&frame, Link::Ethernet, packet)
    };
    work.headers = packet.payload_offset.max(inner);
    match result {
        Ok(()) => 0,
        Err(reason) => reason as u32 + 1,
    }
}

/// Remembers the ports of a first fragment, gives them to a later one.
#[inline(never)]
fn fragment(counters: *mut PointCounters, work: &mut Work) {
    let packet = &mut work.packet;
    let id = match packet.fragment {
        Fragment::Whole => return,
        Fragment::First { id } | Fragment::Later { id } => id,
    };
    let key = &mut work.fragment;
    let (low, high) = (&raw const packet.key.low, &raw const packet.key.high);
    let (from, to) = match packet.sender {
        Side::Low => (low, high),
        Side::High => (high, low),
    };
    // SAFETY: the addresses are at multiples of 8 in both keys. Copied as words: byte by byte they take the stack.
    unsafe {
        (&raw mut key.from)
            .cast::<[u64; 2]>()
            .write(from.cast::<[u64; 2]>().read());
        (&raw mut key.to)
            .cast::<[u64; 2]>()
            .write(to.cast::<[u64; 2]>().read());
    }
    key.id = id;
    key.protocol = packet.key.protocol;
    key.tunnel = packet.key.tunnel;
    key.zero = [0; 2];
    key.vlan = packet.key.vlan;
    key.vni = packet.key.vni;
    let key = &*key;
    if let Fragment::First { .. } = packet.fragment {
        let (sender, receiver) = packet.ports();
        let ports = FragmentPorts {
            sender,
            receiver,
            one_way: u32::from(packet.key.one_way != 0),
        };
        // Cannot fail for want of room: the map drops its least recently used element.
        let _ = FRAGMENTS.insert(key, ports, u64::from(BPF_ANY));
        return;
    }
    // SAFETY: another CPU may replace the element while it is read; the ports are a hint.
    if let Some(ports) = unsafe { FRAGMENTS.get(key) } {
        packet.set_ports(ports.sender, ports.receiver, ports.one_way != 0);
    } else {
        // SAFETY: this CPU's counters.
        unsafe { (*counters).degraded[FRAGMENT_UNKNOWN] += 1 };
    }
}

/// Counts a packet that is in no flow.
#[inline(always)]
fn refuse(counters: *mut PointCounters, reason: u32, packets: u64, bytes: u64) {
    // SAFETY: `counters` is an element of the map; the index is below the array's length.
    unsafe {
        let tally = (&raw mut (*counters).refused)
            .cast::<Tally>()
            .add(reason_index(reason));
        count(tally, packets, bytes);
    }
}
